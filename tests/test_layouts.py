"""Archives are read as they unpack, counted, and indexed by file name; empty files stand in for pictures."""

from pathlib import Path

import numpy as np
import pytest
from conftest import load_script

import UxUyLoader as loader
from zscmr import layouts, literature, matfiles, released
from zscmr.classes import read_class_list

NAMES = ("ant", "bee", "cow", "dog", "elk")

index_script = load_script("pretrain/index_files.py")


def plant(root, folder, files, classes=NAMES):
    for name in classes:
        for file in files:
            path = root / folder / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()


PHOTOS, SKETCHES = ("n01_1.jpg", "n01_2.jpg"), ("n01_1-1.png", "n01_1-2.png", "n01_2-1.png")


@pytest.mark.parametrize("above", [True, False])
def test_sketchy_as_unpacked(tmp_path, above, capsys):
    """Either the archive's folder or that of one modality is named; the shifted versions are not read."""
    for version in ("tx_000000000000", "tx_000100000000"):
        plant(tmp_path, f"256x256/photo/{version}", PHOTOS)
    plant(tmp_path, "256x256/sketch/tx_000000000000", SKETCHES)
    photos, sketches = (tmp_path, tmp_path) if above else (tmp_path / "256x256/photo", tmp_path / "256x256/sketch")
    tree = layouts.list_pictures(photos, "photo")
    assert tree.classes == NAMES and len(tree.files) == 10 and tree.root.name == "tx_000000000000"
    assert len(layouts.list_pictures(sketches, "sketch").files) == 15
    assert "its 1 shifted or scaled versions are not" in capsys.readouterr().out


@pytest.mark.parametrize(("duplicates", "count"), [("drop", 5 * 4), ("keep", 5 * 6)])
def test_sketchy_extended_counts_each_original_once(tmp_path, duplicates, count, capsys):
    """The extension holds the 2 originals of a class again, beside 2 new photos."""
    plant(tmp_path, "photo/tx_000000000000", PHOTOS)
    plant(tmp_path, "EXTEND_image_sketchy", (*PHOTOS, "ext_1.jpg", "ext_2.jpg"))
    tree = layouts.list_pictures(tmp_path, "photo", duplicates)
    assert len(tree.files) == count and np.bincount(tree.labels).tolist() == [count // 5] * 5
    assert "10 photo pictures lie in two folders" in capsys.readouterr().out
    assert all((tree.root / file).exists() for file in tree.files)


@pytest.mark.parametrize(("duplicates", "files"), [("drop", ["ext_1", "n01_1"]), ("keep", ["ext_1", "n01_1", "n01_1"])])
def test_first_of_each_class_counts_a_picture_kept_twice_once(tmp_path, duplicates, files):
    plant(tmp_path, "photo/tx_000000000000", PHOTOS)
    plant(tmp_path, "EXTEND_image_sketchy", (*PHOTOS, "ext_1.jpg", "x_2.jpg"))
    tree = layouts.first_of_each_class(layouts.list_pictures(tmp_path, "photo", duplicates), 2, "photo")
    assert [Path(file).stem for file in tree.files] == files * 5
    assert tree.labels.tolist() == [label for label in range(5) for _ in files]


@pytest.mark.parametrize("photos", ["images", "ImageResized"])
def test_tu_berlin_as_unpacked(tmp_path, photos):
    plant(tmp_path, photos, ("1.JPEG", "2.JPG", "3.jpg", "4.png", "notes.txt"))
    plant(tmp_path, "sketches", ("1.png",))
    assert len(layouts.list_pictures(tmp_path, "photo").files) == 20
    assert len(layouts.list_pictures(tmp_path, "sketch").files) == 5


def test_class_called_as_a_container_is_a_class(tmp_path):
    plant(tmp_path, ".", ("1.png",), ("images", "photo", "ant"))
    assert layouts.list_pictures(tmp_path, "photo").classes == ("ant", "images", "photo")


def test_missing_original_version_is_named(tmp_path, refused):
    plant(tmp_path, "tx_000100000000", PHOTOS)
    message = refused(layouts.list_pictures, tmp_path, "photo")
    assert message == f"{tmp_path}: expected the folder tx_000000000000 among its tx_ folders, found tx_000100000000"


def test_counts_that_differ_from_the_literature_are_said(tmp_path, capsys):
    """A dataset is recognised by holding all classes of its published lists; one of other classes is not compared."""
    classes = {name for file in literature.SPLITS.glob("sketchy-*.txt") for name in read_class_list(file)}
    plant(tmp_path, "photo", PHOTOS, classes)
    plant(tmp_path, "sketch", SKETCHES, classes)
    trees = {modality: layouts.list_pictures(tmp_path / modality, modality) for modality in ("photo", "sketch")}
    layouts.compare_counts(trees, read_class_list(literature.SPLITS / "sketchy-25-sake.txt"))
    told = capsys.readouterr().err
    assert f"{2 * len(classes):,} photo pictures; the literature has 12,500 (Sketchy), 73,002 (Sketchy-ext" in told
    assert "75 sketch pictures of the unseen classes; the literature has 15,229 for sketchy-25-sake.txt" in told
    layouts.compare_counts({m: tree.take(tree.labels < 9) for m, tree in trees.items()}, ["ant"])
    capsys.readouterr()
    plant(tmp_path, "other", PHOTOS)
    layouts.compare_counts({"photo": layouts.list_pictures(tmp_path / "other", "photo")}, ["ant"])
    assert capsys.readouterr().err == ""


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


def test_defects_are_recognised_by_content():
    cell = np.array([[["a-1", "a-1"], ["b-1", 0]], [["c-1", "c-2"], [0, 0]]], dtype=object)
    assert released.index_defects(cell) == [
        "1 of 2 photos with several sketches name one and the same sketch in every slot"
    ]
    assert released.vector_defects(np.array([[1.0, 2], [3, 4], [1, 2]])) == ["rows 0 and 2 (from 0) are identical"]
    assert released.vector_defects(np.eye(3)) == released.graph_defects(np.eye(2)) == []


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
    told = capsys.readouterr().out.splitlines()
    report = [line.split(".mat: ")[1] for line in told if line.startswith(str(real_data))]
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


def test_released_files_name_their_defects_when_read(real_data, capsys):
    folder = real_data / "released"
    for read, file, words in (
        (loader.read_class_vectors, "wv_embeddings.mat", "rows 5 (armor) and 6 (axe) both hold 'metal'"),
        (loader.read_class_vectors, "wv_anjan_glove.mat", "rows 91 to 93 (from 0) are seagull, seal, sea_turtle"),
        (loader.read_class_vectors, "wv_anjan_semantic_labels.mat", "its 250 rows are in no known order"),
        (loader.read_class_graph, "mst_graph.mat", "3 of its 124 edges belong to the Euclidean tree"),
    ):
        read(folder / file)
        assert f"warning: {folder / file}: " in (told := capsys.readouterr().err) and words in told
