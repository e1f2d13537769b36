"""Batches of stage I are balanced over classes; the pictures to choose the epoch by are of every class."""

import numpy as np
import pytest

from zscmr.training.stage1 import classifier


@pytest.mark.parametrize(("per_class", "rounds"), [((3, 3, 3), 3), ((1, 4, 7), 4)])
def test_batches_are_balanced_over_classes(per_class, rounds):
    """Each round of three holds every class once; a class deals all of its pictures before one comes again."""
    labels = np.repeat(np.arange(3), per_class)
    order = classifier.balanced_order(labels, np.random.default_rng(0))
    assert len(order) == len(labels)
    for start in range(0, 3 * (len(labels) // 3), 3):
        assert sorted(labels[order[start : start + 3]]) == [0, 1, 2]
    for label, count in enumerate(per_class):
        dealt = order[labels[order] == label][: min(count, rounds)]
        assert len(set(dealt)) == len(dealt)


def test_held_out_pictures_are_of_every_class_and_replayable():
    labels = np.repeat(np.arange(4), (10, 10, 2, 1))
    fitted, held_out = classifier.split_pictures(labels, 0.3, seed=2)
    assert sorted([*fitted, *held_out]) == list(range(23))
    assert np.bincount(labels[held_out], minlength=4).tolist() == [3, 3, 1, 0]
    np.testing.assert_array_equal(held_out, classifier.split_pictures(labels, 0.3, seed=2)[1])
