"""A batch shared among devices, or among worker processes, gives the losses and weights of one device."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest
from helpers.project import ROOT, assert_same_bytes, draw_pictures, picture_flags

from zscmr.formats import matfiles

# In a process of its own, since devices are laid out before TensorFlow does anything.
TWO_DEVICES = """
import dataclasses
import sys
import numpy as np
import tensorflow as tf
from pathlib import Path
from helpers.project import prepare
from zscmr.datasets import batches
from zscmr.training.stage2 import train as stage2
from zscmr.training.sources import make_source
from zscmr.training.steps import EpochRunner

folder, devices, (model, preset), limit = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3].split(), float(sys.argv[4])
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.get_strategy()
if devices > 1:
    strategy = tf.distribute.MirroredStrategy([f"CPU:{k}" for k in range(devices)])
constants = {"zscmr": {"dropout": 0.3, "dim": 6, "hidden": 8}, "crossatnet": {"bits": 6, "hidden": 8}}
constants["pcmsn"] = {"dropout": 0.3, "dim": 6}
choices = {"model": model, "preset": preset, "batch_size": 8, "learning_rate": 1e-2, "schedule": "constant"}
settings, preset, dataset, split, draw = prepare(folder, **choices, held_out=0.1, **constants[model])
names = preset.constants.terms
with strategy.scope():
    state = stage2.build_state(settings, preset, dataset, split)
    source = make_source(dataset, split.seen, state.model, limit)
    epoch = EpochRunner(state, source, names, dict.fromkeys(names, 1.0), seed=0)
    losses = []
    for number in range(1, 4):
        triads = batches.draw_epoch(dataset, split, dataclasses.replace(preset, steps=0), 0, number)  # one pass
        losses.append(epoch(triads, first=(number - 1) * len(triads.photo)))
np.savez(sys.argv[5], losses, *[weight.numpy() for weight in state.model.weights])
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("system", "limit"),
    [
        ("zscmr paper", 1.0),
        ("zscmr paper", 0.0),
        ("zscmr released", 1.0),
        ("zscmr tuned", 1.0),
        ("crossatnet default", 1.0),
        ("pcmsn sketchy", 1.0),
        ("pcmsn tuned", 1.0),
    ],
)
def test_two_devices_train_as_one_does(dataset_folder, system, limit):
    """Three epochs of batches of 8, with dropout, resident and streamed."""
    arrays = {}
    for devices in (1, 2):
        file = dataset_folder / f"{devices}.npz"
        arguments = map(str, (dataset_folder, devices, system, limit, file))
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests")))}
        subprocess.run(
            [sys.executable, "-c", TWO_DEVICES, *arguments], env=environment, check=True, capture_output=True
        )
        with np.load(file) as saved:
            arrays[devices] = list(saved.values())
    assert len(arrays[1]) > 10 and len(arrays[1][0]) == 3
    # behind a batch normalisation gradients may be near 0, and Adam makes a step of their rounding
    allowed = 1e-3 if system.startswith("pcmsn") else 1e-5
    np.testing.assert_allclose(arrays[2][0], arrays[1][0], rtol=1e-4)
    for one, two in zip(arrays[1][1:], arrays[2][1:], strict=True):
        np.testing.assert_allclose(two, one, rtol=1e-4, atol=allowed)


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@contextlib.contextmanager
def two_workers(*words, script="Unified_XY_triads.py"):
    """Two processes of a script, the first of them the chief, that share each batch; killed at the end."""
    workers = [f"127.0.0.1:{port}" for port in free_ports(2)]
    command = [sys.executable, *map(str, (ROOT / script, *words))]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = []
    try:
        for index in range(2):
            config = json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}})
            started.append(subprocess.Popen(command, env={**os.environ, "TF_CONFIG": config}, **pipes))
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


def count_lines(file):
    """Lines of a file that may not be there, or not any more."""
    with contextlib.suppress(FileNotFoundError):
        return file.read_text().count("\n")
    return 0


def what_two_workers_say(*words, **script):
    """Standard output of the chief and of the other worker, of a run that ends well."""
    with two_workers(*words, **script) as started:
        outputs = [process.communicate(timeout=300) for process in started]
        assert [process.returncode for process in started] == [0, 0], outputs
    return [out for out, _ in outputs]


@pytest.mark.slow
def test_two_workers_train_as_one_process_does(dataset_folder, script):
    """The chief alone writes; what it writes agrees with a run of one process. Both killed after the first epoch and
    started again with --resume, they end with the same bytes; --overwrite replaces what is there."""
    folder = dataset_folder.parent
    words = ("--data", dataset_folder, "--epochs", 9, "--batch-size", 8, "--dropout", 0.3, "--dim", 5, "--held-out", 0)
    script("Unified_XY_triads.py", *words, "--path", folder / "one")
    chief, other = what_two_workers_say(*words, "--path", folder / "two")
    assert "wrote" in chief and other == ""
    for key in ("featuresx", "featuresy"):
        one, two = (matfiles.read(folder / run / "unified_features.mat", key) for run in ("one", "two"))
        np.testing.assert_allclose(two, one, rtol=1e-3, atol=1e-4)
    lines = [(folder / run / "metrics.jsonl").read_text().splitlines() for run in ("one", "two")]
    assert len(lines[0]) == len(lines[1]) == 9
    for one, two in zip(*(map(json.loads, part) for part in lines), strict=True):
        assert two == pytest.approx(one, rel=1e-4)

    shutil.copytree(folder / "one", folder / "parts")
    with two_workers(*words, "--path", folder / "parts", "--overwrite") as started:
        metrics = folder / "parts/metrics.jsonl"
        while count_lines(metrics) not in range(2, 9):
            assert all(process.poll() is None for process in started)
    assert 2 <= len(metrics.read_text().splitlines()) < 9  # so that the first epoch's checkpoint is there
    chief, _ = what_two_workers_say("--path", folder / "parts", "--resume")
    assert "going on after epoch " in chief
    assert_same_bytes(folder / "two", folder / "parts")


@pytest.mark.slow
@pytest.mark.parametrize("part", ["--train joint", "--train head", "--freeze"])
def test_two_workers_make_the_dataset_of_one_process(tmp_path, script, random, part):
    """Stage I; each computes the features of its share, and the chief alone writes."""
    draw_pictures(tmp_path, random, ("ant", "bee", "cow", "dog", "elk"), per_class=4, size=(40, 40), unseen=("dog",))
    words = [word for key, value in picture_flags(tmp_path).items() for word in (f"--{key}", value)]
    words += [*part.split(), "--backbone", "small", "--batch-size", 3 if part == "--freeze" else 8, "--pool", "average"]
    words += ["--epochs", 2] if "train" in part else []
    script("pretrain/finetune.py", *words, "--out", tmp_path / "one")
    if part == "--freeze":  # the chief has done its share before, the other worker has not
        shutil.copytree(tmp_path / "one/backbone", tmp_path / "two/backbone")
    chief, other = what_two_workers_say(*words, "--out", tmp_path / "two", script="pretrain/finetune.py")
    assert "wrote features" in chief and "wrote" not in other
    for name in ("imagematnew.mat", "sketchmatnew.mat"):
        one, two = (matfiles.read(tmp_path / out / name, "feature") for out in ("one", "two"))
        # behind batch normalisations gradients may be near 0, and Adam makes a step of their rounding
        allowed = 2e-2 if "train" in part else 1e-6
        np.testing.assert_allclose(two, one, rtol=1e-2, atol=allowed * np.abs(one).max())
    assert not list((tmp_path / "two").glob(".part*"))
