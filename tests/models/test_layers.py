"""Layers that the systems share, and the mixing of pairs."""

import numpy as np
import tensorflow as tf
from helpers.slow import slow_scaled

from zscmr.models import layers
from zscmr.models.base import Batch
from zscmr.models.layers import Scaling
from zscmr.training.sources import TrainingRows
from zscmr.training.strategies import Gather

F, C = 7, 4
ONE = Gather(replicas=1)


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


def mixed(photos, sketches, modality_mix, class_mix):
    labels = np.repeat(np.arange(len(photos) // 2, dtype=np.int32), 2)
    batch = Batch(tf.constant(photos), tf.constant(sketches), None, tf.constant(labels))
    return batch, layers.mix_pairs(batch, modality_mix, class_mix, tf.constant([1, 2]), ONE)


def test_virtual_classes_blend_neighbours_with_one_share_each():
    """Rows come in twos per class; the virtual rows of class k lie between those of k and k − 1, at equal shares."""
    rows = np.repeat(np.eye(4, dtype=np.float32), 2, axis=0)  # class k is the k-th axis
    batch, pairs = mixed(rows, rows, 0.0, 0.5)
    photos, sketches = pairs.photos.numpy(), pairs.sketches.numpy()
    np.testing.assert_array_equal(photos[:8], rows)
    virtual = photos[8:]
    np.testing.assert_allclose(np.linalg.norm(virtual, axis=1), 1, rtol=1e-6)
    for k in range(4):
        assert set(np.flatnonzero(virtual[2 * k])) <= {k, (k - 1) % 4}
        assert virtual[2 * k, k] >= virtual[2 * k, (k - 1) % 4]
        np.testing.assert_array_equal(virtual[2 * k], virtual[2 * k + 1])
    np.testing.assert_array_equal(photos, sketches)
    assert pairs.labels.numpy().tolist() == [0, 0, 1, 1, 2, 2, 3, 3, -1, -1, -2, -2, -3, -3, -4, -4]
    np.testing.assert_array_equal(layers.without_virtual(pairs.photos, batch, ONE), rows)


def test_mixed_modalities_stay_within_their_share():
    photos, sketches = np.zeros((6, F), np.float32), np.ones((6, F), np.float32)
    _, pairs = mixed(photos, sketches, 0.3, 0.0)
    assert pairs.photos.shape == (6, F) and 0 < pairs.photos.numpy().max() <= 0.3
    assert 0.7 <= pairs.sketches.numpy().min() < 1


def principal_directions(count, rows, labels):
    features = TrainingRows(rows, labels, np.arange(len(rows)))
    scaling = Scaling(features, "scaling")
    return scaling, layers.principal_directions(scaling, features, count)


def test_principal_directions_are_all_components_however_many_are_asked_for(random):
    """With as many as there are, the map without its division by variances is a rotation; further columns are 0."""
    rows, labels = random.normal(size=(30, F)), random.integers(0, 3, 30)
    for count in (F, F + 2):
        _, kernel = principal_directions(count, rows, labels)
        directions = kernel[:, :F] / np.linalg.norm(kernel[:, :F], axis=0)
        np.testing.assert_allclose(directions @ directions.T, np.eye(F), atol=1e-5)
        assert not kernel[:, F:].any()


def test_principal_directions_weigh_what_varies_within_classes(random):
    """The largest directions of WITHIN_CLASS_WEIGHT · within-class + between-class scatter of the scaled rows, by
    loops, each divided by its variance^WHITENING."""
    rows, labels = random.normal(size=(40, F)) + random.normal(size=(4, F))[np.arange(40) % 4], np.arange(40) % 4
    scaling, kernel = principal_directions(2, rows, labels)
    scaled = slow_scaled(scaling, rows.astype(np.float32))
    scatter, mean = np.zeros((F, F)), scaled.mean(0)
    for label in range(4):
        centre = scaled[labels == label].mean(0)
        for row in scaled[labels == label]:
            scatter += layers.WITHIN_CLASS_WEIGHT * np.outer(row - centre, row - centre) + np.outer(
                centre - mean, centre - mean
            )
    variances, directions = np.linalg.eigh(scatter)
    expected = directions[:, ::-1][:, :2] * (variances[::-1][:2] / variances[-1]) ** -layers.WHITENING
    np.testing.assert_allclose(kernel @ kernel.T, expected @ expected.T, rtol=1e-3, atol=1e-4)


def test_components_without_variance_count_for_nothing(random):
    rows = np.repeat(random.normal(size=(20, 1)), F, axis=1)  # all on one line
    _, kernel = principal_directions(3, rows, np.arange(20) % 4)
    assert np.isfinite(kernel).all() and kernel[:, 0].any() and not kernel[:, 1:].any()


def test_class_similarity_against_a_slow_loop(random):
    """Each row: its scaled features at length 1, then the roots of its shares in the classes, about their mean."""
    rows, classifier = random.normal(size=(9, F)), random.normal(size=(F, C)).astype(np.float32)
    layer = layers.ClassSimilarity(TrainingRows(rows, np.zeros(9, int), np.arange(9)), "similarity", classifier)
    units = slow_scaled(layer.scaling, rows) / np.sqrt(F)
    directions = [classifier[:, k] - classifier.mean(1) for k in range(C)]
    shares = []
    for unit in units:
        cosines = np.array([unit @ direction / np.linalg.norm(direction) for direction in directions])
        raised = np.exp(cosines / layers.SIMILARITY_TEMPERATURE)
        shares.append(np.sqrt(raised / raised.sum()))
    shares = np.array(shares) - np.mean(shares, axis=0)
    for unit, share, received in zip(units, shares, layer(rows.astype(np.float32)).numpy(), strict=True):
        both = np.concatenate([unit, layers.SIMILARITY_LENGTH * share / np.linalg.norm(share)])
        np.testing.assert_allclose(received, both * np.sqrt((F + C) / (both @ both)), rtol=1e-3, atol=1e-4)


def test_dropout_is_a_function_of_its_seed():
    rows = tf.ones((50, 4))
    one, same, other = (layers.dropout(rows, 0.5, tf.constant(seed), ONE).numpy() for seed in ([1, 2], [1, 2], [1, 3]))
    np.testing.assert_array_equal(one, same)
    assert set(np.unique(one)) == {0.0, 2.0} and (one != other).any()
    assert layers.dropout(rows, 0.0, None, ONE) is rows
