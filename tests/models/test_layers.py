"""Layers that the systems share."""

import numpy as np

from zscmr.models.layers import Scaling


def test_scaling_by_hand():
    """Means 2 and 4, deviations 1 and 2: (4, 2) becomes (2, −1), of length √5, and is brought to length √2."""
    scaling = Scaling(np.array([[1, 2], [3, 6]], np.float32), "scaling")
    expected = np.array([[2, -1]]) * np.sqrt(2 / 5)
    np.testing.assert_allclose(scaling(np.array([[4, 2]], np.float32)).numpy(), expected, rtol=1e-6)
    assert not scaling.trainable_weights


def test_a_feature_constant_on_seen_pictures_is_not_scaled():
    """Means 2 and 4, deviations 1 and 0, for which 1 is taken: (7, 6) becomes (5, 2), brought to length √2 from √29."""
    scaling = Scaling(np.array([[1, 4], [3, 4]], np.float32), "scaling")
    np.testing.assert_array_equal(scaling.deviation.numpy(), [1, 1])
    expected = np.array([[5, 2]]) * np.sqrt(2 / 29)
    np.testing.assert_allclose(scaling(np.array([[7, 6]], np.float32)).numpy(), expected, rtol=1e-6)
