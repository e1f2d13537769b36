"""Means over queries or classes, their bootstrap intervals, and a paired test of two systems."""

import numpy as np

DRAWS_AT_ONCE = 2**22  # resampled queries
EDGES = 0.025, 0.975  # quantiles: a 95 % interval


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


def intervals(scores, labels, class_means=False, draws=1000, seed=0):
    """Bootstrap over queries: {metric: (low, high)} for `scores` {metric: (queries,)}, percentile intervals."""
    values = np.stack(list(scores.values()), axis=1)  # (queries, metrics)
    edges = interval_of_means(values, labels if class_means else None, draws, seed)
    return {name: (float(low), float(high)) for name, low, high in zip(scores, *edges, strict=True)}


def interval_of_means(values, classes=None, draws=1000, seed=0):
    """(low, high) (2, columns): percentile intervals of the means of `values` (queries, columns).

    Queries are drawn with replacement. `classes` (queries,): weigh the classes of a draw alike.
    """
    count = len(values)
    if classes is not None:
        _, which = np.unique(classes, return_inverse=True)
    random = np.random.default_rng(seed)
    means = []
    for _ in range(draws):
        drawn = random.integers(0, count, count)
        if classes is None:
            means.append(np.bincount(drawn, minlength=count) @ values / count)
        else:
            sizes = np.bincount(which[drawn])
            share = 1 / (np.count_nonzero(sizes) * sizes[which[drawn]])
            means.append(share @ values[drawn])
    return np.quantile(means, EDGES, axis=0)


def paired_test(first, second, labels, class_means=False, draws=10000, seed=0):
    """Whether two systems differ on the same queries, by the sign-flip randomisation test.

    `first`, `second` (queries,): the same metric of the same queries. Returns (difference of the means, two-sided p),
    p being twice the share of sign assignments to the per-query differences that move the mean at least as far in the
    observed direction. All assignments are counted if there are at most `draws`, else `draws` random ones.
    """
    from scipy.stats import permutation_test  # imported here: it takes 0.5 s

    differences = (np.asarray(first) - second) * weights(labels, class_means)
    observed = float(differences.sum())
    if not differences.any():
        return observed, 1.0
    test = permutation_test(
        (differences,),
        np.sum,
        permutation_type="samples",
        vectorized=True,
        n_resamples=draws,
        batch=max(1, DRAWS_AT_ONCE // len(differences)),
        random_state=np.random.default_rng(seed),
    )
    return observed, float(test.pvalue)


def per_class(values, labels):
    """{label: mean of `values` (queries,) over the queries with it}."""
    classes, which, count = np.unique(labels, return_inverse=True, return_counts=True)
    return dict(zip(classes.tolist(), (np.bincount(which, values) / count).tolist(), strict=True))
