"""A run's system, restored from its directory alone."""

import json
import shutil

import numpy as np
import pytest
from helpers.project import trainer_settings

from zscmr.commands import train as trainer
from zscmr.datasets import loader
from zscmr.formats import matfiles, runs
from zscmr.training.stage2.restore import load_model, stored_preset


def test_what_trains_nothing_needs_no_class_vectors(dataset_folder, tmp_path, refused):
    """Its space is the same without them; a preset that reads them says what writes them."""
    choices = {"data": dataset_folder, "preset": "aligned", "dim": 8, "no_encoders": True}
    trainer.main(trainer_settings(**choices, path=tmp_path / "with"))
    (dataset_folder / "wv_embeddings.mat").unlink()
    trainer.main(trainer_settings(**choices, path=tmp_path / "without"))
    one, two = (matfiles.read(tmp_path / run / "unified_features.mat", "featuresx") for run in ("with", "without"))
    np.testing.assert_array_equal(one, two)
    model = load_model(tmp_path / "without")
    photos = loader.load_dataset(dataset_folder, needs_vectors=False).photo.features
    np.testing.assert_allclose(model.embed_photos(photos).numpy(), two, atol=1e-6)
    message = refused(trainer.main, trainer.Settings(data=dataset_folder, path=tmp_path / "paper"))
    assert message.endswith("wv_embeddings.mat: no such file; pretrain/word_vectors.py writes it")


def test_aligned_projects_features_and_likenesses(tmp_path, dataset_folder, refused, capsys):
    """The run is its own model's, restored; another classifier, or none, is other data."""
    classifier = np.random.default_rng(3).normal(size=(12, 5)).astype(np.float32)
    matfiles.write(dataset_folder / "classifier.mat", {"kernel": classifier})
    run = tmp_path / "run"
    trainer.main(trainer_settings(data=dataset_folder, path=run, preset="aligned", dim=8, no_encoders=True))
    assert f"described by 5 classes of {dataset_folder / 'classifier.mat'} too" in capsys.readouterr().out
    model, dataset = load_model(run), loader.load_dataset(dataset_folder)
    embeddings = matfiles.read(run / "unified_features.mat", "featuresx")
    np.testing.assert_allclose(model.embed_photos(dataset.photo.features).numpy(), embeddings, atol=1e-6)
    kernel = model.photo_encoder.linear.kernel.numpy()
    assert kernel.shape == (17, 8)
    np.testing.assert_allclose(np.triu(kernel.T @ kernel, 1), 0, atol=1e-4)
    (run / runs.RESULTS).unlink()  # not complete
    for other in (classifier + 1, None):
        (dataset_folder / "classifier.mat").unlink()
        if other is not None:
            matfiles.write(dataset_folder / "classifier.mat", {"kernel": other})
        assert "features" in refused(trainer.main, trainer.Settings(path=run, resume=True))


@pytest.mark.parametrize("preset", ["aligned", "end-to-end"])
def test_a_run_of_version_0_2_opens(dataset_folder, tmp_path, preset):
    """Its config.json names model zscmr, and constants that the system of today lacks."""
    run = tmp_path / "run"
    trainer.main(trainer_settings(data=dataset_folder, path=run, preset=preset, dim=12, no_encoders=True))
    config = json.loads((run / "config.json").read_text())
    assert (config["settings"]["model"], config["settings"]["preset"]) == ("zscmr", preset)
    config["settings"] |= {"hidden": 0, "dropout": 0.0, "input_dropout": 0.0, "margin": 5.0, "temperature": 0.2}
    (run / "config.json").write_text(json.dumps(config))
    photos = loader.load_dataset(dataset_folder).photo.features
    embeddings = matfiles.read(run / "unified_features.mat", "featuresx")
    np.testing.assert_allclose(load_model(run).embed_photos(photos).numpy(), embeddings, atol=1e-6)
    newer = {"trained": 0.0} if preset == "aligned" else {}
    assert stored_preset(run)[0].constants == {"dim": 12} | newer


def test_best_epoch_is_restored_without_the_dataset(finished, tmp_path):
    """The features are needed for nothing: what `load_model` embeds is what was exported, of the epoch chosen."""
    shutil.copytree(finished / "run", tmp_path / "run")
    config = json.loads((tmp_path / "run/config.json").read_text())
    config["settings"]["data"] = config["dataset"]["directory"] = str(tmp_path / "gone")
    (tmp_path / "run/config.json").write_text(json.dumps(config))
    model = load_model(tmp_path / "run")
    features = matfiles.read(finished / "data/imagematnew.mat", "feature")
    expected = matfiles.read(tmp_path / "run/unified_features.mat", "featuresx")
    np.testing.assert_allclose(model.embed_photos(features).numpy(), expected, rtol=1e-5, atol=1e-5)
