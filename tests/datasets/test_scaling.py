"""Features are centred and scaled on seen classes alone."""

import numpy as np

from zscmr.datasets.scaling import SMALLEST, scaled, usable_deviation


def test_scaling_knows_seen_rows_only():
    """Seen rows 1, 3 of one feature: mean 2, deviation 1; the unseen row 7 is 5 deviations off. A constant stays 0."""
    features = np.array([[1.0, 4], [3, 4], [7, 4]])
    np.testing.assert_allclose(scaled(features, np.array([0, 2, 1]), [0, 2]), [[-1, 0], [1, 0], [5, 0]])


def test_a_feature_constant_on_seen_pictures_is_not_scaled():
    """Seen rows 4, 4 of the second feature: mean 4, deviation 0. The unseen row 6 is 2 off and stays so; divided by a
    deviation near 0 it would outweigh every other feature."""
    features = np.array([[1.0, 4], [3, 4], [7, 6]])
    np.testing.assert_allclose(scaled(features, np.array([0, 2, 1]), [0, 2]), [[-1, 0], [1, 0], [5, 2]])


def test_deviations_up_to_the_smallest_are_replaced():
    deviation = np.array([0, SMALLEST / 2, SMALLEST, 2 * SMALLEST, 3])
    np.testing.assert_array_equal(usable_deviation(deviation), [1, 1, 1, 2 * SMALLEST, 3])
