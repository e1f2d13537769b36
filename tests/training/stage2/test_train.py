"""Training from checkpoint to checkpoint; systems that train nothing."""

import json

import pytest
from helpers.project import prepare, trainer_settings

from zscmr.commands import train as trainer
from zscmr.formats import matfiles
from zscmr.training.stage2.train import build_state, held_out_score


def settings(folder, **more):
    choices = {"path": folder.parent / "run", "epochs": 4, "batch_size": 8, "dropout": 0.2, "dim": 5, **more}
    return trainer_settings(data=folder, **choices)


@pytest.mark.slow
def test_training_improves_on_random_weights(dataset_folder):
    """The toy features of the two modalities lie in rotated spaces: only a trained map can bring them together."""
    trainer.main(settings(dataset_folder, epochs=40, held_out=0.0))
    results = json.loads((dataset_folder.parent / "run/results.json").read_text())
    chance = results["CNN features alone"]["directions"]["sketch->image"]["mAP@all"]
    assert results["shared space"]["directions"]["sketch->image"]["mAP@all"] > chance + 0.1


def test_loss_that_is_not_finite_stops_the_run(dataset_folder, refused):
    message = refused(trainer.main, settings(dataset_folder, learning_rate=1e30, epochs=3))
    assert message.startswith("epoch ") and "loss term" in message


@pytest.mark.parametrize("choices", [{"preset": "aligned"}, {"model": "identity"}], ids=str)
def test_systems_without_terms_refuse_epochs(dataset_folder, refused, choices):
    chosen = trainer_settings(data=dataset_folder, path=dataset_folder.parent / "run", epochs=2, **choices)
    assert refused(trainer.main, chosen).startswith("--epochs 2: --preset ")
    assert not (dataset_folder.parent / "run").exists()


def test_resuming_what_trains_nothing_makes_the_same_embeddings(dataset_folder, tmp_path):
    """Stopped between its checkpoint and its embeddings."""
    run = tmp_path / "run"
    trainer.main(trainer_settings(data=dataset_folder, path=run, model="aligned", dim=8, no_encoders=True))
    file = run / "unified_features.mat"
    before = file.read_bytes()
    file.unlink()
    (run / "results.json").unlink()
    trainer.main(trainer.Settings(path=run, resume=True, no_encoders=True))
    assert file.read_bytes() == before and matfiles.read(file, "featuresx").shape == (60, 8)
    assert json.loads((run / "config.json").read_text())["settings"]["model"] == "aligned"


def test_held_out_score_is_of_the_held_out_classes(dataset_folder):
    """With all features of a class alike, each query has its class first."""
    options, preset, dataset, split, _ = prepare(dataset_folder, batch_size=8, held_out=0.3)
    for items in (dataset.photo, dataset.sketch):
        items.features[:] = 0
        items.features[range(len(items.labels)), items.labels] = 1
    model = build_state(options, preset, dataset, split).model
    weights = model.photo_encoder.get_weights()
    model.sketch_encoder.set_weights(weights)
    for part in ("mean", "deviation"):
        for scaling in (model.photo_scaling, model.sketch_scaling):
            {"mean": scaling.mean, "deviation": scaling.deviation}[part].assign([float(part == "deviation")] * 12)
    assert held_out_score(preset, dataset, split, model) == pytest.approx(1.0)
