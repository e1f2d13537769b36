"""Means of scores: R = 0, seen and unseen."""

import json

import numpy as np
from helpers.toy_features import command_line, features_file


def test_queries_with_nothing_to_find_are_counted(tmp_path, capsys):
    """Photos of ant (seen), cat and dog (unseen); two sketches each of ant, cow (both seen), cat and dog: cow's two
    have R = 0. Within the sketches each has the other of its class."""
    labels = {"labelsx": np.array([[0], [1], [3]]), "labelsy": np.array([[0], [0], [2], [2], [1], [1], [3], [3]])}
    random = np.random.default_rng(0)
    arrays = {"featuresx": random.normal(size=(3, 3)), "featuresy": random.normal(size=(8, 3))}
    features_file(tmp_path / "f.mat", **arrays, **labels, namesx=None, namesy=None)
    flags = ("--json", tmp_path / "r.json", "--directions", "sketch->image", "sketch->sketch")
    command_line(tmp_path / "f.mat", *flags, "--generalised", "pcmsn")
    empty = json.loads((tmp_path / "r.json").read_text())["without_relevant"]
    assert empty["directions"] == {"sketch->image": 0, "sketch->sketch": 0}
    assert empty["seen"] == {"sketch->image": 2, "sketch->sketch": 0}
    out = capsys.readouterr().out
    assert "A query with R = 0 counts 0 (sketch->image seen: 2 of 4);" in " ".join(out.split())
    rows = ["sketch->image unseen", "sketch->image seen", "sketch->image harmonic"]
    assert [" ".join(line.split()[:2]) for line in out.splitlines()[2:5]] == rows
