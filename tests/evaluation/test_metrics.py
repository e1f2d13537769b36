"""Metrics against slow loops and a worked example; ties in the mean of their orders."""

import itertools
import json
import re

import numpy as np
import pytest
from helpers.slow import loop_ap, loop_ndcg, loop_nmrr, loop_precision
from helpers.toy_features import command_line, features_file, hits, unseen_arrays

from zscmr.commands import evaluate as knn_eval
from zscmr.evaluation import metrics

SCORES = [
    lambda rows: metrics.average_precision(rows),
    lambda rows: metrics.average_precision(rows, 3),
    lambda rows: metrics.average_precision(rows, 3, "min(k, R)"),
    lambda rows: metrics.average_precision(rows, 3, "hits"),
    lambda rows: metrics.average_precision(rows, 4, "hits"),
    lambda rows: metrics.precision_at(rows, 3),
    lambda rows: metrics.precision_at(rows, 4, "min(k, R)"),
    lambda rows: metrics.recall_at(rows, 2),
    lambda rows: metrics.ndcg_at(rows, 4),
    lambda rows: metrics.nmrr(rows),
]


RELEVANCES = [
    [True],
    [False],
    [False, True],
    [True] * 7,
    [False] * 7,
    *(np.random.default_rng(seed).random(size) < share for seed, (size, share) in enumerate([(30, 0.3), (300, 0.8)])),
]


@pytest.mark.parametrize("relevance", RELEVANCES, ids=len)
@pytest.mark.parametrize("k", [1, 2, 5, 100, 200, 1000])
def test_conventions_against_loops(relevance, k):
    row, relevance = np.array(relevance)[None], [bool(value) for value in relevance]
    for divide, interpolated in itertools.product(("R", "min(k, R)", "hits"), (False, True)):
        expected = loop_ap(relevance, k, divide, interpolated)
        assert metrics.average_precision(row, k, divide, interpolated) == pytest.approx([expected], abs=1e-9)
    for divide in ("k", "gallery", "min(k, R)"):
        assert metrics.precision_at(row, k, divide) == pytest.approx([loop_precision(relevance, k, divide)], abs=1e-9)
    recall = sum(relevance[:k]) / max(sum(relevance), 1)
    assert metrics.recall_at(row, k) == pytest.approx([recall], abs=1e-9)
    assert metrics.ndcg_at(row, k) == pytest.approx([loop_ndcg(relevance, k)], abs=1e-9)
    assert metrics.nmrr(row) == pytest.approx([loop_nmrr(relevance, max(sum(relevance), 1))], abs=1e-9)


def test_worked_example():
    # 1010010001, R = 4, precisions 1, 2/3, 3/6, 4/10 at ranks 1, 3, 6, 10; none is below a later one but none above.
    example = hits("1010010001")
    assert metrics.average_precision(example)[0] == pytest.approx((1 + 2 / 3 + 3 / 6 + 4 / 10) / 4)  # .6417
    assert metrics.average_precision(example, 5)[0] == pytest.approx(5 / 12)  # .4167, by R
    assert metrics.average_precision(example, 5, "hits")[0] == pytest.approx(5 / 6)  # .8333
    # Precision of the first min(10, 4) = 4 ranks, 1010: 2 hits / 4; of all ten, 4 / 10.
    assert metrics.precision_at(example, 10, "min(k, R)")[0] == pytest.approx(2 / 4)
    assert metrics.precision_at(example, 10, "k")[0] == pytest.approx(4 / 10)
    # 0110: precisions 1/2, 2/3; interpolated the first becomes 2/3 as well.
    assert metrics.average_precision(hits("0110"), None, "R", True)[0] == pytest.approx(2 / 3)
    # ANMRR of 0110 alone: R = 2, K = min(8, 4) = 4, AVR = 2.5, NMRR = (2.5 − 1.5) / (5 − 1.5).
    assert metrics.nmrr(hits("0110"))[0] == pytest.approx(1 / 3.5)
    # Another query with R = 1: K = min(4, 2 · 2) = 4; its hit at rank 4: (4 − 1) / (5 − 1).
    assert metrics.nmrr(np.vstack([hits("0110"), hits("0001")]))[1] == pytest.approx(3 / 4)


@pytest.mark.parametrize("seed", range(12))
def test_ties_count_in_the_mean_of_all_their_orders(seed):
    random = np.random.default_rng(seed)
    distance, relevant = np.sort(random.integers(0, 3, 7)), random.random(7) < 0.5
    runs = [itertools.permutations(relevant[distance == value]) for value in np.unique(distance)]
    orders = np.array([[hit for run in order for hit in run] for order in itertools.product(*runs)])
    tied = metrics.Hits.of(relevant[None], np.r_[False, distance[1:] == distance[:-1]][None])
    for score in SCORES:
        assert score(tied)[0] == pytest.approx(score(orders).mean(), abs=1e-12)
    precision = metrics.average_precision(orders)
    assert metrics.average_precision(tied.resolved(first=True))[0] == pytest.approx(precision.max())
    assert metrics.average_precision(tied.resolved(first=False))[0] == pytest.approx(precision.min())
    if (tied.size > 1).any():
        with pytest.raises(ValueError, match="ties"):
            metrics.average_precision(tied, interpolated=True)


def test_a_further_metric_is_one_entry(tmp_path, monkeypatch, capsys):
    """A toy, one over the rank of the first relevant item, is then scored, printed, compared and drawn."""

    def reciprocal_rank(hits):
        first = np.full(len(hits.relevant), np.inf)
        np.minimum.at(first, hits.query, hits.before + 1)
        return 1 / first

    monkeypatch.setitem(metrics.METRICS, "toy rank", reciprocal_rank)
    features_file(tmp_path / "f.mat")
    flags = ("--directions", "sketch->image", "--also", "toy rank", "nDCG@100", "--compare", "--per-class")
    command_line(tmp_path / "f.mat", *flags, "--json", tmp_path / "r.json", "--figures", tmp_path / "figures")
    photos, sketches, photo_labels, sketch_labels = unseen_arrays(tmp_path / "f.mat")
    relevant = photo_labels[knn_eval.rank(sketches, photos, "euclidean")] == sketch_labels[:, None]
    expected = np.mean([1 / (1 + row.tolist().index(True)) for row in relevant])
    results = json.loads((tmp_path / "r.json").read_text())
    scores = results["directions"]["sketch->image"]
    assert list(scores) == ["mAP@all", "P@100", "mAP@200", "P@200", "toy rank", "nDCG@100", "queries", "gallery"]
    assert scores["toy rank"] == pytest.approx(expected)
    assert scores["nDCG@100"] == pytest.approx(metrics.ndcg_at(relevant, 100).mean())
    assert results["compare"]["sketch->image"]["toy rank"]["euclidean"] == pytest.approx(expected)
    low, high = results["intervals"]["sketch->image"]["toy rank"]
    assert low <= expected <= high
    out = capsys.readouterr().out
    head, row = out.splitlines()[1:3]
    assert re.search(r"P@200 +toy rank +nDCG@100 +queries", head)
    assert f" {expected:.3f} ±{(high - low) / 2:.3f} " in row
    assert re.search(rf"^  toy rank +{expected:.3f} ", out, re.MULTILINE)  # among the conventions compared
    assert "toy rank" in (tmp_path / "figures/report.html").read_text(encoding="utf-8")


def test_precision_worked_example():
    # 1010010001: two hits in the first 5, three in the first 6, four in all ten.
    example = hits("1010010001")
    assert knn_eval.precision_at(example, 5) == pytest.approx([2 / 5])
    assert knn_eval.precision_at(example, 6) == pytest.approx([3 / 6])
    assert knn_eval.precision_at(example, 100) == pytest.approx([4 / 10])  # the gallery of 10 is the denominator


@pytest.mark.parametrize(
    ("relevance", "k", "expected"),
    [
        ("1", None, 1.0),  # a gallery of one, right
        ("0", None, 0.0),  # and wrong: R = 0 counts 0
        ("00000", 3, 0.0),
        ("00010", None, 1 / 4),  # R = 1: AP is one over the rank of the only hit
        ("00010", 3, 0.0),  # which lies beyond the first 3
        ("11111", 2, 2 / 5),  # R > k: even a perfect ranking stays below 1, (1 + 1) / 5
    ],
)
def test_average_precision_corners(relevance, k, expected):
    assert knn_eval.average_precision(hits(relevance), k) == pytest.approx([expected])
