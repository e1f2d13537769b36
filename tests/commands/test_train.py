"""Stage II: a run is a function of its settings, resumes to the same bytes, and never loses what is there."""

import json
import subprocess
import sys

import pytest
from helpers.project import CLASSES, ROOT, UNSEEN, assert_same_bytes, check_resumes, interrupted_at, trainer_settings

from zscmr.commands import train as trainer
from zscmr.datasets import batches
from zscmr.formats import matfiles, runs
from zscmr.formats.dataset_directory import FILES
from zscmr.training.stage2 import outcome


def settings(folder, **more):
    choices = {"path": folder.parent / "run", "epochs": 4, "batch_size": 8, "dropout": 0.2, "dim": 5, **more}
    return trainer_settings(data=folder, **choices)


def test_run_directory(dataset_folder, capsys):
    trainer.main(settings(dataset_folder))
    run = dataset_folder.parent / "run"
    config = json.loads((run / "config.json").read_text())
    assert config["settings"]["margin"] == 5.0 and config["classes"]["unseen"] == list(UNSEEN)
    assert len(config["classes"]["held_out"]) == 2
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    assert {"latent", "triplet", "decoder", "classification", "held_out_mAP"} < set(lines[0])
    results = json.loads((run / "results.json").read_text())
    assert set(results) == {"CNN features alone", "shared space"}
    assert results["shared space"]["directions"]["sketch->image"]["queries"] == 18
    output = capsys.readouterr().out
    best = max(lines, key=lambda line: line["held_out_mAP"])
    assert f"epoch {best['epoch']} of 4 chosen, mAP@all {best['held_out_mAP']:.3f} on the 2 held-out" in output
    assert (run / "retrieval.png").stat().st_size > 1000

    file = run / "unified_features.mat"
    assert matfiles.read(file, "featuresx").shape == matfiles.read(file, "featuresy").shape == (60, 5)
    assert matfiles.read_names(file, "classes") == list(CLASSES)
    assert matfiles.read_names(file, "namesy")[59] == "jay/jay_5.png"
    assert [CLASSES[label] for label in matfiles.read(file, "unseen").ravel()] == list(UNSEEN)


@pytest.mark.slow
def test_same_seed_same_bytes_other_seed_other_bytes(dataset_folder):
    folder = dataset_folder.parent
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        trainer.main(settings(dataset_folder, path=folder / name, seed=seed))
    for file in ("unified_features.mat", "results.json"):
        a, b, c = ((folder / name / file).read_bytes() for name in "abc")
        assert a == b != c


@pytest.mark.slow
@pytest.mark.parametrize("stop_at", ["triads of epoch 3", "checkpoint of epoch 2", "export"])
def test_a_stopped_run_resumes_to_the_same_bytes(dataset_folder, monkeypatch, stop_at):
    """Stopped before an epoch, between a metrics line and its checkpoint, and before the export."""
    folder = dataset_folder.parent
    trainer.main(settings(dataset_folder, path=folder / "whole", batch_size=4))

    class Killed(Exception):
        pass

    def stop(*_, **__):
        raise Killed

    with monkeypatch.context() as patch:
        if stop_at == "export":
            patch.setattr(outcome, "export_embeddings", stop)
        elif stop_at == "triads of epoch 3":
            draw = batches.draw_triads
            patch.setattr(batches, "draw_triads", lambda *a: stop() if a[-1] == 3 else draw(*a))
        else:
            import tensorflow as tf

            save = tf.train.CheckpointManager.save
            patch.setattr(tf.train.CheckpointManager, "save", lambda s, n: stop() if n == 2 else save(s, n))
        with pytest.raises(Killed):
            trainer.main(settings(dataset_folder, path=folder / "parts", batch_size=4))
    trainer.main(trainer.Settings(path=folder / "parts", resume=True))
    assert_same_bytes(folder / "whole", folder / "parts")


@pytest.mark.slow
def test_existing_run_is_kept(dataset_folder, refused):
    trainer.main(settings(dataset_folder, epochs=1))
    run = dataset_folder.parent / "run"
    before = (run / "metrics.jsonl").read_bytes()
    message = refused(trainer.main, settings(dataset_folder, epochs=2))
    assert message == f"{run}: exists already; --resume goes on with it, --overwrite replaces it"
    message = refused(trainer.main, settings(dataset_folder, epochs=2, resume=True))
    assert message == f"--epochs 2: {run} was started with 1, and --resume keeps it"
    assert (run / "metrics.jsonl").read_bytes() == before
    trainer.main(settings(dataset_folder, epochs=2, overwrite=True))
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 2


def test_overwrite_leaves_other_folders_alone(dataset_folder, refused):
    message = refused(trainer.main, settings(dataset_folder, path=dataset_folder, overwrite=True))
    assert "is not a run directory" in message and (dataset_folder / "unseen.txt").exists()


def test_bad_dataset_does_not_cost_the_old_run(dataset_folder, refused):
    trainer.main(settings(dataset_folder, epochs=1))
    (dataset_folder / "sketchmatnew.mat").unlink()
    assert "no such file" in refused(trainer.main, settings(dataset_folder, epochs=1, overwrite=True))
    assert (dataset_folder.parent / "run/results.json").exists()


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"epochs": -1}, "--epochs should be at least 0, received -1"),
        ({"dropout": 1.0}, "--dropout should be from 0 to below 1, received 1.0"),
        ({"learning_rate": -1.0}, "--learning-rate should be above 0"),
        ({"held_out": 0.99}, "--held-out 0.99: 7 of 7 seen classes held out leaves too few to train on"),
        ({"batch_size": 1000}, "--batch-size 1000 is larger than the 30 pictures to train on"),
        ({"resume": True, "overwrite": True}, "--resume and --overwrite exclude each other"),
        ({"resume": True}, "config.json: no such file"),
    ],
)
def test_bad_settings_are_refused(dataset_folder, refused, changed, expected):
    assert expected in refused(lambda: trainer.main(settings(dataset_folder, **changed)))
    assert not (dataset_folder.parent / "run").exists()


def test_few_pictures_make_the_preset_s_batch_smaller(dataset_folder, capsys):
    """Five of seven seen classes train, 6 pictures each; the batch is recorded. Three unseen classes are few."""
    run = dataset_folder.parent / "run"
    trainer.main(trainer.Settings(data=dataset_folder, path=run, epochs=1, no_encoders=True))
    output = capsys.readouterr()
    assert "30 pictures to train on: 8 triads a batch in place of 128\n" in output.out
    assert "warning: only 3 unseen classes: " in output.err
    assert json.loads((run / "config.json").read_text())["settings"]["batch_size"] == 8


def test_a_shared_space_below_its_features_is_told(capsys):
    def scores(*values):
        names = ("sketch->image", "image->sketch")
        return {"directions": {name: {"mAP@all": value} for name, value in zip(names, values, strict=True)}}

    results = {"CNN features alone": scores(0.4, 0.2), "shared space": scores(0.3125, 0.25)}
    assert trainer.below_features(results) == "sketch->image 0.312 < 0.400"
    assert trainer.below_features({**results, "shared space": scores(0.4, 0.2)}) == ""
    assert trainer.below_features({**results, "CNN features alone": {"directions": {}}}) == ""
    assert trainer.below_features({}) == ""


def test_cnn_trained_on_unseen_classes_marks_every_table(dataset_folder, capsys):
    provenance = {"trained_on": ["ANT", "bee"], "photos": "", "sketches": ""}
    (dataset_folder / "pictures.json").write_text(json.dumps(provenance))
    trainer.main(settings(dataset_folder, epochs=1))
    sentence = "the CNNs were trained on 1 of the 3 unseen classes, bee among them"
    output = capsys.readouterr()
    assert output.out.count(sentence) == 2 and sentence in output.err
    results = json.loads((dataset_folder.parent / "run/results.json").read_text())
    assert results["shared space"]["leaked"] == sentence


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["faithful", "released", "tuned"])
def test_every_preset_trains_and_resumes(dataset_folder, preset):
    """Interrupted after its first epoch, a run of the preset ends with the same bytes."""
    choices = {"preset": preset, "epochs": 3, "batch_size": 12, "hidden": None, "held_out": 0.2}
    check_resumes(settings(dataset_folder, **choices), files=("metrics.jsonl", "unified_features.mat"))
    assert (dataset_folder.parent / "parts" / "curves.png").stat().st_size > 1000


def test_dataset_without_names_files_is_trained_on(dataset_folder):
    for file in ("names_images.mat", "names_sketches.mat"):
        (dataset_folder / file).unlink()
    trainer.main(settings(dataset_folder, epochs=1))
    assert "namesx" not in matfiles.keys(dataset_folder.parent / "run/unified_features.mat")


@pytest.mark.slow
def test_killed_run_resumes_to_the_same_bytes(dataset_folder, script):
    """SIGKILL as soon as the second, then the fourth epoch is on disk."""
    folder = dataset_folder.parent
    words = ("--data", dataset_folder, "--epochs", 6, "--batch-size", 8, "--dim", 5, "--dropout", 0.2)
    script("Unified_XY_triads.py", *words, "--path", folder / "whole")
    metrics = folder / "parts/metrics.jsonl"
    for epochs, extra in ((2, words), (4, ("--resume",))):
        command = [sys.executable, ROOT / "Unified_XY_triads.py", *extra, "--path", folder / "parts"]
        with subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL) as process:
            while process.poll() is None and not (metrics.exists() and metrics.read_bytes().count(b"\n") >= epochs):
                pass
            process.kill()
    script("Unified_XY_triads.py", "--path", folder / "parts", "--resume")
    assert_same_bytes(folder / "whole", folder / "parts")


@pytest.mark.slow
def test_resume_is_bound_to_classes_and_features(dataset_folder, refused):
    run = dataset_folder.parent / "run"
    with interrupted_at(2), pytest.raises(KeyboardInterrupt):
        trainer.main(settings(dataset_folder))
    again, unseen = trainer.Settings(path=run, resume=True), dataset_folder / "unseen.txt"
    kept = unseen.read_text()
    unseen.write_text("bee\nfox\nibis\n")
    assert refused(trainer.main, again).startswith(f"{run}: was started with other ")
    unseen.write_text(kept)
    file, key = FILES["sketch"]["features"]
    features = matfiles.read(dataset_folder / file, key)
    matfiles.write(dataset_folder / file, {key: features[::-1].copy(), "classes": CLASSES})
    assert refused(trainer.main, again) == (
        f"{run}: was started with other features than {dataset_folder} now holds; another --path starts anew"
    )
    matfiles.write(dataset_folder / file, {key: features, "classes": CLASSES})
    trainer.main(again)
    assert json.loads((run / "config.json").read_text())["classes"]["unseen"] == list(UNSEEN)


@pytest.mark.slow
def test_resume_refuses_a_default_that_was_not_the_run_s(dataset_folder, script):
    """`--seed 0` is the default and yet not what a run of seed 1 was started with."""
    trainer.main(settings(dataset_folder, seed=1, epochs=1))
    run = dataset_folder.parent / "run"
    done = script("Unified_XY_triads.py", "--path", run, "--resume", "--seed", 0, status=2)
    assert done.stderr == f"Unified_XY_triads.py: --seed 0: {run} was started with 1, and --resume keeps it\n"


def test_runs_without_a_path_never_share_a_number(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs/0007").mkdir(parents=True)
    folders = [runs.Run.create(None, trainer.Settings(), {}, {}, {}).folder for _ in range(2)]
    assert [str(folder) for folder in folders] == ["runs/0008", "runs/0009"]


@pytest.mark.slow
def test_help_lists_the_constants_of_the_chosen_system_alone(script):
    shown = {
        model: script("Unified_XY_triads.py", "--model", model, "--help").stdout for model in ("zscmr", "crossatnet")
    }
    assert "--margin" in shown["zscmr"] and "--attention" not in shown["zscmr"]
    assert "--attention" in shown["crossatnet"] and "--margin" not in shown["crossatnet"]


def test_workers_need_a_run_directory(dataset_folder, refused, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}))
    message = refused(trainer.main, trainer.Settings(data=dataset_folder))
    assert message == "--path is needed where TF_CONFIG names several workers"
