"""Scores against scikit-learn and plain loops: ties, short rankings, drawn queries, queries with nothing to find."""

import numpy as np
import pytest
from helpers.slow import loop_ap, loop_rank
from helpers.toy_features import random_arrays, random_points

from zscmr.commands import evaluate as knn_eval
from zscmr.evaluation import metrics, protocols, scoring
from zscmr.utils.errors import BadInput


@pytest.mark.parametrize("kind", ["loose", "tied", "copies"])
def test_scikit_learn_agrees(kind):
    sklearn = pytest.importorskip("sklearn.metrics")
    queries, gallery, query_labels, gallery_labels = random_points(kind)
    order = knn_eval.rank(queries, gallery, "euclidean")
    expected = []
    for row, label in zip(order, query_labels, strict=True):
        # its own way with ties would be another convention: ranks instead of distances leave none
        scores, relevant = -np.arange(len(row)), gallery_labels[row] == label
        expected.append(sklearn.average_precision_score(relevant, scores) if relevant.any() else 0.0)
    scores = knn_eval.evaluate(gallery, queries, gallery_labels, query_labels, directions=("sketch->image",))
    assert scores["directions"]["sketch->image"]["mAP@all"] == pytest.approx(np.mean(expected), abs=1e-6)


@pytest.mark.parametrize("metric", ["euclidean", "l1"])
def test_ties_of_real_valued_distances_on_request(metric):
    queries, gallery, query_labels, gallery_labels = random_points("tied")
    means = {}
    for ties in protocols.TIES:
        result = knn_eval.evaluate(
            gallery, queries, gallery_labels, query_labels, directions=("sketch->image",), distance=metric, ties=ties
        )
        means[ties] = result["directions"]["sketch->image"]["mAP@all"]
    difference = queries[:, None].astype(float) - gallery
    distance = np.abs(difference).sum(-1) if metric == "l1" else (difference**2).sum(-1)
    expected = {"optimistic": [], "pessimistic": []}
    for row, label in zip(distance, query_labels, strict=True):
        relevant = gallery_labels == label
        for ties, key in (("optimistic", ~relevant), ("pessimistic", relevant)):
            order = np.lexsort((key, row))
            expected[ties].append(loop_ap(relevant[order].tolist(), len(row), "R", False))
    assert means["optimistic"] == pytest.approx(np.mean(expected["optimistic"]))
    assert means["pessimistic"] == pytest.approx(np.mean(expected["pessimistic"]))
    assert means["pessimistic"] < means["expected"] < means["optimistic"]


def test_top_is_the_whole_ranking_cut_short():
    queries, gallery, query_labels, gallery_labels = random_points("copies")
    order = knn_eval.rank(queries, gallery, "euclidean")
    relevance = gallery_labels[order] == query_labels[:, None]
    scores = knn_eval.evaluate(gallery, queries, gallery_labels, query_labels, directions=("sketch->image",), top=20)
    values = scores["directions"]["sketch->image"]
    assert values["mAP@20"] == pytest.approx(metrics.average_precision(relevance, 20).mean())
    assert values["recall@20"] == pytest.approx(metrics.recall_at(relevance, 20).mean())
    within = knn_eval.rank(gallery, gallery, "euclidean", own_rows=np.arange(300))[:, :20]
    np.testing.assert_array_equal(knn_eval.nearest(gallery, gallery, "euclidean", 20, np.arange(300)), within)


METRICS = ("mAP@all", "P@100", "mAP@200", "P@200")


def loop_average_precision(relevance, k):
    hits, total = 0, 0.0
    for rank, relevant in enumerate(relevance, 1):
        hits += relevant
        if relevant and rank <= k:
            total += hits / rank
    return total / hits if hits else 0.0


def loop_evaluate(queries, query_labels, gallery, gallery_labels, metric, within):
    scores = {name: [] for name in METRICS}
    for row, query in enumerate(queries):
        order = loop_rank(query, gallery, metric, row if within else None)
        relevance = [bool(gallery_labels[item] == query_labels[row]) for item in order]
        for name in METRICS:
            k = len(relevance) if name == "mAP@all" else int(name.split("@")[1])
            precision = sum(relevance[:k]) / min(k, len(relevance))
            scores[name].append(loop_average_precision(relevance, k) if name.startswith("mAP") else precision)
    return {name: sum(values) / len(values) for name, values in scores.items()}


def test_queries_without_relevant_items_count_zero_in_the_mean():
    # Two queries at the origin; gallery: one item of class 0. First query AP 1, P 1; the second, of class 1, 0 and 0.
    results = knn_eval.evaluate(np.ones((1, 2)), np.zeros((2, 2)), [0], [0, 1], directions=("sketch->image",))
    assert results["directions"]["sketch->image"] == {
        **dict.fromkeys(METRICS, 0.5),
        "queries": 2,
        "gallery": 1,
    }


def test_precision_at_100_divides_by_100_when_the_gallery_is_larger():
    # 150 photos on a line at 1, 2 … 150 from the query; class 0 at 1 … 30 and 101 … 150, so R = 80.
    # P@100 = 30/100; P@200 = 80/150, the gallery being smaller than 200.
    labels = np.r_[np.zeros(30), np.ones(70), np.zeros(50)]
    photos = np.arange(1, 151)[:, None] * np.array([[1.0, 0.0]])
    scores = knn_eval.evaluate(photos, np.zeros((1, 2)), labels, [0], directions=("sketch->image",))
    assert scores["directions"]["sketch->image"]["P@100"] == pytest.approx(30 / 100)
    assert scores["directions"]["sketch->image"]["P@200"] == pytest.approx(80 / 150)


@pytest.mark.parametrize(("kind", "metric"), [("loose", "euclidean"), ("loose", "cosine"), ("tied", "euclidean")])
def test_evaluate_against_loops(kind, metric):
    photos, sketches, photo_labels, sketch_labels = random_arrays(kind)
    results = knn_eval.evaluate(photos, sketches, photo_labels, sketch_labels, distance=metric)["directions"]
    sides = {"image": (photos.tolist(), photo_labels), "sketch": (sketches.tolist(), sketch_labels)}
    assert list(results) == ["sketch->image", "image->sketch", "sketch->sketch", "image->image"]
    for direction, scores in results.items():
        asking, answering = direction.split("->")
        within = asking == answering
        expected = loop_evaluate(*sides[asking], *sides[answering], metric, within)
        assert {name: scores[name] for name in METRICS} == pytest.approx(expected, abs=1e-12), direction
        assert scores["queries"] == len(sides[asking][0])
        assert scores["gallery"] == len(sides[answering][0]) - within


@pytest.mark.parametrize("distance", ["euclidean", "cosine", "l1"])
def test_little_memory_gives_the_same_numbers(distance):
    arrays = random_arrays("tied")
    complete = knn_eval.evaluate(*arrays, distance=distance)
    # 240 photos times 64 bytes times 2 is 31 kB: one query at a time, the gallery read in pieces
    assert knn_eval.evaluate(*arrays, distance=distance, memory=31_000) == complete
    with pytest.raises(BadInput, match="--memory: one query against 240 items"):
        knn_eval.evaluate(*arrays, distance=distance, memory=30_000)


def test_drawn_queries_keep_themselves_out_of_the_gallery():
    photos, sketches, photo_labels, sketch_labels = random_arrays("loose")
    drawn = scoring.draw_queries(len(photos), 20, seed=3)
    assert len(set(drawn)) == 20
    scores = knn_eval.evaluate(
        photos, sketches, photo_labels, sketch_labels, directions=("image->image",), queries=20, seed=3
    )["directions"]["image->image"]
    relevances = []
    for row in drawn:
        order = loop_rank(photos[row].tolist(), photos.tolist(), "euclidean", own_row=row)
        relevances.append([photo_labels[item] == photo_labels[row] for item in order])
    expected = np.mean([loop_average_precision(relevance, len(relevance)) for relevance in relevances])
    assert scores["mAP@all"] == pytest.approx(expected)
    assert (scores["queries"], scores["gallery"]) == (20, 239)


def test_drawn_queries_are_a_function_of_the_seed():
    first, again, other = (scoring.draw_queries(1000, 50, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_array_equal(scoring.draw_queries(5, 50, 0), np.arange(5))


def test_evaluate_names_what_is_wrong_with_arrays():
    points, labels = np.eye(3), [0, 1, 2]
    with pytest.raises(BadInput, match="sideways"):
        knn_eval.evaluate(points, points, labels, labels, directions=("sideways",))
    with pytest.raises(BadInput, match=r"sketch embeddings row 1 .*NaN"):
        knn_eval.evaluate(points, np.where(np.eye(3)[[1, 1, 1]] * [[0], [1], [0]], np.nan, 1), labels, labels)
    with pytest.raises(BadInput, match=r"photo embeddings row 2 .*zero"):
        knn_eval.evaluate(np.diag([1, 1, 0]), points, labels, labels, distance="cosine")
    with pytest.raises(BadInput, match=r"photo embeddings: expected \(2, dim\).*\(3, 3\)"):
        knn_eval.evaluate(points, points, [0, 1], labels)
    with pytest.raises(BadInput, match="image->image: the gallery is empty"):
        knn_eval.evaluate(points[:1], points, [0], labels)  # the only photo is the query
