"""The contrastive objective of end-to-end training against slow loops and finite differences."""

import numpy as np
import pytest
import tensorflow as tf
from helpers.project import check_gradients
from helpers.slow import assert_terms_agree, slow_cross_entropy, slow_linear

from zscmr.models import contrastive, losses
from zscmr.models.base import Batch, Inputs
from zscmr.training.strategies import Gather

BATCH, F, T, C = 6, 7, 3, 4
ONE = Gather(replicas=1)
SETTINGS = contrastive.Settings(dim=T, scale=3.0, temperature=0.5)


@pytest.fixture
def model(random):
    rows = np.zeros((1, F), np.float32)
    model = contrastive.build(SETTINGS, Inputs(rows, rows, np.zeros((C, 1)), np.empty((0, 2), int)))
    for weight in model.trainable_variables:
        weight.assign(random.normal(size=weight.shape))
    return model


@pytest.fixture
def batch(random):
    photos, sketches = (random.normal(size=(BATCH, F)).astype(np.float32) for _ in range(2))
    return photos, sketches, np.array([0, 0, 2, 2, 3, 1], np.int32)


def unit(row):
    return row / np.linalg.norm(row)


def slow_contrast(rows, labels, temperature):
    total = 0.0
    for i, row in enumerate(rows):
        others = [k for k in range(len(rows)) if k != i]
        logits = {k: row @ rows[k] / temperature for k in others}
        scale = np.log(sum(np.exp(value) for value in logits.values()))
        total -= np.mean([logits[k] - scale for k in others if labels[k] == labels[i]])
    return total / len(rows)


def slow_crossing(photos, sketches, labels, temperature):
    photos, sketches = (np.array(rows, np.float64) - np.mean(rows, 0, np.float64) for rows in (photos, sketches))
    total = 0.0
    for anchors, candidates in ((photos, sketches), (sketches, photos)):
        for i, anchor in enumerate(anchors):
            logits = np.array([unit(anchor) @ unit(row) / temperature for row in candidates])
            log_prob = logits - np.log(np.exp(logits).sum())
            total -= np.mean([log_prob[k] for k in range(len(candidates)) if labels[k] == labels[i]])
    return total / (2 * len(labels))


def slow_terms(model, photos, sketches, labels):
    rows = [unit(slow_linear(model.map, row)) for row in (*photos, *sketches)]
    labels = [*labels, *labels]
    classes = [unit(column) for column in model.classes.kernel.numpy().astype(np.float64).T]
    logits = [[SETTINGS.scale * row @ column for column in classes] for row in rows]
    return {
        "classification": np.mean([slow_cross_entropy(np.array(z), y) for z, y in zip(logits, labels, strict=True)]),
        "contrast": slow_contrast(rows, labels, SETTINGS.temperature),
        "crossing": slow_crossing(photos, sketches, labels[:BATCH], SETTINGS.temperature),
    }


def fast_terms(model, photos, sketches, labels):
    batch = Batch(tf.constant(photos), tf.constant(sketches), tf.zeros((BATCH, 1)), tf.constant(labels))
    return model.terms(batch, tf.constant([0, 0]), ONE)


def test_terms_agree_with_slow_loops(model, batch):
    assert_terms_agree(fast_terms(model, *batch), slow_terms(model, *batch), SETTINGS.terms)


@pytest.mark.parametrize("name", ("classification", "contrast"))
def test_gradients_agree_with_finite_differences(model, batch, name):
    with tf.GradientTape() as tape:
        value = fast_terms(model, *batch)[name]
    gradients = tape.gradient(value, [variable.value for variable in model.trainable_variables])
    check_gradients(
        model.trainable_variables, gradients, lambda: slow_terms(model, *batch)[name], step=2e-3, tolerance=2e-3
    )


def test_gradient_of_the_crossing_by_the_features(batch):
    """Central differences of the slow loop in every feature of the second photo and the last sketch."""
    photos, sketches, labels = batch
    variables = [tf.Variable(photos), tf.Variable(sketches)]
    with tf.GradientTape() as tape:
        value = losses.cross_modal_contrastive_loss(
            *(contrastive._centred(rows, ONE) for rows in variables), tf.constant(labels), 0.5, ONE
        )
    for which, (row, gradient) in enumerate(zip((1, BATCH - 1), tape.gradient(value, variables), strict=True)):
        for column in range(F):
            values = []
            for bump in (1e-4, -1e-4):
                rows = [np.array(side, np.float64) for side in (photos, sketches)]
                rows[which][row, column] += bump
                values.append(slow_crossing(*rows, labels, 0.5))
            assert gradient.numpy()[row, column] == pytest.approx((values[0] - values[1]) / 2e-4, abs=1e-4)


def test_embeddings_are_unit_rows_of_one_map_for_both_modalities(model, batch):
    photos = model.embed_photos(batch[0]).numpy()
    np.testing.assert_allclose(photos, [unit(slow_linear(model.map, row)) for row in batch[0]], rtol=1e-5)
    np.testing.assert_array_equal(photos, model.embed_sketches(batch[0]).numpy())
