"""Means over queries or classes, how far they would move with other queries, and whether two systems differ."""

import numpy as np

_DRAWS_AT_ONCE = 2**22  # resampled queries


def mean(values, labels, class_means=False):
    """Mean of `values` (queries,) over queries, or over the classes in `labels` (queries,) of their means."""
    if not class_means:
        return float(np.mean(values))
    return float((values * weights(labels, class_means)).sum())


def weights(labels, class_means):
    """Share of each query in the mean, (queries,), summing to 1."""
    if not class_means:
        return np.full(len(labels), 1 / len(labels))
    classes, which, count = np.unique(labels, return_inverse=True, return_counts=True)
    return 1 / (len(classes) * count[which])


def intervals(scores, labels, class_means=False, draws=1000, seed=0, level=0.95):
    """Bootstrap over queries: {metric: (low, high)} for `scores` {metric: (queries,)}, percentile intervals.

    Queries are drawn with replacement; with class means, within the draw every class that is in it counts alike.
    """
    values = np.stack(list(scores.values()), axis=1)  # (queries, metrics)
    count = len(values)
    if class_means:
        _, which = np.unique(labels, return_inverse=True)
    random = np.random.default_rng(seed)
    means = []
    for _ in range(draws):
        drawn = random.integers(0, count, count)
        if class_means:
            sizes = np.bincount(which[drawn])
            share = 1 / (np.count_nonzero(sizes) * sizes[which[drawn]])
            means.append(share @ values[drawn])
        else:
            means.append(np.bincount(drawn, minlength=count) @ values / count)
    edges = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return {name: (float(low), float(high)) for name, low, high in zip(scores, *edges, strict=True)}


def paired_test(first, second, labels, class_means=False, draws=10000, seed=0):
    """Whether two systems differ on the same queries, by the sign-flip randomisation test.

    `first`, `second` (queries,): the same metric of the same queries. Returns (difference of the means, two-sided p):
    the share of random sign assignments to the per-query differences that move the mean at least as far from 0.
    """
    differences = (np.asarray(first) - second) * weights(labels, class_means)
    observed = differences.sum()
    random = np.random.default_rng(seed)
    step = max(1, _DRAWS_AT_ONCE // len(differences))
    as_far = 0
    for start in range(0, draws, step):
        signs = random.integers(0, 2, (min(step, draws - start), len(differences)), dtype=np.int8) * 2.0 - 1
        as_far += np.count_nonzero(np.abs(signs @ differences) >= abs(observed) * (1 - 1e-12))
    return float(observed), (as_far + 1) / (draws + 1)


def per_class(values, labels):
    """{label: mean of `values` (queries,) over the queries with it}."""
    classes, which, count = np.unique(labels, return_inverse=True, return_counts=True)
    return dict(zip(classes.tolist(), (np.bincount(which, values) / count).tolist(), strict=True))
