"""Embeddings files of every format, what is refused in them, and where their pictures are."""

import json

import numpy as np
import pytest
from helpers.toy_features import command_line, features_file, picture_tree

from zscmr.evaluation.embedding_files import read_embeddings, recorded_distance, relative_folder
from zscmr.formats import matfiles


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
    assert isinstance(read_embeddings(path).photo.vectors, np.memmap) == (form == "folder")


@pytest.mark.parametrize("name", ["f.mat", "f.npz", "f.npy", "folder"])
def test_broken_files_are_one_line(name, tmp_path, refused):
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"0123456789")
    assert str(path) in refused(read_embeddings, path)


def test_pictures_of_a_moved_project_are_found(tmp_path):
    """The project with its run and its pictures has another place; a folder of one name in common is not enough."""
    old, project = tmp_path / "old", tmp_path / "new"
    folders = {"picturesx": str(old / "data/mine/photo"), "picturesy": str(old / "sketch")}
    variables = features_file(project / "runs/0001/f.mat", **folders)
    picture_tree(project / "data/mine/photo", variables["namesx"])
    picture_tree(project / "sketch", variables["namesy"])
    features = read_embeddings(project / "runs/0001/f.mat")
    assert features.photo.folder == project / "data/mine/photo" and features.photo.path(0).exists()
    assert features.sketch.folder == old / "sketch"


@pytest.mark.parametrize("origin", [True, False])
def test_pictures_of_another_project_are_not_taken_for_those_of_a_moved_one(tmp_path, origin):
    """Above the moved run lies data/mine/photo of another project: in the wrong place, or with other pictures."""
    old, project = tmp_path / "old", tmp_path / "elsewhere/deep/new"
    relative = {"picturesx_relative": relative_folder(old / "data/mine/photo", old / "runs/0001")}
    folders = {"picturesx": str(old / "data/mine/photo"), **(relative if origin else {})}
    variables = features_file(project / "runs/0001/f.mat", **folders)
    others = variables["namesx"] if origin else ["cat/another.jpg"]
    picture_tree(tmp_path / "elsewhere/data/mine/photo", others)
    assert read_embeddings(project / "runs/0001/f.mat").photo.folder == old / "data/mine/photo"
    picture_tree(project / "data/mine/photo", variables["namesx"])
    assert read_embeddings(project / "runs/0001/f.mat").photo.folder == project / "data/mine/photo"


def stored(path, form, **changes):
    """An embeddings file of the toy variables in another form; a folder for `npy`. A bool array is logical in all."""
    variables = features_file(path.with_suffix(".mat"), **changes)
    arrays = {key: np.array(value) for key, value in variables.items() if value is not None}
    if form == "v7.3":
        matfiles.write(path.with_suffix(".mat"), {key: variables[key] for key in arrays}, large=1)
    elif form == "npz":
        np.savez(path.with_suffix(".npz"), **arrays)
        return path.with_suffix(".npz")
    elif form == "npy":
        path.mkdir()
        for key, value in arrays.items():
            np.save(path / f"{key}.npy", value)
        return path
    return path.with_suffix(".mat")


FORMS = ["v5", "v7.3", "npz", "npy"]
MASK = np.array([False, True, False, True])  # of the toy file's classes, cat and dog


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("shape", [(4,), (4, 1), (1, 4)])
def test_a_logical_mask_of_the_classes_is_a_mask(form, shape, tmp_path):
    features = read_embeddings(stored(tmp_path / "f", form, unseen=MASK.reshape(shape)))
    assert features.unseen.tolist() == [1, 3]


@pytest.mark.parametrize(
    ("changes", "unseen", "warned"),
    [
        ({"unseen": MASK.astype(float)}, [1, 3], "read as a mask"),
        ({"unseen": MASK.astype(np.uint8)}, [1, 3], "read as a mask"),
        ({"unseen": MASK.astype(float), "classes": None}, [1, 3], "read as a mask"),  # as many as the labels say
        ({"unseen": MASK, "classes": None}, [1, 3], ""),
        ({"unseen": np.array([1.0, 0])}, [0, 1], ""),  # no class twice: a list
        ({"unseen": np.array([0.0, 1]), "classes": ["ant", "cat"]}, [0, 1], "list of both"),
        ({"unseen": np.array([0.0, 1, 2, 3])}, [0, 1, 2, 3], ""),
        ({"unseen": np.array([3.0, 3, 2])}, [2, 3], ""),
    ],
)
def test_numbers_that_may_list_classes_or_mask_them(changes, unseen, warned, tmp_path, capsys):
    if changes.get("classes"):
        changes |= {"labelsx": np.arange(20) % 2, "labelsy": np.arange(12) % 2, "namesx": None, "namesy": None}
    assert read_embeddings(stored(tmp_path / "f", "npz", **changes)).unseen.tolist() == unseen
    err = capsys.readouterr().err
    assert warned in err if warned else not err


TEXTS = {"distance": "cosine", "leaked": "it saw all", "across": "one, other", "picturesx": "pictures"}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("as_stored", [str, lambda text: [text]], ids=["text", "cell of one"])
def test_a_text_is_read_however_it_is_stored(form, as_stored, tmp_path):
    texts = {key: as_stored(text) for key, text in TEXTS.items()}
    features = read_embeddings(stored(tmp_path / "f", form, **texts))
    assert (features.distance, features.leaked, features.across) == ("cosine", "it saw all", "one, other")
    assert str(features.photo.folder) == "pictures"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("key", TEXTS)
@pytest.mark.parametrize("value", [np.array([[1.0]]), ["cosine", "l1"], np.array([[True]])], ids=str)
def test_what_is_no_text_is_refused(form, key, value, tmp_path, refused):
    assert key in refused(read_embeddings, stored(tmp_path / "f", form, **{key: value}))


def test_texts_and_names_as_bytes(tmp_path, refused):
    path = stored(
        tmp_path / "f", "npz", distance=np.array(b"cosine"), classes=np.array([b"ant", b"cat", b"cow", b"dog"])
    )
    assert read_embeddings(path).distance == "cosine"
    assert read_embeddings(path).classes == ("ant", "cat", "cow", "dog")
    path = stored(tmp_path / "g", "npz", classes=np.array([b"\xff", b"cat", b"cow", b"dog"]))
    assert "classes: expected UTF-8" in refused(read_embeddings, path)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"unseen": MASK[:3]}, "or a mask of 4 classes, received logical of shape"),
        ({"unseen": np.repeat(MASK, 5)}, "or a mask of 4 classes, received logical"),  # a mask of pictures
        ({"unseen": np.array([0.0, 1, 1])}, "or a mask of 4 classes, received numbers 0 and 1"),
        ({"unseen": MASK & False}, "unseen: expected at least one class, received none"),
        ({"unseen": np.array([[2], [4]])}, "unseen row 1 (counted from 0): expected class indices 0 to 3, received 4"),
        ({"labelsx": np.repeat(np.arange(1, 5), 5)}, "they count from 0, these from 1"),
        (
            {
                "labelsx": np.arange(1, 4).repeat(5),
                "featuresx": np.eye(15, 6),
                "namesx": [f"{name}/p{row}" for name in ("ant", "cat", "cow") for row in range(5)],
            },
            "the class of namesx, received 1; labels count from 0",
        ),
        ({"labelsx": np.arange(20) < 9}, "labelsx: expected class indices 0 to 3, received a logical array"),
        ({"labelsx": np.full(20, 1e300), "classes": None}, "labelsx row 0"),
        (
            {"classes": ["ant", "cat", "Ant", "dog"]},
            "classes: class 'Ant' occurs twice (case, spaces, '_' and '-' do not count)",
        ),
        ({"distance": ""}, "distance: expected any of euclidean"),
        ({"distance": "manhattan"}, "received manhattan"),
    ],
)
def test_what_would_be_evaluated_wrongly_is_refused(changes, fault, tmp_path, refused):
    assert fault in refused(read_embeddings, stored(tmp_path / "f", "npz", **changes))


def test_labels_that_seem_to_count_from_1_are_warned_of(tmp_path, capsys):
    labels = {"labelsx": np.arange(20) % 3 + 1, "labelsy": np.arange(12) % 3 + 1}
    read_embeddings(stored(tmp_path / "f", "npz", **labels, namesx=None, namesy=None))
    assert "labels are 1 to 3, so no picture is of class ant" in capsys.readouterr().err


def test_labels_of_other_classes_than_the_names_are_warned_of(tmp_path, capsys):
    read_embeddings(stored(tmp_path / "f", "npz", labelsx=np.repeat([0, 1, 2, 0], 5)))
    assert "labelsx differ from the classes in namesx in 5 rows, the first row 15" in capsys.readouterr().err


def test_control_characters_do_not_reach_the_terminal(tmp_path, capsys):
    names = {"classes": ["ant", "c\x1b[31mat", "cow", "dog\u202e"], "namesx": None, "namesy": None}
    command_line(stored(tmp_path / "f", "v5", **names, leaked="all\x07 of it"), "--per-class")
    printed = "".join(capsys.readouterr())
    assert "c\ufffd[31mat" in printed and "all\ufffd of it" in printed
    assert all(letter.isprintable() or letter == "\n" for letter in printed)


def test_a_file_without_a_distance_is_euclidean(tmp_path):
    features_file(tmp_path / "f.mat")
    assert recorded_distance(tmp_path / "f.mat") == "euclidean"
