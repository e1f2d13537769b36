"""Features that stay on disk train as resident ones do, and the options of the compiled step keep its results."""

import dataclasses
import json
import types

import h5py
import keras
import numpy as np
import pytest
from helpers.project import prepare, trainer_settings

from zscmr.commands import train as trainer
from zscmr.datasets.batches import Triads
from zscmr.formats import matfiles
from zscmr.models import base
from zscmr.training import sources, steps
from zscmr.training.sources import Source, TrainingRows, make_source, stream
from zscmr.training.stage2 import train as stage2
from zscmr.training.steps import EpochRunner, step_rows


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


def test_streaming_reads_the_rows_of_the_triads_in_order(tmp_path):
    """Rows repeat and are out of order; the arrays are on disk, as a memory map and as an HDF5 dataset; negatives are
    read of the sketches only."""
    random = np.random.default_rng(0)
    photos, sketches = (random.normal(size=(20, size)).astype(np.float32) for size in (3, 4))
    np.save(tmp_path / "photos.npy", photos)
    labels = np.arange(20, dtype=np.int32)[::-1]
    triads = Triads(*(random.integers(0, 20, (5, 6)).astype(np.int32) for _ in range(4)))
    with h5py.File(tmp_path / "sketches.h5", "w") as file:
        source = Source(
            photos=np.load(tmp_path / "photos.npy", mmap_mode="r"),
            sketches=file.create_dataset("feature", data=sketches),
            labels=labels,
            class_vectors=None,
            streamed=True,
        )
        rows = step_rows(labels, triads, types.SimpleNamespace(negative_photos=False, negative_sketches=True))
        batches = list(stream(source, *rows, first=7).as_numpy_iterator())
    assert [int(batch[0]) for batch in batches] == [7, 8, 9, 10, 11]
    for step, batch in enumerate(batches):
        of_sketches = np.concatenate([triads.sketch[step], triads.negative_sketch[step]])
        np.testing.assert_array_equal(batch[1], labels[triads.photo[step]])
        np.testing.assert_array_equal(batch[2], photos[triads.photo[step]])
        np.testing.assert_array_equal(batch[3], sketches[of_sketches])


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


def test_mean_and_deviation_by_blocks(monkeypatch):
    monkeypatch.setattr(sources, "BLOCK", 4)
    features = np.random.default_rng(0).normal(5, 2, size=(30, 3)).astype(np.float32)
    rows = np.arange(1, 30, 3)
    part = TrainingRows(features, np.zeros(len(features)), rows)
    assert part.shape == (10, 3)
    np.testing.assert_allclose(part.mean(), features[rows].mean(0), rtol=1e-6)
    np.testing.assert_allclose(part.std(), features[rows].std(0), rtol=1e-6)


def test_step_compiled_by_xla_trains_alike(dataset_folder):
    losses, embeddings = trained(dataset_folder, "plain", dropout=0.0)
    xla_losses, xla_embeddings = trained(dataset_folder, "xla", dropout=0.0, jit=True)
    np.testing.assert_allclose(xla_embeddings, embeddings, rtol=1e-3, atol=1e-4)
    assert xla_losses[-1] == pytest.approx(losses[-1], rel=1e-3)


def test_fused_update_is_keras_adam(dataset_folder, monkeypatch):
    fused_losses, fused_embeddings = trained(dataset_folder, "fused")
    monkeypatch.setattr(base, "Adam", keras.optimizers.Adam)
    losses, embeddings = trained(dataset_folder, "keras")
    np.testing.assert_allclose(fused_embeddings, embeddings, rtol=1e-3, atol=1e-4)
    assert fused_losses[-1] == pytest.approx(losses[-1], rel=1e-3)


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


def test_negative_limit_is_refused(dataset_folder, refused):
    message = refused(trainer.Settings, data=dataset_folder, resident_limit=-1.0)
    assert message == "--resident-limit should be at least 0, received -1.0"
