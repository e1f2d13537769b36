"""Two files under one convention, and one file under every convention."""

import dataclasses

import numpy as np

from zscmr.evaluation import protocols, statistics
from zscmr.evaluation.protocols import PROTOCOLS
from zscmr.evaluation.scoring import score_features


def paired_tests(scores, setup, path, features, other_setup, directions=()):
    """Test `scores` minus those of the same pictures in another file, query by query.

    Returns {"features", "distance", "directions": {direction: {metric: {"difference", "interval", "p"}}}}.

    Args:
        scores: {direction: Scores} of the first file.
        setup: its `Setup`.
        path: the other file, for messages.
        features: its `Features`.
        other_setup: its `Setup`.
        directions: keys of `DIRECTIONS`; left out, all.
    """
    other_scores = score_features(path, features, other_setup, directions)
    class_means = PROTOCOLS[setup.protocol].class_means
    tests = {}
    for direction, part in scores.items():
        tests[direction] = {}
        for name, values in part.values.items():
            pair = values, other_scores[direction].values[name]
            difference, p = statistics.paired_test(*pair, part.labels, class_means, seed=setup.seed)
            gap = {name: pair[0] - pair[1]}
            interval = statistics.intervals(gap, part.labels, class_means, seed=setup.seed)[name]
            tests[direction][name] = {"difference": difference, "interval": interval, "p": p}
    return {"features": str(path), "distance": other_setup.distance, "directions": tests}


def compare_conventions(path, features, setup, directions=()):
    """Score the same embeddings under every convention of the field: {direction: {convention: {distance: mean}}}.

    Args:
        path: the file, for messages.
        features: its `Features`.
        setup: its `Setup`; the distance is replaced.
        directions: keys of `DIRECTIONS`; left out, all.
    """
    results = {}
    for distance in ("hamming",) if setup.distance == "hamming" else ("euclidean", "normalised", "l1"):
        ranked = dataclasses.replace(setup, distance=distance)
        parts = score_features(path, features, ranked, directions, protocols.compared)
        for direction, part in parts.items():
            part = part.take(np.isin(part.labels, features.unseen))
            rows = results.setdefault(direction, {})
            for name, values in part.values.items():
                rows.setdefault(name, {})[distance] = statistics.mean(values, part.labels)
                if name.startswith("mAP@all"):
                    of_classes = statistics.mean(values, part.labels, class_means=True)
                    rows.setdefault(f"{name}, class means", {})[distance] = of_classes
    return results
