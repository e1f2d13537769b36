"""The weight files of a run's CNNs: found where they are, refused where they are others."""

import json
from pathlib import Path

import pytest

from zscmr.formats.dataset_directory import PICTURES
from zscmr.training.cnn_weights import find_weights
from zscmr.utils.files import file_hash

RUN = Path("runs/one")


@pytest.fixture
def trained(tmp_path):
    """(provenance of CNNs that were trained, the dataset directory with them)."""
    for modality in ("photo", "sketch"):
        (tmp_path / f"{modality}.weights.h5").write_bytes(modality.encode())
    digests = {modality: file_hash(tmp_path / f"{modality}.weights.h5") for modality in ("photo", "sketch")}
    provenance = {"backbone": "small", "train": "all", "pool": "average", "dense": 0, "weights_sha256": None}
    provenance |= {"cnn_sha256": digests}
    (tmp_path / PICTURES).write_text(json.dumps(provenance))
    return provenance, tmp_path


def test_trained_weights_lie_in_one_of_the_directories(trained, tmp_path):
    provenance, folder = trained
    for folders, expected in (((tmp_path / "none", folder), None), ((tmp_path / "none",), folder)):
        file = find_weights(provenance, folders, "sketch", expected, RUN)
        assert file == folder / "sketch.weights.h5"


def test_missing_and_changed_weights_are_named(trained, tmp_path, refused):
    provenance, folder = trained
    message = refused(find_weights, provenance, (tmp_path / "none",), "photo", None, RUN)
    assert message == f"{tmp_path / 'none'}: no photo.weights.h5; --weights names the directory where it is now"
    message = refused(find_weights, provenance, (folder,), "photo", folder / "photo.weights.h5", RUN)
    assert "expected the dataset directory that holds photo.weights.h5" in message
    (folder / "photo.weights.h5").write_bytes(b"other")
    message = refused(find_weights, provenance, (folder,), "photo", None, RUN)
    assert message.endswith("not the weights that made the features of runs/one; its content has changed")
    changed = provenance | {"pool": "flatten"}
    message = refused(find_weights, changed, (folder,), "sketch", None, RUN)
    assert message.endswith("is of other features than those of runs/one, made with another pool")


def test_features_of_unknown_or_random_cnns_are_refused(tmp_path, refused):
    message = refused(find_weights, {"photos": "x"}, (tmp_path,), "photo", None, RUN)
    assert message.startswith("runs/one: search needs the CNNs that made its features, and they were made elsewhere")
    frozen = {"backbone": "small", "train": "nothing", "pool": "average", "dense": 0, "weights_sha256": None}
    message = refused(find_weights, frozen, (tmp_path,), "photo", None, RUN)
    assert message == "runs/one: search needs its CNNs, and they were random ones that nothing keeps"


def test_moved_weights_of_a_frozen_backbone(tmp_path, refused):
    file = tmp_path / "vgg16.npz"
    file.write_bytes(b"weights")
    frozen = {"backbone": "vgg16", "train": "nothing", "pool": "flatten", "dense": 0, "weights": "vgg16.npz"}
    frozen |= {"weights_sha256": file_hash(file), "weights_file": str(tmp_path / "gone.npz")}
    message = refused(find_weights, frozen, (tmp_path,), "photo", None, RUN)
    assert message.endswith("gone.npz: no such file, the weights of the CNN; --weights says where they are now")
    assert find_weights(frozen, (tmp_path,), "photo", file, RUN) == file
    file.write_bytes(b"others")
    message = refused(find_weights, frozen, (tmp_path,), "photo", file, RUN)
    assert message == f"{file}: not the weights that made the features of runs/one, which are vgg16.npz"
