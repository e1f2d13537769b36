"""A batch shared by three hosts that have a dataset each and one folder of the run; hosts die, and one is late."""

import json
import signal
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from helpers.hosts import SCRATCH, THOROUGH
from helpers.project import ROOT, RUN_FILES, assert_same_bytes, draw_pictures, picture_flags

from zscmr.formats import matfiles
from zscmr.training.stage1.features import UNFINISHED

NAMES = ("one", "two", "three")
PORT = 12345
DATA = f"{SCRATCH}/data"
WORDS = ("--epochs", 6, "--batch-size", 12, "--dropout", 0.3, "--dim", 5, "--held-out", 0, "--no-encoders")


class Training:
    """A script on three hosts. A process of it by the name of its host."""

    def __init__(self, hosts, folder, script="Unified_XY_triads.py", names=NAMES):
        """`folder`: pictures or features, of which each host gets a copy, /srv/data."""
        self.hosts, self.folder, self.script, self.processes = hosts(*names), folder, script, {}
        self.names = names
        for name in names:
            self.copy(name)

    def copy(self, name):
        self.hosts[name].run("cp", "-r", self.folder, DATA)

    def start(self, *words, names=()):
        """Start the script on hosts, by default on all."""
        for name in names or self.names:
            task = {"type": "worker", "index": self.names.index(name)}
            cluster = {"cluster": {"worker": [f"{other}:{PORT}" for other in self.names]}, "task": task}
            command = [sys.executable, ROOT / self.script, *words]
            self.processes[name] = self.hosts[name].start(*command, TF_CONFIG=json.dumps(cluster))

    def start_one_late(self, *words):
        """Start the script on all hosts, on the last when the others have said that they wait for it."""
        *first, last = self.names
        self.start(*words, names=first)
        waiting = self.processes[first[-1]].stderr.readline()
        assert waiting == f"warning: TF_CONFIG: waiting for {last}:{PORT}, for up to 10 minutes\n"
        self.start(*words, names=[last])

    def end(self, seconds=200):
        """{host: what its process said on standard error}; each has ended in time, with status 0."""
        said = {name: process.communicate(timeout=seconds)[1] for name, process in self.processes.items()}
        statuses = [process.returncode for process in self.processes.values()]
        assert statuses == [0] * len(self.names), said
        return said

    def lose(self, name):
        """Cut the power of a host; the others end within a minute, each with one line that names it."""
        self.hosts.unplug(name)
        self.hosts[name].kill()
        began = time.monotonic()
        del self.processes[name]
        for process in self.processes.values():
            fault = process.communicate(timeout=60)[1].splitlines()[-1]
            assert process.returncode == 2 and f"{name}:{PORT}" in fault, fault
            assert fault.endswith(" on all machines again")
        assert time.monotonic() - began < 60
        self.hosts.begin(name)
        self.copy(name)


def wait_for_lines(file, count):
    wait_until(lambda: file.exists() and file.read_text().count("\n") >= count)


def has_checkpoint(folder, epoch):
    """Whether there is one of an epoch or a later one."""
    return any(int(file.stem.removeprefix("ckpt-")) >= epoch for file in folder.glob("ckpt-*.index"))


def wait_until(happened, seconds=300):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.05)


def check_as_alone(folder, run):
    """The embeddings of a run are those of the run `alone`, made by one process."""
    for key in ("featuresx", "featuresy"):
        alone, together = (matfiles.read(folder / name / RUN_FILES[2], key) for name in ("alone", run))
        np.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_hosts_go_on_as_one_after_the_first_is_lost(hosts, dataset_folder, script):
    folder = dataset_folder.parent
    script("Unified_XY_triads.py", "--data", dataset_folder, *WORDS, "--path", folder / "alone")
    training, run = Training(hosts, dataset_folder, names=NAMES[:2]), ("--path", folder / "parts")
    training.start("--data", DATA, *WORDS, *run)
    wait_for_lines(folder / "parts/metrics.jsonl", 2)
    training.lose("one")
    training.start(*run, "--resume")
    training.end()
    check_as_alone(folder, "parts")


@THOROUGH
@pytest.mark.slow
def test_a_host_that_is_lost_while_tensorflow_connects_is_named(hosts, dataset_folder):
    """TensorFlow would wait for it without an end, and lets nothing else of the process run."""
    training = Training(hosts, dataset_folder, names=NAMES[:2])
    seen_once = f"import socket; socket.create_server(('', {PORT})).accept()"
    training.hosts["two"].start(sys.executable, "-c", seen_once)
    training.start("--data", DATA, *WORDS, "--path", dataset_folder.parent / "run", names=["one"])
    fault = training.processes["one"].communicate(timeout=90)[1].splitlines()[-1]
    assert fault.startswith(f"Unified_XY_triads.py: TF_CONFIG: two:{PORT} has not answered for 30 s; ")
    assert training.processes["one"].returncode == -signal.SIGKILL


@THOROUGH
@pytest.mark.slow
def test_hosts_train_as_one_does_and_go_on_after_one_is_lost(hosts, dataset_folder, script):
    """The results are those of one process, one host late. A worker is lost, then the chief: the same bytes."""
    folder = dataset_folder.parent
    script("Unified_XY_triads.py", "--data", dataset_folder, *WORDS, "--path", folder / "alone")
    training, words = Training(hosts, dataset_folder), ("--data", DATA, *WORDS)

    training.start_one_late(*words, "--path", folder / "together")
    training.end()
    check_as_alone(folder, "together")

    run, metrics = ("--path", folder / "parts"), folder / "parts/metrics.jsonl"
    training.start(*words, *run)
    wait_for_lines(metrics, 2)
    training.lose("three")
    training.start(*run, "--resume")
    wait_for_lines(metrics, 4)
    training.lose("one")
    training.start(*run, "--resume")
    training.end()
    assert_same_bytes(folder / "together", folder / "parts")


@THOROUGH
@pytest.mark.slow
def test_hosts_make_the_dataset_of_one_and_go_on_after_one_is_lost(hosts, tmp_path, random, script):
    """Stage I end to end; each host embeds its share of the pictures, one starts late. Chief and worker are lost: the
    same bytes."""
    draw_pictures(tmp_path / "in", random, ("ant", "bee", "cow", "dog"), per_class=3, size=(40, 40), unseen=("dog",))
    words = ("--train", "joint", "--backbone", "small", "--batch-size", 12, "--pool", "average", "--epochs", 10)
    script("pretrain/finetune.py", *flags(tmp_path / "in"), *words, "--out", tmp_path / "alone")
    training = Training(hosts, tmp_path / "in", "pretrain/finetune.py")
    training.start_one_late(*flags(DATA), *words, "--out", tmp_path / "together")
    training.end()
    for name in ("imagematnew.mat", "sketchmatnew.mat"):
        alone, together = (matfiles.read(tmp_path / out / name, "feature") for out in ("alone", "together"))
        np.testing.assert_allclose(together, alone, rtol=1e-2, atol=2e-2 * np.abs(alone).max())

    words, checkpoints = (*flags(DATA), *words, "--out", tmp_path / "parts"), tmp_path / "parts" / UNFINISHED / "joint"
    for name, epoch in (("one", 2), ("three", 5)):
        training.start(*words)
        wait_until(partial(has_checkpoint, checkpoints, epoch))
        training.lose(name)
    training.start(*words)
    training.end()
    files = "imagematnew.mat", "sketchmatnew.mat", "photo.weights.h5", "sketch.weights.h5"
    assert_same_bytes(tmp_path / "together", tmp_path / "parts", files)


def flags(folder):
    return [word for key, value in picture_flags(Path(folder)).items() for word in (f"--{key}", value)]
