"""Rankings against plain loops, where distances are equal, nearly equal, or neither."""

import numpy as np
import pytest
from helpers.toy_features import random_points

from zscmr.commands import evaluate as knn_eval
from zscmr.evaluation import metrics


@pytest.mark.parametrize("kind", ["loose", "tied", "copies"])
@pytest.mark.parametrize("metric", ["euclidean", "l1"])
def test_hits_are_those_of_the_exact_ranking(kind, metric):
    """Also where a tie or a near-tie of a relevant and an irrelevant item has to be resolved."""
    queries, gallery, query_labels, gallery_labels = random_points(kind)
    if metric == "l1":
        distance = np.abs(queries[:, None].astype(float) - gallery).sum(-1)
    else:
        distance = ((queries[:, None].astype(float) - gallery) ** 2).sum(-1)
    order = np.argsort(distance, axis=1, kind="stable")
    np.testing.assert_array_equal(knn_eval.rank(queries, gallery, metric), order)
    np.testing.assert_array_equal(knn_eval.nearest(queries, gallery, metric, 23), order[:, :23])
    expected = metrics.Hits.of(gallery_labels[order] == query_labels[:, None])
    for memory in (10**9, 45_000):
        blocks = knn_eval.hit_blocks(queries, gallery, metric, query_labels, gallery_labels, memory=memory)
        hits = [part for _, parts in blocks for part in parts]
        assert np.concatenate([part.before for part in hits]).tolist() == expected.before.tolist()


def test_near_ties_that_the_product_cannot_tell_apart_are_resolved():
    # At 1e6 from the centre a squared distance has an error of about 1e-3; the items differ by 1e-5 steps.
    line = np.zeros((200, 2))
    line[:, 0] = np.random.default_rng(0).permutation(200) * 1e-5
    line = np.vstack([line, [[1e6, 1e6], [-1e6, -1e6]]])
    query = np.array([[-1e-6, 0.0]])
    np.testing.assert_array_equal(knn_eval.rank(query, line, "euclidean")[0, :200], np.argsort(line[:200, 0]))
    labels = np.arange(202) % 2
    order = np.argsort(line[:200, 0])
    (_, (hits,)), *_ = knn_eval.hit_blocks(query, line, "euclidean", np.array([1]), labels)
    assert hits.before[:100].tolist() == np.flatnonzero(labels[order]).tolist()


def test_equal_distances_keep_gallery_order():
    # Squared distances from (0, 0): 1, 4, 1, 0, 1, 4.
    gallery = np.array([[1, 0], [0, 2], [0, 1], [0, 0], [-1, 0], [2, 0]])
    assert knn_eval.rank(np.zeros((1, 2)), gallery, "euclidean").tolist() == [[3, 0, 2, 4, 1, 5]]


def test_a_query_never_retrieves_itself_but_its_copies():
    # Rows 0, 1, 3 are the same point. Each must retrieve the other two first and never its own row.
    points = np.array([[1.0, 2], [1, 2], [5, 5], [1, 2]])
    order = knn_eval.rank(points, points, "euclidean", own_rows=np.arange(4))
    assert order.tolist() == [[1, 3, 2], [0, 3, 2], [0, 1, 3], [0, 1, 2]]
    # Labels 0 0 1 1. Query 0: hit at rank 1, AP 1. Query 1: hit at rank 1, AP 1. Query 2: 0 0 1, AP 1/3.
    # Query 3: 0 0 1, AP 1/3. Mean (1 + 1 + 1/3 + 1/3) / 4 = 2/3.
    scores = knn_eval.evaluate(points, points, [0, 0, 1, 1], [0, 0, 1, 1], directions=("image->image",))
    assert scores["directions"]["image->image"]["mAP@all"] == pytest.approx(2 / 3)
