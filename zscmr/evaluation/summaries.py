"""Scores of queries summed up: means, intervals, classes, seen and unseen."""

import numpy as np

from zscmr.evaluation import statistics
from zscmr.evaluation.protocols import PROTOCOLS


def summary(scores, setup, features=None, draws=0):
    """Sum up the scores of queries as `scoring.evaluate` returns them.

    With `features` the results have per direction also "classes", the first metric of each class; "intervals", 95 %
    over resamplings of the queries; and, if there are seen rows, "seen" and "harmonic".

    Args:
        scores: {direction: Scores}.
        setup: the `Setup` that ranked and scored.
        features: `Features` of the rows; left out for plain arrays.
        draws: resamplings; 0 for no intervals.
    """
    class_means = PROTOCOLS[setup.protocol].class_means
    results = {"protocol": setup.protocol, "distance": setup.distance, "ties": setup.ties}
    if setup.rerank:
        results["reranked"] = True

    def numbers(part):
        values = {name: statistics.mean(column, part.labels, class_means) for name, column in part.values.items()}
        return values | {"queries": len(part.labels), "gallery": part.gallery}

    def without_relevant(parts):
        return {direction: int(np.count_nonzero(part.relevant == 0)) for direction, part in parts.items()}

    if features is None:
        results["directions"] = {direction: numbers(part) for direction, part in scores.items()}
        return results | {"without_relevant": {"directions": without_relevant(scores)}}
    results |= {key: getattr(features, key) for key in ("leaked", "across") if getattr(features, key)}
    unseen = {direction: part.take(np.isin(part.labels, features.unseen)) for direction, part in scores.items()}
    results["directions"] = {direction: numbers(part) for direction, part in unseen.items()}
    results["without_relevant"] = {"directions": without_relevant(unseen)}
    seen = {direction: part.take(~np.isin(part.labels, features.unseen)) for direction, part in scores.items()}
    if seen and all(len(part.labels) for part in seen.values()):
        results["seen"] = {direction: numbers(part) for direction, part in seen.items()}
        results["without_relevant"]["seen"] = without_relevant(seen)
        results["harmonic"] = {}
        for direction, values in results["directions"].items():
            seen_values = results["seen"][direction]
            results["harmonic"][direction] = {
                name: harmonic_mean(values[name], seen_values[name]) for name in scores[direction].values
            }
    if draws:
        results["intervals"] = {
            direction: statistics.intervals(part.values, part.labels, class_means, draws, setup.seed)
            for direction, part in unseen.items()
        }
    results["classes"] = {}
    for direction, part in unseen.items():
        means = statistics.per_class(next(iter(part.values.values())), part.labels)
        results["classes"][direction] = {features.class_name(label): value for label, value in means.items()}
    return results


def harmonic_mean(a, b):
    """2 a b / (a + b); 0 where both are."""
    return 2 * a * b / (a + b) if a + b else 0.0
