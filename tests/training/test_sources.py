"""Features as training steps read them: resident and scaled, or streamed; statistics of rows on disk."""

import h5py
import numpy as np
import pytest
from helpers.project import prepare

from zscmr.datasets.batches import Triads
from zscmr.training.sources import Source, TrainingRows, embed_features, make_source, stream
from zscmr.training.stage2.train import build_state
from zscmr.training.steps import step_rows


class Negatives:
    """A system that asks for negatives of the sketches only."""

    negative_photos, negative_sketches = False, True


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
        rows = step_rows(labels, triads, Negatives())
        batches = list(stream(source, *rows, first=7).as_numpy_iterator())
    assert [int(batch[0]) for batch in batches] == [7, 8, 9, 10, 11]
    for step, batch in enumerate(batches):
        of_sketches = np.concatenate([triads.sketch[step], triads.negative_sketch[step]])
        np.testing.assert_array_equal(batch[1], labels[triads.photo[step]])
        np.testing.assert_array_equal(batch[2], photos[triads.photo[step]])
        np.testing.assert_array_equal(batch[3], sketches[of_sketches])


def test_mean_and_deviation_by_blocks():
    features = np.random.default_rng(0).normal(5, 2, size=(30, 3)).astype(np.float32)
    rows = np.arange(1, 30, 3)
    part = TrainingRows(features, np.arange(len(features)), rows, block=4)
    assert part.shape == (10, 3)
    np.testing.assert_allclose(part.mean(), features[rows].mean(0), rtol=1e-6)
    np.testing.assert_allclose(part.std(), features[rows].std(0), rtol=1e-6)
    read = list(part.blocks())
    assert [len(labels) for _, labels in read] == [4, 4, 2]
    np.testing.assert_array_equal(np.concatenate([block for block, _ in read]), features[rows])
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in read]), rows)


@pytest.mark.parametrize("limit", [1.0, 0.0])
def test_features_above_the_limit_stay_as_they_are(dataset_folder, limit):
    """Below it they are scaled once; labels count the trained classes, −1 stands for others."""
    settings, preset, dataset, split, _ = prepare(dataset_folder, batch_size=8)
    model = build_state(settings, preset, dataset, split).model
    source = make_source(dataset, split.seen, model, limit)
    assert source.streamed == (limit == 0.0)
    photos = dataset.photo.features
    expected = photos if source.streamed else model.photo_scaling(photos)
    np.testing.assert_allclose(np.asarray(source.photos), expected, rtol=1e-6)
    for label, position in zip(dataset.photo.labels, source.labels, strict=True):
        assert position == -1 if label not in split.seen else split.seen[position] == label


def test_embedding_in_batches(random):
    rows = random.normal(size=(7, 3)).astype(np.float32)
    np.testing.assert_array_equal(embed_features(lambda block: 2 * block, rows, batch=3), 2 * rows)
