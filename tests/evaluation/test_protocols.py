"""Each protocol against the formulas of its own code, by plain loops; all of them side by side."""

import numpy as np
import pytest
from helpers.slow import loop_ap, loop_precision, loop_rank
from helpers.toy_features import random_points

from zscmr.commands import evaluate as knn_eval


def test_knncode_by_its_formulas():
    """Distance Σ sqrt((x − y)²), stable ascending sort, precision and recall at 10 … 100, "mAP" their mean."""
    random = np.random.default_rng(5)
    photos, sketches = random.normal(size=(130, 4)), random.normal(size=(30, 4))
    photo_labels, sketch_labels = random.integers(100, 104, 130), random.integers(100, 104, 30)
    precision, recall = np.zeros(10), np.zeros(10)
    for sketch, label in zip(sketches, sketch_labels, strict=True):
        distance = [sum(((a - b) ** 2) ** 0.5 for a, b in zip(sketch, photo, strict=True)) for photo in photos]
        order = sorted(range(130), key=lambda row: distance[row])
        for step in range(10):
            hits = sum(photo_labels[row] == label for row in order[: 10 * (step + 1)])
            precision[step] += hits / (10 * (step + 1)) / 30
            recall[step] += hits / 100 / 30
    scores = knn_eval.evaluate(
        photos, sketches, photo_labels, sketch_labels, protocol="knncode", directions=("sketch->image",)
    )
    assert scores["distance"] == "l1"
    values = scores["directions"]["sketch->image"]
    assert [values[f"precision@{n}"] for n in range(10, 101, 10)] == pytest.approx(precision, abs=1e-12)
    assert [values[f"recall@{n}"] for n in range(10, 101, 10)] == pytest.approx(recall, abs=1e-12)
    assert values["knncode-mAP"] == pytest.approx(precision.mean(), abs=1e-12)


@pytest.mark.parametrize(
    ("protocol", "interpolated", "map_divisor", "precision_divisor", "unit", "class_means"),
    [
        ("sake", True, "min(k, R)", "k", True, True),
        ("sempcyc", False, "hits", "k", False, False),
        ("zse", True, "min(k, R)", "min(k, R)", True, False),
    ],
)
def test_protocols_of_the_peers(protocol, interpolated, map_divisor, precision_divisor, unit, class_means):
    queries, gallery, query_labels, gallery_labels = random_points("loose", gallery=260)
    ready = [side / np.linalg.norm(side, axis=1, keepdims=True) if unit else side for side in (queries, gallery)]
    expected = {"mAP@all": [], "P@100": [], "mAP@200": [], "P@200": []}
    for query, label in zip(ready[0].tolist(), query_labels, strict=True):
        relevance = [bool(gallery_labels[row] == label) for row in loop_rank(query, ready[1].tolist(), "euclidean")]
        expected["mAP@all"].append(loop_ap(relevance, 260, "R", interpolated))
        expected["mAP@200"].append(loop_ap(relevance, 200, map_divisor, interpolated))
        for k in (100, 200):
            expected[f"P@{k}"].append(loop_precision(relevance, k, precision_divisor))
    scores = knn_eval.evaluate(
        gallery, queries, gallery_labels, query_labels, protocol=protocol, directions=("sketch->image",)
    )
    for name, values in expected.items():
        mean = np.mean(values)
        if class_means:
            mean = np.mean([np.mean(np.array(values)[query_labels == label]) for label in np.unique(query_labels)])
        assert scores["directions"]["sketch->image"][name] == pytest.approx(mean, abs=1e-9)
