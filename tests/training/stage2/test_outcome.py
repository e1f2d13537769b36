"""The outcome of a run: embeddings of all pictures, scores on the unseen classes."""

import json

import numpy as np
import pytest
from helpers.project import prepare

from zscmr.formats import matfiles
from zscmr.training.stage2.outcome import export_embeddings, score_run
from zscmr.training.stage2.train import build_state


@pytest.fixture
def exported(dataset_folder, tmp_path):
    """(run directory with embeddings, dataset, split, system)."""
    options, preset, dataset, split, _ = prepare(dataset_folder, preset="aligned", dim=4)
    model = build_state(options, preset, dataset, split).model
    export_embeddings(tmp_path, preset, dataset, split, model)
    return tmp_path, dataset, split, model


def test_embeddings_keep_the_order_of_the_features(exported):
    folder, dataset, split, model = exported
    file = folder / "unified_features.mat"
    for key, embed, items in (
        ("x", model.embed_photos, dataset.photo),
        ("y", model.embed_sketches, dataset.sketch),
    ):
        np.testing.assert_allclose(matfiles.read(file, f"features{key}"), embed(items.features), atol=1e-6)
        np.testing.assert_array_equal(matfiles.read(file, f"labels{key}").ravel(), items.labels)
    np.testing.assert_array_equal(matfiles.read(file, "unseen").ravel(), split.unseen)
    assert matfiles.read(file, "distance") == "cosine"


def test_scores_are_of_the_unseen_classes_in_both_spaces(exported):
    folder, dataset, split, _ = exported
    results = score_run(folder, dataset, split)
    assert results == json.loads((folder / "results.json").read_text())
    assert set(results) == {"CNN features alone", "shared space"}
    queries = int(np.isin(dataset.sketch.labels, split.unseen).sum())
    for scores in results.values():
        assert scores["distance"] == "cosine" and scores["directions"]["sketch->image"]["queries"] == queries
    assert (folder / "retrieval.png").stat().st_size > 1000
