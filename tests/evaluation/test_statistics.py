"""Intervals and paired tests."""

import itertools
import json

import numpy as np
import pytest
from helpers.toy_features import command_line, features_file

from zscmr.commands import evaluate as knn_eval
from zscmr.evaluation import statistics


def test_intervals_cover_the_mean_as_often_as_they_say():
    random = np.random.default_rng(0)
    covered = 0
    for seed in range(300):
        values = random.normal(0.5, 0.2, 80)
        low, high = statistics.intervals({"mAP": values}, np.zeros(80), draws=300, seed=seed)["mAP"]
        covered += low <= 0.5 <= high
    assert 0.91 < covered / 300 < 0.98
    labels = np.repeat([0, 1], [70, 10])  # class means weigh the ten as much as the seventy
    values = np.where(labels == 0, 0.2, 0.8)
    assert statistics.mean(values, labels, class_means=True) == pytest.approx(0.5)
    interval = statistics.intervals({"mAP": values}, labels, class_means=True)["mAP"]
    assert interval == pytest.approx((0.5, 0.5))


def test_paired_test_against_all_sign_assignments():
    random = np.random.default_rng(2)
    first, second = random.random(9) + 0.25, random.random(9)
    gap = first - second
    signs = np.array(list(itertools.product([1, -1], repeat=9)))
    exact = np.mean(np.abs(signs @ gap) >= abs(gap.sum()) - 1e-12)
    difference, p = statistics.paired_test(first, second, np.zeros(9), draws=20000)
    assert difference == pytest.approx(gap.mean())
    assert p == pytest.approx(exact, abs=0.01)


def test_against_another_file(tmp_path, capsys, refused):
    features_file(tmp_path / "a.mat")
    other = {"featuresx": np.random.default_rng(9).normal(size=(20, 6))}
    features_file(tmp_path / "b.mat", **other)
    words = ("--directions", "sketch->image", "--json", tmp_path / "r.json")
    means = []
    for name in ("a", "b"):
        command_line(tmp_path / f"{name}.mat", *words)
        means.append(json.loads((tmp_path / "r.json").read_text())["directions"]["sketch->image"]["mAP@all"])
    command_line(tmp_path / "a.mat", *words, "--against", tmp_path / "b.mat")
    test = json.loads((tmp_path / "r.json").read_text())["against"]["directions"]["sketch->image"]["mAP@all"]
    assert test["difference"] == pytest.approx(means[0] - means[1])
    assert test["interval"][0] <= test["difference"] <= test["interval"][1] and 0 < test["p"] <= 1
    assert f"{means[0] - means[1]:+.3f}" in capsys.readouterr().out
    features_file(tmp_path / "c.mat", labelsx=np.repeat([1, 3, 0, 2], 5)[:, None])
    settings = knn_eval.Settings(features=tmp_path / "a.mat", against=tmp_path / "c.mat")
    assert "not the pictures of" in refused(knn_eval.main, settings)
    features_file(tmp_path / "d.mat", distance="cosine", **other)
    for words, ours, theirs in (((), "euclidean", "cosine"), (("--distance", "l1"), "l1", "l1")):
        capsys.readouterr()
        command_line(tmp_path / "a.mat", "--against", tmp_path / "d.mat", *words)
        told = " ".join(capsys.readouterr().out.split())
        assert f"{tmp_path / 'a.mat'} ({ours}) minus {tmp_path / 'd.mat'} ({theirs})" in told
        assert ("by the distance recorded in it" in told) == (ours != theirs)
