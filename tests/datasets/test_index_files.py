"""The index of two picture trees comes from file names; empty files stand in for pictures."""

import numpy as np
import pytest
from helpers.project import load_script
from helpers.toy_trees import NAMES, PHOTOS, SKETCHES, plant

from zscmr.datasets import layouts
from zscmr.datasets.index_files import compare_index, write_index
from zscmr.formats import matfiles

index_script = load_script("pretrain/index_files.py")


def test_index_pairs_each_sketch_with_its_photo(tmp_path):
    """Photo 2 of each class has one sketch, photo 1 two; a sketch without photo, or of another form, has no place."""
    plant(tmp_path, "photo", PHOTOS)
    plant(tmp_path, "sketch", (*SKETCHES, "n09_9-1.png", "doodle.png"))
    index_script.main(
        index_script.Settings(photos=tmp_path / "photo", sketches=tmp_path / "sketch", out=tmp_path / "out")
    )
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
    index_script.main(index_script.Settings(photos=tmp_path / "photo", sketches=tmp_path / "sketch", out=tmp_path))
    assert not (tmp_path / "dataset2.mat").exists()


@pytest.mark.slow
def test_released_index_agrees_where_it_is_right(real_data, tmp_path, capsys):
    """A tree of empty files with the released names, in the class folders of the slice. 12,500 photos and 75,481
    sketches agree; dataset2.mat counts right but gives each photo one name only, mostly of another photo's sketch."""
    out = tmp_path / "out"
    classes = sorted(folder.name for folder in (real_data / "sketchy-mini/photo").iterdir())
    for modality, (file, key) in (("photo", ("names_images.mat", "data")), ("sketch", ("names_sketches.mat", "data3"))):
        for name, row in zip(classes, matfiles.read(real_data / "released" / file, key), strict=True):
            (tmp_path / modality / name).mkdir(parents=True)
            for entry in row:
                if isinstance(entry, str):
                    (tmp_path / modality / name / entry).touch()
            slice_names = {path.name for path in (real_data / "sketchy-mini" / modality / name).iterdir()}
            assert slice_names <= set(row), f"{name} is not the class of this row"
    trees = {"photos": tmp_path / "photo", "sketches": tmp_path / "sketch"}
    index_script.main(index_script.Settings(**trees, out=out, against=real_data / "released"))
    output = capsys.readouterr().out.splitlines()
    report = [line.split(".mat: ")[1] for line in output if line.startswith(str(real_data))]
    assert report == [
        "125 of 125 lists are as long as here, 12,500 of 12,500 names agree",
        "125 of 125 lists are as long as here, 75,481 of 75,481 names agree",
        "12,500 of 12,500 lists are as long as here, 125 of 75,481 names agree",
        "12,500 of 12,500 photos with several sketches name one and the same sketch in every slot",
    ]
    for file, key in (("names_images.mat", "data"), ("names_sketches.mat", "data3")):
        ours, theirs = matfiles.read(out / file, key), matfiles.read(real_data / "released" / file, key)
        np.testing.assert_array_equal(ours, theirs)
    assert matfiles.read(out / "dataset2.mat", "datamat2").shape == (125, 100, 18)


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
