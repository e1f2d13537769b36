"""Memory that blocks of distances take."""

import numpy as np
import pytest
from helpers.slow import loop_distance
from helpers.toy_features import random_arrays

from zscmr.commands import evaluate as knn_eval
from zscmr.evaluation import distances


def test_memory_bounds_a_block():
    for gallery, memory in ((1000, 10**9), (54151, 10**9), (10**6, 10**9), (10**6, 2 * 10**8)):
        assert (
            distances.query_block(gallery, memory) * gallery * 8 <= memory / 4
            or distances.query_block(gallery, memory) == 1
        )


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_distances(metric):
    photos, sketches, _, _ = random_arrays("loose")
    expected = [[loop_distance(query, item, metric) for item in photos.tolist()] for query in sketches.tolist()]
    np.testing.assert_allclose(knn_eval.distances(sketches, photos, metric), expected, rtol=1e-9, atol=1e-12)
