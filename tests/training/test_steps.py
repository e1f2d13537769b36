"""Epochs of compiled steps: streamed as resident, two steps a turn as one, and options that keep the results."""

import dataclasses

import keras
import numpy as np
import pytest
from helpers.project import prepare

from zscmr.datasets.batches import Triads
from zscmr.models import zscmr
from zscmr.training import steps
from zscmr.training.sources import embed_features, make_source
from zscmr.training.stage2.train import build_state
from zscmr.training.steps import EpochRunner


def trained(folder, limit=4.0, **choices):
    """(loss terms (3 epochs, terms), embeddings of the photos) of a run; `limit`: GB of resident features."""
    choices = {"epochs": 3, "batch_size": 8, "dim": 5, "dropout": 0.2, **choices}
    options, preset, dataset, split, draw = prepare(folder, **choices)
    state = build_state(options, preset, dataset, split)
    source = make_source(dataset, split.seen, state.model, limit)
    run_epoch = EpochRunner(state, source, preset.constants.terms, preset.weights, options.seed, options.jit)
    drawn = [draw(epoch) for epoch in (1, 2, 3)]
    losses = [run_epoch(triads, first=number * len(triads.photo)) for number, triads in enumerate(drawn)]
    return np.array(losses), embed_features(state.model.embed_photos, dataset.photo.features)


@pytest.mark.slow
def test_streamed_features_train_as_resident_ones(dataset_folder):
    losses, embeddings = trained(dataset_folder)
    streamed_losses, streamed_embeddings = trained(dataset_folder, limit=0.0)
    np.testing.assert_allclose(streamed_embeddings, embeddings, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(streamed_losses, losses, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("choices", [{}, {"preset": "released"}, {"jit": True}], ids=str)
def test_steps_of_a_turn_follow_one_another(dataset_folder, choices):
    """An epoch of eleven steps, done two to a turn but for the first, moves the weights as eleven epochs of a step."""
    choices = {"dropout": 0.2, "batch_size": 4, "learning_rate": 0.01, **choices}
    settings, preset, dataset, split, draw = prepare(dataset_folder, **choices)
    drawn = [draw(epoch) for epoch in range(1, 12)]
    joined = {
        field.name: np.concatenate([getattr(triads, field.name) for triads in drawn])[:11]
        for field in dataclasses.fields(drawn[0])
    }

    def trained_on(*epochs):
        state = build_state(settings, preset, dataset, split)
        source = make_source(dataset, split.seen, state.model)
        assert state.model.count_params() <= steps.FEW_WEIGHTS and steps.FEW_STEPS < 11
        objective = preset.constants.terms, preset.weights
        run_epoch = EpochRunner(state, source, *objective, settings.seed, settings.jit)
        losses, first = [], 0
        for triads in epochs:
            losses.append(run_epoch(triads, first))
            first += len(triads.photo)
        return np.mean(losses, axis=0), [weight.numpy() for weight in state.model.weights]

    single = [Triads(**{name: rows[i : i + 1] for name, rows in joined.items()}) for i in range(11)]
    losses, weights = trained_on(Triads(**joined))
    losses_by_steps, weights_by_steps = trained_on(*single)
    np.testing.assert_allclose(losses, losses_by_steps, rtol=1e-6)
    for weight, expected in zip(weights, weights_by_steps, strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_step_compiled_by_xla_trains_alike(dataset_folder):
    losses, embeddings = trained(dataset_folder, dropout=0.0)
    xla_losses, xla_embeddings = trained(dataset_folder, dropout=0.0, jit=True)
    np.testing.assert_allclose(xla_embeddings, embeddings, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(xla_losses, losses, rtol=1e-3)


@pytest.fixture
def float32_afterwards():
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.slow
def test_bfloat16_rounds_the_products_only(dataset_folder, float32_afterwards):
    """Eight bits of mantissa: losses within a few percent of float32, but not the same; embeddings stay float32."""
    losses, embeddings = trained(dataset_folder, dropout=0.0)
    coarse_losses, coarse_embeddings = trained(dataset_folder, dropout=0.0, precision="bfloat16")
    assert coarse_embeddings.dtype == np.float32
    classification = zscmr.TERMS.index("classification")
    assert coarse_losses[0, classification] != losses[0, classification]
    assert coarse_losses[0, classification] == pytest.approx(losses[0, classification], rel=0.05)
    assert not np.array_equal(coarse_embeddings, embeddings)


def test_negatives_follow_the_pairs_of_a_step():
    labels = np.array([5, 6, 7, 8], np.int32)
    triads = Triads(*(np.array([[row, row]], np.int32) for row in range(4)))
    for photos, sketches in ((False, False), (True, False), (False, True)):

        class Model:
            negative_photos, negative_sketches = photos, sketches

        read = steps.step_rows(labels, triads, Model)
        assert read[0].tolist() == [[5, 5]]
        assert read[1].tolist() == [[0, 0, 2, 2] if photos else [0, 0]]
        assert read[2].tolist() == [[1, 1, 3, 3] if sketches else [1, 1]]
