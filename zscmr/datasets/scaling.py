"""Features centred and scaled on those of the seen classes."""

import numpy as np


def scaled(features, labels, seen):
    """Features (n, F) of pictures with `labels` (n,), centred and scaled per feature on those of the classes `seen`."""
    reference = features[np.isin(labels, seen)]
    return (features - reference.mean(0)) / usable_deviation(reference.std(0))


def usable_deviation(deviation):
    """Standard deviations (F,) to divide by: 1 in place of one so small that the feature does not vary.

    A feature that is constant on seen pictures would otherwise outweigh all others in a picture where it is not.
    """
    return np.where(deviation > SMALLEST, deviation, 1.0)


SMALLEST = 1e-6  # standard deviation of a feature that varies
