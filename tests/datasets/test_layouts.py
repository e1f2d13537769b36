"""Archives are read as they unpack, and counted; empty files stand in for pictures."""

from pathlib import Path

import numpy as np
import pytest
from helpers.toy_trees import NAMES, PHOTOS, SKETCHES, plant

from zscmr.datasets import layouts, literature
from zscmr.datasets.classes import read_class_list


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


def test_quickdraw_as_unpacked(tmp_path, capsys):
    """Its published counts are rounded; the unseen list has exact ones."""
    unseen = read_class_list(literature.SPLITS / "quickdraw-30-dey.txt")
    assert len(unseen) == 30
    plant(tmp_path, "QuickDraw_images_final", ("1.jpg", "2.jpg"), unseen)
    plant(tmp_path, "QuickDraw_sketches_final", ("1.png",), unseen)
    trees = {modality: layouts.list_pictures(tmp_path, modality) for modality in ("photo", "sketch")}
    assert [len(tree.files) for tree in trees.values()] == [60, 30]
    layouts.compare_counts(trees, unseen)
    output = capsys.readouterr().err
    assert "60 photo pictures; the literature has 204,000 (Dey et al. 2019, rounded)" in output
    assert "30 sketch pictures of the unseen classes; the literature has 92,291 for quickdraw-30-dey.txt" in output
    [known] = (known for known in literature.DATASETS if known.rounding > 1)
    assert known.published(203_885, known.photos) and not known.published(60, known.photos)


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
    output = capsys.readouterr().err
    assert f"{2 * len(classes):,} photo pictures; the literature has 12,500 (Sketchy), 73,002 (Sketchy-ext" in output
    assert "75 sketch pictures of the unseen classes; the literature has 15,229 for sketchy-25-sake.txt" in output
    layouts.compare_counts({m: tree.take(tree.labels < 9) for m, tree in trees.items()}, ["ant"])
    capsys.readouterr()
    plant(tmp_path, "other", PHOTOS)
    layouts.compare_counts({"photo": layouts.list_pictures(tmp_path / "other", "photo")}, ["ant"])
    assert capsys.readouterr().err == ""


def test_many_classes_are_not_all_named():
    assert layouts._first_names([f"c{number}" for number in range(22)]).endswith("c18, c19 and 2 more")
    assert layouts._first_names(["ant", "bee"]) == "ant, bee"


def test_sketches_without_photos_are_kept_apart_on_demand(tmp_path, capsys):
    plant(tmp_path, "photo", PHOTOS)
    plant(tmp_path, "sketch", SKETCHES)
    for name in ("owl", "gnu"):
        (tmp_path / "sketch" / name).mkdir()
        (tmp_path / "sketch" / name / f"{name}.png").touch()
    roots = tmp_path / "photo", tmp_path / "sketch"
    paired = layouts.matched_trees(*roots)
    assert set(paired) == {"photo", "sketch"}
    assert "2 classes have no photo folder and are left out: gnu, owl" in capsys.readouterr().err
    trees = layouts.matched_trees(*roots, unpaired=True)
    assert capsys.readouterr().err == ""
    assert trees["unpaired"].classes == ("gnu", "owl") and trees["unpaired"].labels.tolist() == [0, 1]
    assert [Path(file).name for file in trees["unpaired"].files] == ["gnu.png", "owl.png"]
    assert trees["sketch"].files == paired["sketch"].files and trees["photo"].files == paired["photo"].files
