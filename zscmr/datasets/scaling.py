"""Features centred and scaled on those of the seen classes."""

import numpy as np

SMALLEST = 1e-6  # standard deviation of a feature that varies


def scaled(features, labels, seen):
    """Centre and scale features (n, F) by the mean and deviation of the rows whose `labels` (n,) are in `seen`."""
    reference = features[np.isin(labels, seen)]
    return (features - reference.mean(0)) / usable_deviation(reference.std(0))


def usable_deviation(deviation):
    """Replace standard deviations (F,) of features that do not vary by 1.

    Such a feature would otherwise outweigh all others in a picture where it differs.
    """
    return np.where(deviation > SMALLEST, deviation, 1.0)
