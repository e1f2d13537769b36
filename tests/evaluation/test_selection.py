"""The rows that protocols and options choose."""

import json

import numpy as np
import pytest
from helpers.toy_features import command_line, features_file

from zscmr.commands import evaluate as knn_eval
from zscmr.evaluation import selection


def test_generalised_zero_shot(tmp_path):
    labels = np.repeat(np.arange(4), 10)[:, None]
    random = np.random.default_rng(0)
    arrays = {key: random.normal(size=(40, 3)) for key in ("featuresx", "featuresy")}
    features_file(tmp_path / "f.mat", **arrays, labelsx=labels, labelsy=labels, namesx=None, namesy=None)
    loaded = knn_eval.load(tmp_path / "f.mat")
    drawn = selection.generalised(loaded, "sempcyc", seed=1).photo
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
    assert selection.dedupe(knn_eval.load(tmp_path / "f.mat"))[1] == 15
