"""The index of two picture trees comes from file names; empty files stand in for pictures."""

import numpy as np
from helpers.toy_trees import NAMES, PHOTOS, SKETCHES, plant

from zscmr.datasets import layouts
from zscmr.datasets.index_files import compare_index, write_index
from zscmr.formats import matfiles


def test_index_pairs_each_sketch_with_its_photo(tmp_path):
    """Photo 2 of each class has one sketch, photo 1 two; a sketch without photo, or of another form, has no place."""
    plant(tmp_path, "photo", PHOTOS)
    plant(tmp_path, "sketch", (*SKETCHES, "n09_9-1.png", "doodle.png"))
    write_index(tmp_path / "out", layouts.matched_trees(tmp_path / "photo", tmp_path / "sketch"))
    file = tmp_path / "out/dataset2.mat"
    pairs = matfiles.read(file, "datamat2")
    assert pairs.shape == (5, 2, 2) and matfiles.read_names(file, "classes") == list(NAMES)
    assert pairs[3].tolist() == [["n01_1-1.png", "n01_1-2.png"], ["n01_2-1.png", 0]]
    sketches = matfiles.read(tmp_path / "out/names_sketches.mat", "data3")
    assert sketches.shape == (5, 5) and sketches[0, 0] == "doodle.png"


def test_index_without_pairs_leaves_none_behind(tmp_path):
    plant(tmp_path, "photo", ("1.jpg",))
    plant(tmp_path, "sketch", ("a.png",))
    matfiles.write(tmp_path / "dataset2.mat", {"datamat2": np.zeros((1, 1, 1), object)})
    write_index(tmp_path, layouts.matched_trees(tmp_path / "photo", tmp_path / "sketch"))
    assert not (tmp_path / "dataset2.mat").exists()


def test_indices_are_compared_by_class_and_slot(tmp_path):
    """Against one of another class order, in which cow lacks a photo, the names of a dog are others, and ant has a
    column more; then against one of fewer rows and unknown classes."""
    plant(tmp_path, "photo", PHOTOS)
    plant(tmp_path, "sketch", SKETCHES)
    trees = layouts.matched_trees(tmp_path / "photo", tmp_path / "sketch")
    photos, *_ = write_index(tmp_path / "out", trees)
    rows = {name: [*PHOTOS, 0] for name in reversed(NAMES)}
    rows |= {"cow": [PHOTOS[1], 0, 0], "dog": ["x.jpg", PHOTOS[0], 0], "ant": [*PHOTOS, "more.jpg"]}
    other = tmp_path / "names_images.mat"
    matfiles.write(other, {"data": np.array(list(rows.values()), object), "classes": list(rows)})
    # as long: bee, dog, elk; of the 10 names cow lacks one and dog another
    expected = [f"{other}: 3 of 5 lists are as long as here, 8 of 10 names agree"]
    assert compare_index(photos, other) == expected
    matfiles.write(other, {"data": np.array([PHOTOS, PHOTOS], object)})
    assert compare_index(photos, other) == [f"{other}: 2 rows for 5 classes, and no 'classes' to compare them by"]


def test_pairs_of_another_index_are_compared_and_their_defects_named(tmp_path):
    """Photo 1 of each class names its first sketch twice; photo 2 is missing."""
    plant(tmp_path, "photo", PHOTOS)
    plant(tmp_path, "sketch", SKETCHES)
    *_, pairs = write_index(tmp_path / "out", layouts.matched_trees(tmp_path / "photo", tmp_path / "sketch"))
    other = tmp_path / "dataset2.mat"
    matfiles.write(other, {"datamat2": np.array([[[SKETCHES[0]] * 2]] * 5, object)})
    assert compare_index(pairs, other) == [
        f"{other}: 5 of 10 lists are as long as here, 5 of 15 names agree",
        f"{other}: 5 of 5 photos with several sketches name one and the same sketch in every slot",
    ]
