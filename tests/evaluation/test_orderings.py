"""Orders do not depend on blocks, nor on how a matrix product rounds."""

import numpy as np
import pytest
from helpers.toy_features import random_arrays

from zscmr.commands import evaluate as knn_eval


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("block", [1, 3, 33])
def test_copies_tie_whatever_the_matrix_product_rounds(metric, block):
    # Every row thrice, shuffled, in dimensions and blocks where BLAS rounds equal columns differently.
    random = np.random.default_rng(1)
    which = random.permutation(np.repeat(np.arange(83), 3))
    gallery = random.normal(size=(83, 300))[which]
    gallery[:, 0] = 0.0
    gallery[-9:, 0] = -0.0  # equal to 0.0, though not in its bytes
    for _, order in knn_eval.rank_blocks(random.normal(size=(33, 300)), gallery, metric, block=block):
        for ranked in order:
            threes = ranked.reshape(-1, 3)  # copies stand together, in gallery order
            assert (which[threes] == which[threes[:, :1]]).all()
            assert (np.diff(threes, axis=1) > 0).all()


@pytest.mark.parametrize("kind", ["loose", "tied"])
@pytest.mark.parametrize("block", [1, 7, 59, 60, 1000])
def test_blocks_of_any_size_rank_alike(kind, block):
    photos, sketches, _, _ = random_arrays(kind)
    ranking = knn_eval.rank(sketches, photos, "euclidean")
    blocks = list(knn_eval.rank_blocks(sketches, photos, "euclidean", block=block))
    np.testing.assert_array_equal(np.concatenate([order for _, order in blocks]), ranking)
    assert max(len(order) for _, order in blocks) == min(block, len(sketches))
