"""The projection of aligned features: what it is made of, and that nothing is trained."""

import numpy as np
import pytest
from helpers.slow import slow_linear, slow_scaled

from zscmr.models import aligned, layers
from zscmr.models.base import Inputs
from zscmr.training.sources import TrainingRows

F, T, S, C = 7, 3, 4, 5


def training_rows(random, width=F):
    return TrainingRows(random.normal(size=(20, width)).astype(np.float32), np.arange(20) % 4, np.arange(20))


def inputs(photos, sketches, classifier=None):
    return Inputs(photos, sketches, np.zeros((C, S)), np.empty((0, 2), int), classifier)


def test_embeddings_are_principal_components_of_the_scaled_sketches(random):
    """Photos and sketches are each scaled by their own statistics, mapped by one kernel, and brought to length 1."""
    photos, sketches = training_rows(random), training_rows(random)
    model = aligned.build(aligned.Settings(dim=T), inputs(photos, sketches))
    kernel = layers.principal_directions(model.sketch_scaling, sketches, T)
    for scaling, encoder, embed, rows in (
        (model.photo_scaling, model.photo_encoder, model.embed_photos, photos.features),
        (model.sketch_scaling, model.sketch_encoder, model.embed_sketches, sketches.features),
    ):
        np.testing.assert_array_equal(encoder.linear.kernel.numpy(), kernel)
        expected = slow_linear(encoder.linear, slow_scaled(scaling, rows))
        expected /= np.linalg.norm(expected, axis=1, keepdims=True)
        np.testing.assert_allclose(embed(rows).numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("known", [False, True])
def test_pictures_are_described_by_the_classifier_where_there_is_one(random, known):
    rows, classifier = training_rows(random), random.normal(size=(F, C)).astype(np.float32)
    model = aligned.build(aligned.Settings(dim=T), inputs(rows, rows, classifier if known else None))
    assert model.photo_encoder.linear.kernel.shape == (F + C * known, T)
    assert model.embed_photos(rows.features[:3]).shape == (3, T)


def test_nothing_is_trained(random):
    rows = training_rows(random)
    assert aligned.build(aligned.Settings(dim=T), inputs(rows, rows)).parameter_groups(1e-3) == []
    assert aligned.PRESETS["aligned"].epochs == 0 and aligned.PRESETS["aligned"].weights == {}


def test_features_of_two_widths_are_refused(random, refused):
    message = refused(
        aligned.build, aligned.Settings(dim=T), inputs(training_rows(random), training_rows(random, F + 1))
    )
    assert message == "photos have 7 features, sketches 8: --preset aligned needs as many of both"


def test_discriminants_of_trained_classes_are_those_of_a_slow_solution(random):
    photos, sketches = training_rows(random), training_rows(random)
    model = aligned.build(aligned.Settings(dim=T), inputs(photos, sketches))
    scalings = model.photo_scaling, model.sketch_scaling
    received = aligned.trained_directions(scalings, (photos, sketches), 4)
    scatter, middle = np.zeros((F, F)), np.zeros((4, F))
    for scaling, side in zip(scalings, (photos, sketches), strict=True):
        rows = slow_scaled(scaling, side.features)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        for c in range(4):
            of_class = rows[side.labels == c]
            middle[c] += of_class.mean(0) / 2
            for row in of_class:
                scatter += np.outer(row - of_class.mean(0), row - of_class.mean(0))
    for c in range(4):
        direction = np.linalg.inv(scatter + np.trace(scatter) / F * np.eye(F)) @ (middle[c] - middle.mean(0))
        np.testing.assert_allclose(received[:, c], direction / np.linalg.norm(direction), rtol=1e-3, atol=1e-4)


def test_similarities_to_trained_classes_follow_the_described_features(random):
    """Length 2 where the scaled features have length 1: as long as twice the features' part of a row."""
    photos, sketches, classifier = training_rows(random), training_rows(random), random.normal(size=(F, C))
    model = aligned.build(aligned.Settings(dim=T, trained=2.0), inputs(photos, sketches, classifier.astype(np.float32)))
    rows = model.photo_scaling(photos.features[:6]).numpy()
    assert rows.shape == (6, F + C + 4) and model.embed_sketches(sketches.features[:3]).shape == (3, T)
    lengths = np.linalg.norm(rows[:, :F], axis=1)
    np.testing.assert_allclose(np.linalg.norm(rows[:, F + C :], axis=1), 2 * lengths, rtol=1e-4)
