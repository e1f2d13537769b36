"""Triads and balanced batches are a function of (seed, epoch) and hold the classes that they should."""

from types import SimpleNamespace

import numpy as np
import pytest

from zscmr.datasets import batches
from zscmr.datasets.classes import Split
from zscmr.datasets.loader import load_dataset


@pytest.mark.parametrize("per_class", [(5, 9), (9, 5)])
def test_triads(per_class):
    """Positives share the class, negatives do not, no row of another class appears, the larger modality is covered."""
    photo_labels = np.random.default_rng(0).permutation(np.repeat(np.arange(6), per_class[0]))
    sketch_labels = np.random.default_rng(1).permutation(np.repeat(np.arange(6), per_class[1]))
    seen = np.array([0, 2, 3, 5])
    triads = batches.draw_triads(photo_labels, sketch_labels, seen, batch=4, seed=1, epoch=7)
    assert triads.photo.shape == triads.negative_sketch.shape == (36 // 4, 4)
    label = photo_labels[triads.photo]
    assert np.isin(label, seen).all()
    assert (sketch_labels[triads.sketch] == label).all()
    for negative in (photo_labels[triads.negative_photo], sketch_labels[triads.negative_sketch]):
        assert (negative != label).all() and np.isin(negative, seen).all()
    larger = triads.photo if per_class[0] > per_class[1] else triads.sketch
    assert len(np.unique(larger)) == 36


def test_few_pictures_make_a_batch_smaller():
    """A batch that the pictures fill stays; else an epoch has at least two, of a power of two."""
    assert [batches.fitting_batch(128, pictures) for pictures in (1, 3, 15, 64, 125, 127, 128, 500)] == [
        *(1, 1, 4, 32, 32, 32, 128, 128)
    ]
    labels = SimpleNamespace(labels=np.repeat(np.arange(6), 9)), SimpleNamespace(labels=np.repeat(np.arange(6), 5))
    dataset, split = SimpleNamespace(photo=labels[1], sketch=labels[0]), SimpleNamespace(seen=np.array([0, 2, 5]))
    assert batches.trained_pictures(dataset, split) == 27


def test_triads_are_a_function_of_seed_and_epoch():
    labels = np.repeat(np.arange(4), 8)

    def draw(seed, epoch):
        return batches.draw_triads(labels, labels, np.arange(4), 8, seed, epoch).photo

    np.testing.assert_array_equal(draw(1, 2), draw(1, 2))
    assert (draw(1, 2) != draw(1, 3)).any() and (draw(1, 2) != draw(2, 2)).any()


def test_negatives_are_spread_over_all_other_classes():
    labels = np.repeat(np.arange(5), 400)
    triads = batches.draw_triads(labels, labels, np.arange(5), 100, 0, 1)
    anchors, negatives = labels[triads.photo].ravel(), labels[triads.negative_sketch].ravel()
    share = np.histogram2d(anchors, negatives, bins=5)[0] / 400
    assert np.allclose(np.diag(share), 0) and np.allclose(share + 0.25 * np.eye(5), 0.25, atol=0.1)


def test_balanced_batches_hold_two_pairs_of_each_class():
    labels = np.repeat(np.arange(6), 8)
    classes = np.array([0, 2, 3, 5])
    for batch, kept in ((8, 4), (100, 4), (6, 3)):
        drawn = batches.draw_balanced(labels, labels, classes, batch, seed=1, epoch=2)
        assert drawn.photo.shape == (max(1, 32 // batch), 2 * kept)
        groups = labels[drawn.photo].reshape(-1, kept, 2)
        assert (groups[:, :, 0] == groups[:, :, 1]).all() and (labels[drawn.sketch] == labels[drawn.photo]).all()
        assert all(len(set(row)) == kept and set(row) <= set(classes) for row in groups[:, :, 0])
        assert (labels[drawn.negative_photo] != labels[drawn.photo]).all()
        again = batches.draw_balanced(labels, labels, classes, batch, seed=1, epoch=2)
        np.testing.assert_array_equal(drawn.photo, again.photo)


def test_unpaired_sketches_are_drawn_alike_of_each_class():
    labels = np.repeat([0, 2, 3], [4, 100, 1])
    rows = batches.draw_unpaired(labels, 150, 4, seed=1, epoch=2)
    assert rows.shape == (150, 4) and rows.dtype == np.int32
    np.testing.assert_allclose(np.bincount(labels[rows.ravel()]) / rows.size, [1 / 3, 0, 1 / 3, 1 / 3], atol=0.07)
    assert len(np.unique(rows)) > 70
    np.testing.assert_array_equal(rows, batches.draw_unpaired(labels, 150, 4, seed=1, epoch=2))
    assert (rows != batches.draw_unpaired(labels, 150, 4, seed=1, epoch=3)).any()


def test_an_epoch_is_of_the_kind_that_the_preset_names(dataset_folder):
    dataset = load_dataset(dataset_folder)
    split = Split(seen=np.arange(6), held_out=np.empty(0, int), unseen=np.arange(6, 10))
    triads = batches.draw_epoch(dataset, split, SimpleNamespace(batches="triads", batch_size=4, steps=0), 0, 1)
    balanced = batches.draw_epoch(dataset, split, SimpleNamespace(batches="balanced", batch_size=4, steps=7), 0, 1)
    assert triads.photo.shape == (9, 4) and balanced.photo.shape == (7, 4)
