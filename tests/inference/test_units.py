"""Vectors of length 1."""

import numpy as np

from zscmr.inference.units import units


def test_vectors_have_length_one_and_zeros_stay():
    vectors = np.array([[[3, 4], [0, 0]]], np.float32)
    np.testing.assert_allclose(units(vectors), [[[0.6, 0.8], [0, 0]]], rtol=1e-6)
    assert units(vectors).dtype == np.float32
