"""Another file of the same pictures, and every convention side by side."""

import json
import re

import numpy as np
import pytest
from helpers.toy_features import command_line, features_file, unseen_arrays

from zscmr.commands import evaluate as knn_eval


def test_against_another_file(tmp_path, capsys, refused):
    features_file(tmp_path / "a.mat")
    variables = {"featuresx": np.random.default_rng(9).normal(size=(20, 6))}
    features_file(tmp_path / "b.mat", **variables)
    flags = ("--directions", "sketch->image", "--json", tmp_path / "r.json")
    means = []
    for name in ("a", "b"):
        command_line(tmp_path / f"{name}.mat", *flags)
        means.append(json.loads((tmp_path / "r.json").read_text())["directions"]["sketch->image"]["mAP@all"])
    command_line(tmp_path / "a.mat", *flags, "--against", tmp_path / "b.mat")
    test = json.loads((tmp_path / "r.json").read_text())["against"]["directions"]["sketch->image"]["mAP@all"]
    assert test["difference"] == pytest.approx(means[0] - means[1])
    assert test["interval"][0] <= test["difference"] <= test["interval"][1] and 0 < test["p"] <= 1
    assert f"{means[0] - means[1]:+.3f}" in capsys.readouterr().out
    features_file(tmp_path / "c.mat", labelsx=np.repeat([1, 3, 0, 2], 5)[:, None])
    settings = knn_eval.Settings(features=tmp_path / "a.mat", against=tmp_path / "c.mat")
    assert "not the pictures of" in refused(knn_eval.main, settings)
    features_file(tmp_path / "d.mat", distance="cosine", **variables)
    for flags, ours, theirs in (((), "euclidean", "cosine"), (("--distance", "l1"), "l1", "l1")):
        capsys.readouterr()
        command_line(tmp_path / "a.mat", "--against", tmp_path / "d.mat", *flags)
        output = " ".join(capsys.readouterr().out.split())
        assert f"{tmp_path / 'a.mat'} ({ours}) minus {tmp_path / 'd.mat'} ({theirs})" in output
        assert ("by the distance recorded in it" in output) == (ours != theirs)


def test_compare_prints_every_convention(tmp_path, capsys):
    features_file(tmp_path / "f.mat", leaked="the CNNs saw all")
    command_line(tmp_path / "f.mat", "--compare", "--directions", "sketch->image", "--json", tmp_path / "r.json")
    results = json.loads((tmp_path / "r.json").read_text())
    rows = results["compare"]["sketch->image"]
    assert rows["mAP@all raw"]["euclidean"] == results["directions"]["sketch->image"]["mAP@all"]
    sake = knn_eval.evaluate(*unseen_arrays(tmp_path / "f.mat"), protocol="sake")["directions"]["sketch->image"]
    assert rows["mAP@all interpolated, class means"]["normalised"] == pytest.approx(sake["mAP@all"])
    out = capsys.readouterr().out
    for name in rows:
        assert re.search(rf"^  {re.escape(name)}  +\d", out, re.MULTILINE)
    assert out.count("WARNING: the CNNs saw all") == 2  # once under each table
