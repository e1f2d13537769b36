"""Re-ranking against its definition in plain loops, and what the command prints of it."""

import json

import numpy as np
import pytest
from helpers.slow import loop_distance, loop_rank
from helpers.toy_features import command_line, features_file, random_points, unseen_arrays

from zscmr.commands import evaluate as knn_eval
from zscmr.evaluation import rerank


def loop_rerank(queries, gallery, metric, own_rows=None):
    """Gallery rows of each query by d* of `rerank`, in the loops of its definition."""
    k1, k2, weight = rerank.NEIGHBOURS, rerank.EXPANSION, rerank.ORIGINAL
    items = range(len(gallery))
    near = [[i, *loop_rank(gallery[i], gallery, metric, i)] for i in items]

    def reciprocal(i, k):
        return {j for j in near[i][: k + 1] if i in near[j][: k + 1]}

    def encoded(i):
        neighbours = reciprocal(i, k1)
        extended = set(neighbours)
        for j in neighbours:
            others = reciprocal(j, round(k1 / 2))
            if 3 * len(others & neighbours) >= 2 * len(others):
                extended |= others
        return {j: 1 / len(extended) for j in extended}

    def mean(rows):
        total = dict.fromkeys(items, 0.0)
        for row in rows:
            for j, value in encodings[row].items():
                total[j] += value / len(rows)
        return total

    encodings = [encoded(i) for i in items]
    spread = [mean(near[i][:k2]) for i in items]
    scores = []
    for row, query in enumerate(queries):
        distances = [loop_distance(query, item, metric) ** (2 if metric == "euclidean" else 1) for item in gallery]
        query_row = mean(loop_rank(query, gallery, metric)[:k2])
        final = []
        for i in items:
            shared = sum(min(query_row[j], spread[i][j]) for j in items)
            final.append((1 - weight) * (1 - shared / (2 - shared)) + weight * distances[i] / max(distances))
        rows = [i for i in items if own_rows is None or i != own_rows[row]]
        scores.append((sorted(rows, key=final.__getitem__), sorted(final[i] for i in rows)))
    return scores


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("size", [70, 15])  # the second has fewer items than neighbours
def test_reranked_as_the_loops_of_the_definition(monkeypatch, metric, size):
    monkeypatch.setattr(rerank, "ROWS", 16)
    queries, gallery, *_ = random_points("loose", queries=9, gallery=size)
    for memory in (10**9, 20_000):
        blocks = knn_eval.rank_blocks(queries, gallery, metric, memory=memory, rerank=True)
        order = np.concatenate([order for _, order in blocks])
        assert order.tolist() == [rows for rows, _ in loop_rerank(queries, gallery, metric)]


def test_a_query_of_the_gallery_never_finds_itself():
    _, gallery, *_ = random_points("loose", gallery=40)
    own_rows = np.arange(40)
    blocks = knn_eval.rank_blocks(gallery, gallery, "cosine", own_rows, rerank=True)
    order = np.concatenate([rows for _, rows in blocks])
    assert order.tolist() == [rows for rows, _ in loop_rerank(gallery, gallery, "cosine", own_rows)]


def test_keys_are_those_of_the_loops_where_items_are_copies():
    # Which of two copies comes first may rest on rounding; the keys do not.
    queries, gallery = (array.astype(float) for array in random_points("copies", queries=5, gallery=60)[:2])
    ordering = rerank.Reranking(queries, gallery, "cosine", 10**9, None)
    keys = np.sort(ordering.keys(slice(0, 5), map), axis=1)
    np.testing.assert_allclose(keys, [values for _, values in loop_rerank(queries, gallery, "cosine")], atol=1e-12)


def test_neighbourhoods_bring_in_what_the_query_is_far_from():
    # Two rows of 21 photos, 12 apart; the query stands at the end of the first, 20 from its far end and 12.5 from the
    # second: alone, photos of the second come first. Each photo's 20 nearest are mostly of its own row.
    steps = np.arange(21)
    gallery = np.concatenate([np.c_[steps * 1.0, 0 * steps], np.c_[steps * 1.0, 0 * steps + 12.0]])
    labels, query = np.repeat([0, 1], 21), np.array([[0.0, -0.5]])
    alone = labels[knn_eval.rank(query, gallery, "euclidean")][0]
    (_, order), *_ = knn_eval.rank_blocks(query, gallery, "euclidean", rerank=True)
    assert alone[:21].sum() == 7  # √(12.5² + 6²) = 13.87 is less than √(0.5² + 14²) = 14.01
    assert labels[order][0][:21].sum() == 0


@pytest.mark.parametrize("count", [1, 2])
def test_tiny_galleries(count):
    (_, order), *_ = knn_eval.rank_blocks(np.ones((1, 2)), np.eye(2)[:count] + 0.1, "cosine", rerank=True)
    assert sorted(order[0].tolist()) == list(range(count))


def test_evaluate_says_that_it_reranked():
    sketches, photos, query_labels, gallery_labels = random_points("loose", queries=12, gallery=60)
    across = {"distance": "cosine", "directions": ("sketch->image",)}
    scores = knn_eval.evaluate(photos, sketches, gallery_labels, query_labels, rerank=True, **across)
    order = np.array([rows for rows, _ in loop_rerank(sketches, photos, "cosine")])
    expected = knn_eval.average_precision(gallery_labels[order] == query_labels[:, None]).mean()
    assert scores["directions"]["sketch->image"]["mAP@all"] == pytest.approx(expected)
    assert scores["reranked"] and "reranked" not in knn_eval.evaluate(
        photos, sketches, gallery_labels, query_labels, **across
    )


@pytest.mark.slow
def test_the_command_marks_its_table_and_figures(tmp_path, capsys):
    features_file(tmp_path / "f.mat", distance="cosine")
    others = ("--json", tmp_path / "r.json", "--figures", tmp_path / "figures", "--against", tmp_path / "f.mat")
    command_line(tmp_path / "f.mat", "--rerank", "--compare", *others)
    printed = " ".join(capsys.readouterr().out.split())
    assert "(cosine, re-ranked)" in printed
    assert printed.count("gallery as a whole") == 3  # scores, differences and the comparison of conventions
    results = json.loads((tmp_path / "r.json").read_text())
    assert results["reranked"]
    photos, sketches, photo_labels, sketch_labels = unseen_arrays(tmp_path / "f.mat")
    again = knn_eval.evaluate(photos, sketches, photo_labels, sketch_labels, distance="cosine", rerank=True)
    assert results["directions"] == again["directions"]
    assert "gallery as a whole" in (tmp_path / "figures" / "report.html").read_text().replace("\n  ", " ")


@pytest.mark.parametrize(
    ("options", "why"),
    [(["--top", "5"], "--top"), (["--bits", "32"], "--bits"), ([], "received binary codes")],
)
def test_what_reranking_does_not_go_with(tmp_path, capsys, options, why):
    features_file(tmp_path / "f.mat", **({} if options else {"distance": "hamming"}))
    with pytest.raises(SystemExit) as ended:
        command_line(tmp_path / "f.mat", "--rerank", *options)
    assert ended.value.code == 2
    message = capsys.readouterr().err.splitlines()[-1]
    assert "--rerank" in message and why in message
