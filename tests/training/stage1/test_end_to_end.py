"""End-to-end training: what it learns, what it must not see, resuming, several devices, refusals."""

import os
import subprocess
import sys

import numpy as np
import pytest
from helpers.project import ROOT, draw_pictures, picture_flags, trainer_settings

from zscmr.commands import train as trainer
from zscmr.datasets import layouts
from zscmr.datasets.word_vectors import WordVectorOptions, join_vectors
from zscmr.formats import matfiles
from zscmr.retrieval import Encoder
from zscmr.training.stage1 import end_to_end as joint
from zscmr.training.stage1 import student
from zscmr.training.stage1.dataset import make_dataset
from zscmr.training.stage1.options import Stage1Options, by_modality
from zscmr.utils.files import read_json

NAMES = ("ant", "bee", "cow", "dog", "elk", "fox")
SMALL = {"train": "joint", "backbone": "small", "batch_size": 8, "epochs": 2}
FILES = ("imagematnew.mat", "sketchmatnew.mat", "photo.weights.h5", "pictures.json")


@pytest.fixture
def pictures(tmp_path, random):
    """A folder with photos and sketches of six classes, two of them unseen, and class vectors."""
    draw_pictures(tmp_path, random, NAMES, per_class=4, size=(40, 40), unseen=("dog", "fox"))
    np.savez(tmp_path / "words.npz", classes=NAMES, words=random.normal(size=(len(NAMES), 5)))
    return tmp_path


def train(folder, out="out", **choices):
    options = Stage1Options(**picture_flags(folder), out=folder / out, **{**SMALL, **choices})
    make_dataset(options)
    return folder / out


def features(out):
    return [matfiles.read(out / name, "feature") for name in ("imagematnew.mat", "sketchmatnew.mat")]


@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"share": "none"},
        {"objective": "paper", "vectors": "words.npz"},
        {"objective": "tuned", "without": ("latent",)},
        {"pool": "average", "size": 32, "ink": 0.1},
    ],
)
def test_every_objective_trains(pictures, choices):
    if "vectors" in choices:
        choices["vectors"] = pictures / choices["vectors"]
    out = train(pictures, **choices)
    width = 64 if choices.get("objective") else 256
    assert all(rows.shape == (24, width) and np.ptp(rows, axis=0).max() > 0 for rows in features(out))
    made = read_json(out / "pictures.json")
    assert set(made["trained_on"]) == {"ant", "bee", "cow", "elk"}
    same = (out / "photo.weights.h5").read_bytes() == (out / "sketch.weights.h5").read_bytes()
    assert same == (choices.get("share") != "none" and "objective" not in choices)  # ZSCMR has two encoders
    assert made.get("ink") == choices.get("ink") and made.get("size") == choices.get("size")


@pytest.mark.parametrize("objective", ["paper", "tuned"])
def test_zscmr_trained_from_pictures_needs_no_stage_two(pictures, objective):
    """Stage I writes embeddings of its own space; the preset keeps them, and the run's encoders give the same."""
    data = train(pictures, objective=objective, vectors=pictures / "words.npz", share="none")
    join_vectors(WordVectorOptions(data=data, vectors=(pictures / "words.npz",)))
    run = pictures / "run"
    trainer.main(trainer_settings(data=data, preset="end-to-end", path=run))
    for modality, key, given in zip(("photo", "sketch"), ("featuresx", "featuresy"), features(data), strict=True):
        embeddings = matfiles.read(run / "unified_features.mat", key)
        np.testing.assert_array_equal(embeddings, given)
        paths = layouts.list_pictures(pictures / modality, modality).paths()
        found, readable = Encoder.open(run, modality).embed(paths)
        assert readable.all()
        np.testing.assert_allclose(found, embeddings, atol=1e-4 * np.abs(embeddings).max())


def test_unseen_and_held_out_pictures_never_reach_a_batch(pictures, monkeypatch):
    shown = []
    step_rows = joint.step_rows

    def watch(labels, triads, system):
        shown.append((labels[triads.photo], triads.sketch.shape))
        return step_rows(labels, triads, system)

    read = []
    decoded = joint._decoded

    def note(side, label):
        read.extend(side.paths)
        return decoded(side, label)

    monkeypatch.setattr(joint, "step_rows", watch)
    monkeypatch.setattr(joint, "_decoded", note)
    out = train(pictures, held_out=0.5)
    assert len(shown) == 2 and all((labels >= 0).all() and labels.max() == 1 for labels, _ in shown)
    assert read and not any("dog" in path or "fox" in path for path in read)
    assert len(read_json(out / "pictures.json")["trained_on"]) == 2


def test_stopped_training_goes_on_to_the_same_bytes(pictures, monkeypatch):
    whole = train(pictures, "whole", epochs=3)
    epochs, rows = [], joint.step_rows

    def stop(*words):
        epochs.append(words)
        if len(epochs) == 3:
            raise KeyboardInterrupt
        return rows(*words)

    with monkeypatch.context() as patch:
        patch.setattr(joint, "step_rows", stop)
        with pytest.raises(KeyboardInterrupt, match="the same command goes on"):
            train(pictures, "parts", epochs=3)
    assert not (pictures / "parts/pictures.json").exists()
    parts = train(pictures, "parts", epochs=3)
    for file in FILES:
        assert (whole / file).read_bytes() == (parts / file).read_bytes(), file


TWO_DEVICES = """
import sys
import tensorflow as tf
from pathlib import Path
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from zscmr.training import strategies
devices = int(sys.argv[2])
if devices > 1:
    strategies.choose_strategy = lambda *_: tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
import test_end_to_end
words = {key: value for key, value in (word.split("=") for word in sys.argv[3:])}
test_end_to_end.train(Path(sys.argv[1]), f"{devices}", **words)
"""


@pytest.mark.parametrize("choices", [("objective=contrast",), ("train=all",)])
def test_two_devices_train_as_one_does(pictures, choices):
    """End to end, and one CNN per modality."""
    outs = {}
    for devices in (1, 2):
        words = [str(pictures), str(devices), "pool=average", *choices]
        folders = (ROOT, ROOT / "tests", ROOT / "tests/training/stage1")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
        subprocess.run([sys.executable, "-c", TWO_DEVICES, *words], env=environment, check=True, capture_output=True)
        outs[devices] = features(pictures / str(devices))
    for one, two in zip(outs[1], outs[2], strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-2, atol=1e-3 * np.abs(one).max())


def test_streamed_pictures_train_as_resident_ones_do(pictures, monkeypatch):
    resident = features(train(pictures, "resident"))
    monkeypatch.setattr(joint, "RESIDENT_BYTES", 0)
    streamed = features(train(pictures, "streamed"))
    for one, two in zip(resident, streamed, strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-3, atol=1e-4 * np.abs(one).max())


def test_averages_follow_the_weights():
    """Decay .5, from w = 0 by way of 1 and 3: after step 0 the share of the old is (1 + 0) / (10 + 0) = .1, so
    a = .9; after step 8 it is min(.5, 9 / 18) = .5, so a = (.9 + 3) / 2."""
    import keras

    weight = keras.Variable(np.zeros(2, np.float32))
    averages = student.Averages([weight], 0.5)
    weight.assign([1.0, 1.0])
    averages.update(0)
    weight.assign([3.0, 3.0])
    averages.update(8)
    np.testing.assert_allclose(averages.values[0].numpy(), [1.95, 1.95], rtol=1e-6)
    averages.swap()
    np.testing.assert_allclose(weight.numpy(), [1.95, 1.95], rtol=1e-6)
    averages.swap()
    np.testing.assert_allclose(weight.numpy(), [3.0, 3.0])


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        ({"objective": "paper"}, "--vectors is needed"),
        ({"objective": "tuned", "without": ("latent",), "pool": "root"}, "embeds the average"),
        ({"teacher": 1.0}, "has nothing to teach"),
        ({"dense": 8}, "a map of its own"),
        ({"train": "all", "share": "none"}, "--share belongs to --train joint"),
        ({"without": ("nothing",)}, "no such loss term"),
    ],
)
def test_flags_that_make_no_sense_are_refused(pictures, refused, choices, words):
    def start():
        settings = by_modality(Stage1Options(**picture_flags(pictures), out=pictures / "x", **{**SMALL, **choices}))
        student.objective(settings["photo"])

    assert words in refused(start)


def test_loss_that_is_not_finite_stops(pictures, refused):
    assert "is not finite" in refused(train, pictures, learning_rate=1e30)
    assert not (pictures / "out/pictures.json").exists()
