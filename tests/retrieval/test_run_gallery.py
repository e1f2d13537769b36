"""The tables of runs and encoders: whose embeddings they hold, and with which windows they begin."""

import json

import numpy as np
import pytest

from zscmr.formats import matfiles
from zscmr.inference.windows import Windows
from zscmr.retrieval.run_gallery import (
    encoder_identity,
    identity_of,
    leaked,
    open_encoder_table,
    open_run_table,
)
from zscmr.utils.files import file_hash

WINDOWS = Windows("fast", 32, 4, ((2, 2),), 0.1)


def write_about(folder, windows=(), **entries):
    """about.json of an encoder of 3 numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    entry = {"sha256": "ab12", "size": 28, "resample": 2, "crop": "squash", "fraction": 1.0, "shrink": None, "dim": 3}
    about = {"photo": entry | {"windows": [one.record() for one in windows]}, "sketch": entry, "distance": "cosine"}
    about |= {"classes": {"seen": ["ant"], "held_out": []}} | entries
    (folder / "about.json").write_text(json.dumps(about))
    return folder


@pytest.fixture
def run(tmp_path):
    """A finished run of four photos, one of them listed twice, and two sketches."""
    folder, random = tmp_path / "run", np.random.default_rng(0)
    folder.mkdir()
    variables = {"classes": ["ant", "bee"], "unseen": np.array([[1]]), "distance": "cosine", "leaked": "bee leaked"}
    for letter, names, labels in (("x", ["a/1", "a/2", "b/3", "a/1"], [0, 0, 1, 0]), ("y", ["a/4", "b/5"], [0, 1])):
        variables |= {f"features{letter}": random.normal(size=(len(names), 3)).astype(np.float32)}
        variables |= {f"labels{letter}": np.array(labels)[:, None], f"names{letter}": names}
    matfiles.write(folder / "unified_features.mat", variables)
    return folder


def test_a_run_begins_with_its_own_pictures(run):
    file = run / "unified_features.mat"
    identity = identity_of(run)
    assert (identity.dim, identity.distance, identity.digest) == (3, "cosine", file_hash(file))
    photos = open_run_table(run).pictures("photo")
    assert photos.names.tolist() == ["a/1", "a/2", "b/3"] and photos.unseen.tolist() == [False, False, True]
    np.testing.assert_array_equal(photos.vectors, matfiles.read(file, "featuresx")[:3])
    assert open_run_table(run).count("sketch") == 2 and leaked(run) == "bee leaked"


def test_a_runs_own_pictures_have_no_windows_but_those_added_may(run, refused):
    assert "has no encoders yet" in refused(open_run_table, run, mode="fast")
    write_about(run / "encoders", [WINDOWS])
    table = open_run_table(run)
    assert table.identity.windows == WINDOWS and table.pictures("photo").window_counts.tolist() == [0, 0, 0]
    assert open_run_table(run, run / "other", mode="0").identity.windows is None


def test_the_table_of_an_encoder(tmp_path, run, refused):
    folder = write_about(tmp_path / "encoder", [WINDOWS])
    identity = encoder_identity(folder)
    assert (identity.dim, identity.distance, identity.digest) == (3, "cosine", "ab12")
    assert encoder_identity(write_about(run / "encoders")) == identity_of(run)
    assert "no such gallery" in refused(open_encoder_table, tmp_path / "none", folder, make=False)
    assert open_encoder_table(tmp_path / "g", folder).identity.windows == WINDOWS
    assert open_encoder_table(tmp_path / "h", folder, mode="0").identity.windows is None
    message = refused(encoder_identity, write_about(tmp_path / "odd", distance="far"))
    assert "about.json: 'distance': expected any of" in message


def test_an_unfinished_run_is_refused(tmp_path, refused):
    assert f"python Unified_XY_triads.py --path {tmp_path} --resume ends the run" in refused(identity_of, tmp_path)


def test_a_run_without_unseen_classes_and_an_encoder_have_tables(run, tmp_path):
    content = {key: matfiles.read(run / "unified_features.mat", key) for key in ("featuresx", "featuresy")}
    labels = {"labelsx": np.array([[0], [0], [1], [0]]), "labelsy": np.array([[0], [1]])}
    matfiles.write(run / "unified_features.mat", content | labels | {"unseen": np.empty((0, 1)), "distance": "cosine"})
    assert open_run_table(run).pictures("photo").unseen.tolist() == [False] * 4
    table = open_run_table(write_about(tmp_path / "encoder", [WINDOWS]))
    assert (table.location, table.count("photo")) == (str(tmp_path / "encoder/search"), 0)
