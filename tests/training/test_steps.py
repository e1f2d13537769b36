"""Epochs of compiled steps: streamed as resident, two steps a turn as one, and options that keep the results."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from helpers.project import prepare, trainer_settings

from zscmr.commands import train as trainer
from zscmr.datasets.batches import Triads
from zscmr.formats import matfiles
from zscmr.training import steps
from zscmr.training.sources import make_source
from zscmr.training.stage2 import train as stage2
from zscmr.training.steps import EpochRunner


def trained(folder, name, **more):
    settings = trainer_settings(
        data=folder, path=folder.parent / name, **{"epochs": 3, "batch_size": 8, "dim": 5, "dropout": 0.2, **more}
    )
    trainer.main(settings)
    lines = (settings.path / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines], matfiles.read(settings.path / "unified_features.mat", "featuresx")


def test_streamed_features_train_as_resident_ones(dataset_folder):
    losses, embeddings = trained(dataset_folder, "resident")
    streamed_losses, streamed_embeddings = trained(dataset_folder, "streamed", resident_limit=0.0)
    np.testing.assert_allclose(streamed_embeddings, embeddings, rtol=1e-5, atol=1e-6)
    for one, other in zip(losses, streamed_losses, strict=True):
        assert other == pytest.approx(one, rel=1e-5)


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
        state = stage2.build_state(settings, preset, dataset, split)
        source = make_source(dataset, split.seen, state.model)
        assert state.model.count_params() <= steps.FEW_WEIGHTS and steps.FEW_STEPS < 11
        words = preset.constants.terms, preset.weights, settings.seed, settings.jit
        run_epoch = EpochRunner(state, source, *words)
        losses, first = [], 0
        for triads in epochs:
            losses.append(run_epoch(triads, first))
            first += len(triads.photo)
        return np.mean(losses, axis=0), [weight.numpy() for weight in state.model.weights]

    single = [Triads(**{name: rows[i : i + 1] for name, rows in joined.items()}) for i in range(11)]
    losses, weights = trained_on(Triads(**joined))
    losses_by_steps, weights_by_steps = trained_on(*single)
    np.testing.assert_allclose(losses, losses_by_steps, rtol=1e-6)
    for one, other in zip(weights, weights_by_steps, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_step_compiled_by_xla_trains_alike(dataset_folder):
    losses, embeddings = trained(dataset_folder, "plain", dropout=0.0)
    xla_losses, xla_embeddings = trained(dataset_folder, "xla", dropout=0.0, jit=True)
    np.testing.assert_allclose(xla_embeddings, embeddings, rtol=1e-3, atol=1e-4)
    assert xla_losses[-1] == pytest.approx(losses[-1], rel=1e-3)


@pytest.fixture
def float32_afterwards():
    yield
    keras.config.set_dtype_policy("float32")


def test_bfloat16_rounds_the_products_only(dataset_folder, float32_afterwards):
    """Eight bits of mantissa: losses within a few percent of float32, but not the same; embeddings stay float32."""
    losses, embeddings = trained(dataset_folder, "float32", dropout=0.0)
    coarse_losses, coarse_embeddings = trained(dataset_folder, "bfloat16", dropout=0.0, precision="bfloat16")
    assert coarse_embeddings.dtype == np.float32
    assert coarse_losses[0]["classification"] != losses[0]["classification"]
    assert coarse_losses[0]["classification"] == pytest.approx(losses[0]["classification"], rel=0.05)
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
