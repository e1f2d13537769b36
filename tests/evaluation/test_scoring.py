"""Scores against scikit-learn and plain loops: ties, short rankings, drawn queries, queries with nothing to find."""

import json

import numpy as np
import pytest
from helpers.slow import loop_ap
from helpers.toy_features import command_line, features_file, random_points

from zscmr.commands import evaluate as knn_eval
from zscmr.evaluation import metrics, protocols


@pytest.mark.parametrize("kind", ["loose", "tied", "copies"])
def test_scikit_learn_agrees(kind):
    sklearn = pytest.importorskip("sklearn.metrics")
    queries, gallery, asked, there = random_points(kind)
    order = knn_eval.rank(queries, gallery, "euclidean")
    expected = []
    for row, label in zip(order, asked, strict=True):
        # its own way with ties would be another convention: ranks instead of distances leave none
        scores, relevant = -np.arange(len(row)), there[row] == label
        expected.append(sklearn.average_precision_score(relevant, scores) if relevant.any() else 0.0)
    scores = knn_eval.evaluate(gallery, queries, there, asked, directions=("sketch->image",))
    assert scores["directions"]["sketch->image"]["mAP@all"] == pytest.approx(np.mean(expected), abs=1e-6)


@pytest.mark.parametrize("metric", ["euclidean", "l1"])
def test_ties_of_real_valued_distances_on_request(metric):
    queries, gallery, asked, there = random_points("tied")
    means = {}
    for ties in protocols.TIES:
        result = knn_eval.evaluate(
            gallery, queries, there, asked, directions=("sketch->image",), distance=metric, ties=ties
        )
        means[ties] = result["directions"]["sketch->image"]["mAP@all"]
    difference = queries[:, None].astype(float) - gallery
    distance = np.abs(difference).sum(-1) if metric == "l1" else (difference**2).sum(-1)
    expected = {"optimistic": [], "pessimistic": []}
    for row, label in zip(distance, asked, strict=True):
        relevant = there == label
        for ties, key in (("optimistic", ~relevant), ("pessimistic", relevant)):
            order = np.lexsort((key, row))
            expected[ties].append(loop_ap(relevant[order].tolist(), len(row), "R", False))
    assert means["optimistic"] == pytest.approx(np.mean(expected["optimistic"]))
    assert means["pessimistic"] == pytest.approx(np.mean(expected["pessimistic"]))
    assert means["pessimistic"] < means["expected"] < means["optimistic"]


def test_top_is_the_whole_ranking_cut_short():
    queries, gallery, asked, there = random_points("copies")
    order = knn_eval.rank(queries, gallery, "euclidean")
    relevance = there[order] == asked[:, None]
    scores = knn_eval.evaluate(gallery, queries, there, asked, directions=("sketch->image",), top=20)
    values = scores["directions"]["sketch->image"]
    assert values["mAP@20"] == pytest.approx(metrics.average_precision(relevance, 20).mean())
    assert values["recall@20"] == pytest.approx(metrics.recall_at(relevance, 20).mean())
    within = knn_eval.rank(gallery, gallery, "euclidean", own_rows=np.arange(300))[:, :20]
    np.testing.assert_array_equal(knn_eval.nearest(gallery, gallery, "euclidean", 20, np.arange(300)), within)


def test_queries_with_nothing_to_find_are_counted(tmp_path, capsys):
    """Photos of ant (seen), cat and dog (unseen); two sketches each of ant, cow (both seen), cat and dog: cow's two
    have R = 0. Within the sketches each has the other of its class."""
    labels = {"labelsx": np.array([[0], [1], [3]]), "labelsy": np.array([[0], [0], [2], [2], [1], [1], [3], [3]])}
    random = np.random.default_rng(0)
    arrays = {"featuresx": random.normal(size=(3, 3)), "featuresy": random.normal(size=(8, 3))}
    features_file(tmp_path / "f.mat", **arrays, **labels, namesx=None, namesy=None)
    words = ("--json", tmp_path / "r.json", "--directions", "sketch->image", "sketch->sketch")
    command_line(tmp_path / "f.mat", *words, "--generalised", "pcmsn")
    empty = json.loads((tmp_path / "r.json").read_text())["without_relevant"]
    assert empty["directions"] == {"sketch->image": 0, "sketch->sketch": 0}
    assert empty["seen"] == {"sketch->image": 2, "sketch->sketch": 0}
    out = capsys.readouterr().out
    assert "A query with R = 0 counts 0 (sketch->image seen: 2 of 4);" in " ".join(out.split())
    rows = ["sketch->image unseen", "sketch->image seen", "sketch->image harmonic"]
    assert [" ".join(line.split()[:2]) for line in out.splitlines()[2:5]] == rows
