"""Embeddings files of every format, where their pictures are, and the rows that protocols choose."""

import json

import numpy as np
import pytest
from helpers.toy_features import command_line, features_file, picture_tree

from zscmr.commands import evaluate as knn_eval
from zscmr.evaluation import embeddings


@pytest.mark.parametrize("form", ["npz", "folder"])
def test_numpy_files_give_the_same_numbers(form, tmp_path):
    variables = features_file(tmp_path / "f.mat", distance="cosine", leaked="seen")
    arrays = {key: np.array(value) for key, value in variables.items()}
    if form == "npz":
        path = tmp_path / "f.npz"
        np.savez(path, **arrays)
    else:
        path = tmp_path / "f"
        path.mkdir()
        for key, value in arrays.items():
            np.save(path / f"{key}.npy", value)
    for file in (path, tmp_path / "f.mat"):
        command_line(file, "--json", tmp_path / f"{file.suffix}.json")
    ours, matlab = (json.loads((tmp_path / f"{suffix}.json").read_text()) for suffix in (path.suffix, ".mat"))
    assert ours | {"features": ""} == matlab | {"features": ""}
    assert isinstance(knn_eval.load(path).photo.vectors, np.memmap) == (form == "folder")


@pytest.mark.parametrize("name", ["f.mat", "f.npz", "f.npy", "folder"])
def test_broken_files_are_one_line(name, tmp_path, refused):
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"0123456789")
    assert str(path) in refused(knn_eval.load, path)


def test_pictures_of_a_moved_project_are_found(tmp_path):
    """The project with its run and its pictures has another place; a folder of one name in common is not enough."""
    old, project = tmp_path / "old", tmp_path / "new"
    folders = {"picturesx": str(old / "data/mine/photo"), "picturesy": str(old / "sketch")}
    variables = features_file(project / "runs/0001/f.mat", **folders)
    picture_tree(project / "data/mine/photo", variables["namesx"])
    picture_tree(project / "sketch", variables["namesy"])
    features = knn_eval.load(project / "runs/0001/f.mat")
    assert features.photo.folder == project / "data/mine/photo" and features.photo.path(0).exists()
    assert features.sketch.folder == old / "sketch"


@pytest.mark.parametrize("origin", [True, False])
def test_pictures_of_another_project_are_not_taken_for_those_of_a_moved_one(tmp_path, origin):
    """Above the moved run lies data/mine/photo of another project: in the wrong place, or with other pictures."""
    old, project = tmp_path / "old", tmp_path / "elsewhere/deep/new"
    place = {"picturesx_relative": embeddings.relative_place(old / "data/mine/photo", old / "runs/0001")}
    folders = {"picturesx": str(old / "data/mine/photo"), **(place if origin else {})}
    variables = features_file(project / "runs/0001/f.mat", **folders)
    others = variables["namesx"] if origin else ["cat/another.jpg"]
    picture_tree(tmp_path / "elsewhere/data/mine/photo", others)
    assert knn_eval.load(project / "runs/0001/f.mat").photo.folder == old / "data/mine/photo"
    picture_tree(project / "data/mine/photo", variables["namesx"])
    assert knn_eval.load(project / "runs/0001/f.mat").photo.folder == project / "data/mine/photo"


def test_generalised_zero_shot(tmp_path):
    labels = np.repeat(np.arange(4), 10)[:, None]
    random = np.random.default_rng(0)
    arrays = {key: random.normal(size=(40, 3)) for key in ("featuresx", "featuresy")}
    features_file(tmp_path / "f.mat", **arrays, labelsx=labels, labelsy=labels, namesx=None, namesy=None)
    loaded = knn_eval.load(tmp_path / "f.mat")
    drawn = embeddings.generalised(loaded, "sempcyc", seed=1).photo
    assert np.isin(drawn.labels, [1, 3]).sum() == 20 and np.isin(drawn.labels, [0, 2]).sum() == 4  # 20 % of 20
    command = (tmp_path / "f.mat", "--json", tmp_path / "r.json", "--directions", "sketch->image", "--generalised")
    command_line(*command, "pcmsn")
    results = json.loads((tmp_path / "r.json").read_text())
    everything = knn_eval.evaluate(
        arrays["featuresx"], arrays["featuresy"][np.isin(labels.ravel(), [1, 3])], labels, np.repeat([1, 3], 10)
    )["directions"]["sketch->image"]
    assert results["directions"]["sketch->image"] == pytest.approx(everything)  # unseen queries, the whole gallery
    unseen, seen = (results[part]["sketch->image"]["mAP@all"] for part in ("directions", "seen"))
    assert results["harmonic"]["sketch->image"]["mAP@all"] == pytest.approx(2 / (1 / unseen + 1 / seen))
    command_line(*command, "sempcyc")
    results = json.loads((tmp_path / "r.json").read_text())
    assert [results[part]["sketch->image"]["queries"] for part in ("directions", "seen")] == [20, 4]
    assert results["directions"]["sketch->image"]["gallery"] == 24


def test_paired_and_repeated_photos_leave(tmp_path, capsys):
    names = {
        "namesx": [f"cat/p{row // 2}.jpg" for row in range(20)],
        "namesy": [f"cat/p{row}-1.png" for row in range(12)],
    }
    every = {"labelsx": np.ones((20, 1)), "labelsy": np.ones((12, 1)), "unseen": np.array([[1]])}
    features_file(tmp_path / "f.mat", **names, **every)  # photos p0 … p9 twice each, sketches of p0 … p11
    command_line(tmp_path / "f.mat", "--dedupe", "--directions", "sketch->image", "--json", tmp_path / "r.json")
    assert "10 of 20 photos listed before left out" in capsys.readouterr().out
    assert json.loads((tmp_path / "r.json").read_text())["directions"]["sketch->image"]["gallery"] == 10
    features_file(tmp_path / "f.mat", **{**names, "namesy": [f"cat/p{row}-2.png" for row in range(7, 19)]}, **every)
    command_line(tmp_path / "f.mat", "--drop-paired", "--directions", "sketch->image", "--json", tmp_path / "r.json")
    assert "6 of 20 photos a sketch was drawn from left out" in capsys.readouterr().out  # p7, p8, p9
    assert json.loads((tmp_path / "r.json").read_text())["directions"]["sketch->image"]["gallery"] == 14
    # without names the embedding decides
    repeated = np.repeat(np.eye(6)[:5], 4, axis=0)
    features_file(tmp_path / "f.mat", featuresx=repeated, namesx=None, namesy=None, **every)
    assert embeddings.dedupe(knn_eval.load(tmp_path / "f.mat"))[1] == 15
