"""The LDA map against its definition, and what baselines refuse."""

import numpy as np
import pytest

from zscmr.datasets import loader
from zscmr.datasets.classes import read_split
from zscmr.formats import matfiles
from zscmr.formats.dataset_directory import FILES
from zscmr.paper.baselines import lda_map, measure_baselines, scaled_features


def test_the_map_solves_the_generalised_eigenproblem():
    """S_b v = λ S_w v for each column v / λ^¼, with S_w and S_b by plain sums over seen classes 0 and 1."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 8)
    photos, sketches = (random.normal(size=(24, 4)) + labels[:, None] for _ in range(2))
    columns = lda_map(photos, labels, sketches, labels, seen=[0, 1], dim=1, shrinkage=0.5)
    means = [(photos[labels == c].mean(0) + sketches[labels == c].mean(0)) / 2 for c in (0, 1)]
    parts = [row - means[c] for c in (0, 1) for side in (photos, sketches) for row in side[labels == c]]
    within = sum(np.outer(row, row) for row in parts) / len(parts)
    within += 0.5 * np.trace(within) / 4 * np.eye(4)
    middle = (means[0] + means[1]) / 2
    between = sum(np.outer(mean - middle, mean - middle) for mean in means) / 2
    column = columns[:, 0]
    value = (column @ between @ column) / (column @ within @ column)
    np.testing.assert_allclose(between @ column, value * within @ column, atol=1e-9)
    assert column @ within @ column == pytest.approx(np.sqrt(value))  # v scaled by λ^¼, with v S_w v = 1


def test_baselines_of_a_dataset(dataset_folder):
    dataset = loader.load_dataset(dataset_folder)
    split = read_split(dataset, None, held_out_share=0, seed=0)
    np.testing.assert_allclose(np.linalg.norm(scaled_features(dataset.photo, split.seen), axis=1), 1)
    results = measure_baselines(dataset, split, dim=4)
    assert list(results) == ["features alone", "LDA map"]
    for scores in results.values():
        assert scores["distance"] == "cosine" and 0 < scores["directions"]["sketch->image"]["mAP@all"] <= 1


def test_features_of_different_width_are_refused(dataset_folder, refused):
    file, key = FILES["sketch"]["features"]
    classes = matfiles.read_names(dataset_folder / file, "classes")
    matfiles.write(dataset_folder / file, {key: np.ones((60, 7), np.float32), "classes": classes})
    dataset = loader.load_dataset(dataset_folder)
    split = read_split(dataset, None, held_out_share=0, seed=0)
    assert "photos are 12-d and sketches 7-d" in refused(measure_baselines, dataset, split)
