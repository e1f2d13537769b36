"""Loss terms by hand; each system's tests compare its own terms with slow loops."""

import numpy as np
import pytest
import tensorflow as tf

from zscmr.models import losses
from zscmr.training.strategies import Gather

ONE = Gather(replicas=1)


def test_triplet_hinge_by_hand():
    """Photos at 0, sketches at 3 on a line, margin 2. Other sketches at 4 and 1: max(3−4+2, 0) = 1, max(3−1+2, 0) = 4;
    other photos at −1 and 9, 4 and 6 from the sketch: max(3−4+2, 0) = 1, max(3−6+2, 0) = 0."""

    def line(*points):
        return tf.constant(points)[:, None]

    loss = losses.triplet_loss(line(0.0, 0.0), line(3.0, 3.0), line(-1.0, 9.0), line(4.0, 1.0), margin=2.0)
    assert float(loss) == pytest.approx((1 + 4) / 2 + (1 + 0) / 2)


def test_gradient_where_photo_and_sketch_are_equal():
    """Of their distance 0; of that to the other sketch, √3 away, 1/√3 in each component, half of it by the mean."""
    point = tf.Variable(tf.ones((2, 3)))
    with tf.GradientTape() as tape:
        loss = losses.triplet_loss(point, tf.ones((2, 3)), tf.zeros((2, 3)), tf.zeros((2, 3)), 5.0)
    np.testing.assert_allclose(tape.gradient(loss, point).numpy(), np.full((2, 3), -1 / np.sqrt(12)), rtol=1e-6)


def test_contrast_by_hand():
    """Rows at angles 0, 0 and 90°, of classes 0, 0, 1 and 1 at 90°: for each row the other of its class has cosine 1,
    two strangers cosine 0, so that −log(e / (e + 2)) at temperature 1."""
    rows = tf.constant([[1.0, 0], [1, 0], [0, 1], [0, 1]])
    loss = losses.contrastive_loss(rows, tf.constant([0, 0, 1, 1]), 1.0, ONE)
    assert float(loss) == pytest.approx(-np.log(np.e / (np.e + 2)))


def test_terms_of_a_teacher(random):
    logits, teacher = random.normal(size=(2, 5, 4)).astype(np.float32)
    probabilities = np.exp(teacher) / np.exp(teacher).sum(1, keepdims=True)
    log_prob = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    assert float(losses.soft_cross_entropy(logits, teacher)) == pytest.approx(
        -(probabilities * log_prob).sum(1).mean(), rel=1e-5
    )
    cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(logits, teacher, strict=True)]
    assert float(losses.cosine_loss(logits, teacher)) == pytest.approx(1 - np.mean(cosines), rel=1e-5)
    assert float(losses.cosine_loss(logits, 3 * logits)) == pytest.approx(0, abs=1e-6)


def test_all_pairs_triplet_by_hand():
    """Photos and sketches of two classes at 0° and 90°, temperature 1: each anchor has a positive of cosine 1 and a
    negative of cosine 0, so log(1 + e⁻¹); once for photos as anchors, once for sketches."""
    rows = tf.eye(2)
    loss = losses.all_pairs_triplet_loss(rows, rows, tf.constant([0, 1]), 1.0, ONE)
    assert float(loss) == pytest.approx(2 * np.log(1 + np.exp(-1)))


def test_cross_modal_contrast_by_hand():
    """Each photo has its sketch at cosine 1 and the other class's at 0: −log(e / (e + 1)), and the same reversed."""
    rows = tf.eye(2)
    loss = losses.cross_modal_contrastive_loss(rows, rows, tf.constant([0, 1]), 1.0, ONE)
    assert float(loss) == pytest.approx(-np.log(np.e / (np.e + 1)))


def test_released_triplet_is_a_hinge_of_means():
    """Distances to positives 3 and 1, to negatives 1 and 9: max(2 − 5 + margin, 0)."""
    anchor, positive, negative = tf.zeros((2, 1)), tf.constant([[3.0], [1.0]]), tf.constant([[1.0], [9.0]])
    for margin, expected in ((4.0, 1.0), (2.0, 0.0)):
        assert float(losses.batch_mean_triplet_loss(anchor, positive, negative, margin, ONE)) == pytest.approx(expected)
