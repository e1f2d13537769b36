"""`zscmr.evaluate` against a hand-worked ranking, and what it refuses."""

import numpy as np
import pytest

from zscmr.evaluation.arrays import evaluate_arrays
from zscmr.evaluation.scoring import evaluate

# on a line, from the query at 0: relevance 1 0 1 (labels a b a), R = 2
QUERY, GALLERY, LABELS = [[0.0]], [[1.0], [2.0], [3.0]], ["a", "b", "a"]


def test_a_ranking_worked_by_hand():
    scores = evaluate_arrays(QUERY, GALLERY, ["a"], LABELS)
    assert scores["mAP@all"] == pytest.approx((1 + 2 / 3) / 2)
    assert scores["P@100"] == pytest.approx(2 / 3)  # of the 3 items of the gallery
    assert "Euclidean" in scores.conventions and "R = 0" in scores.conventions


@pytest.mark.parametrize("protocol", ["standard", "sake", "sempcyc", "zse", "knncode"])
def test_it_agrees_with_evaluate_of_two_modalities(protocol):
    random = np.random.default_rng(0)
    photos, sketches = random.normal(size=(60, 4)), random.normal(size=(30, 4))
    labels = random.integers(0, 3, 60), random.integers(0, 3, 30)
    both = evaluate(photos, sketches, *labels, protocol=protocol)["directions"]
    pairs = {"sketch->image": (sketches, photos, *labels[::-1]), "image->image": (photos, photos, *labels[:1] * 2)}
    for direction, arrays in pairs.items():
        scores = evaluate_arrays(*arrays, protocol=protocol)
        assert scores == pytest.approx({name: both[direction][name] for name in scores})


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"protocol": "mine"}, "protocol: expected any of standard"),
        ({"queries": [0.0]}, "query embeddings: expected numbers (rows, dim)"),
        ({"queries": [[0.0, 1.0]]}, "expected 1-d as the gallery"),
        ({"queries": [["x"]]}, "query embeddings: expected numbers"),
        ({"queries": np.empty((0, 1)), "query_labels": []}, "query embeddings: expected numbers"),
        ({"queries": [[np.nan]]}, "query embeddings row 0"),
        ({"query_labels": ["a", "b"]}, "query labels: expected (1,)"),
        ({"query_labels": [1]}, "query labels: expected <U1 as in the gallery"),
        ({"gallery_labels": ["a", "b"]}, "gallery labels: expected (3,)"),
        ({"protocol": "zse"}, "zero vector"),
        ({"queries": [[1.0]], "gallery_rows": [[1.0]], "gallery_labels": ["a"]}, "beside the query itself"),
    ],
)
def test_what_cannot_be_scored_is_refused(changes, fault, refused):
    arrays = {"queries": QUERY, "gallery_rows": GALLERY, "query_labels": ["a"], "gallery_labels": LABELS}
    assert fault in refused(lambda: evaluate_arrays(**{**arrays, **changes}))
