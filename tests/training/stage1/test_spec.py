"""A CNN's description survives pictures.json; older and damaged ones are read or refused."""

import dataclasses
import json

import pytest

from zscmr.backbones import backbone
from zscmr.training.stage1.spec import CnnSpec
from zscmr.utils.files import file_hash


def spec(**choices):
    return CnnSpec(backbone("small"), **{"train": "head", "pool": "average", "dense": 8, **choices})


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"size": 48, "ink": 0.1, "shrink": 128, "precision": "bfloat16"},
        {"train": "joint", "dense": 0, "pool": "root", "objective": "contrast", "views": 4},
    ],
)
def test_what_is_recorded_is_read(choices):
    cnn = spec(**choices)
    assert CnnSpec.read(json.loads(json.dumps(cnn.record())), "photo") == cnn


def test_sketches_have_what_differs(tmp_path):
    file = tmp_path / "w.npz"
    file.write_bytes(b"weights")
    photo, sketch = spec(), spec(dense=9).with_weights(file)
    assert sketch.weights_sha256 == file_hash(file)
    differing = {key: value for key, value in sketch.record().items() if value != photo.record()[key]}
    about = photo.record() | {"sketch": differing}
    assert CnnSpec.read(about, "photo") == photo and CnnSpec.read(about, "sketch") == sketch


def test_an_older_record_is_of_float32():
    about = spec().record()
    for key in ("precision", "shrink", "weights_file"):
        del about[key]
    assert CnnSpec.read(about, "sketch") == spec()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("backbone", None),
        ("backbone", "nothing"),
        ("train", ["all"]),
        ("pool", "other"),
        ("dense", -1),
        ("dense", True),
        ("dense", "8"),
        ("size", 0),
        ("size", 1.5),
        ("ink", 2),
        ("ink", "thick"),
        ("shrink", {}),
        ("objective", "other"),
        ("precision", "float64"),
        ("weights_sha256", 5),
        ("views", 3),
        ("views", True),
    ],
)
def test_damaged_record_is_refused(refused, key, value):
    message = refused(CnnSpec.read, {**spec().record(), key: value}, "photo")
    assert key in message


def test_own_space_and_preprocessing():
    assert not spec().gives_embeddings and not spec(train="joint", objective="contrast").gives_embeddings
    assert spec(train="joint", objective="tuned").gives_embeddings
    assert spec().trained and not spec(train="nothing").trained
    usual = backbone("small").preprocessing
    assert spec().preprocessing("sketch") == usual
    assert spec(size=9, ink=0.5).preprocessing("sketch") == dataclasses.replace(usual, size=9, ink=0.5)
