"""Two processes never write one directory: the second refuses in a line, whatever command it is."""

import json
import subprocess
import sys

import numpy as np
import pytest
from helpers.project import ROOT, assert_same_bytes, draw_pictures, picture_flags, trainer_settings

from zscmr.commands import embed, export
from zscmr.commands import train as trainer
from zscmr.training.stage1.dataset import make_dataset
from zscmr.training.stage1.options import Stage1Options
from zscmr.utils.files import alone

BUSY = "{} {}: another process is at work there"


def chosen(data, path, **more):
    return trainer_settings(data=data, path=path, epochs=2, batch_size=8, dim=5, **more)


@pytest.mark.slow
def test_the_trainer_refuses_a_run_that_another_process_trains(dataset_folder, refused):
    run = dataset_folder.parent / "run"
    with alone("--path", run):
        assert refused(trainer.main, chosen(dataset_folder, run)) == BUSY.format("--path", run)
    assert not run.exists()
    trainer.main(chosen(dataset_folder, run))
    before = {file: file.read_bytes() for file in run.iterdir() if file.is_file()}
    with alone("--path", run):
        for settings in (trainer_settings(path=run, resume=True), chosen(dataset_folder, run, overwrite=True)):
            assert refused(trainer.main, settings) == BUSY.format("--path", run)
        assert refused(export.main, export.Settings(run=run)) == BUSY.format("--run", run)
    assert before == {file: file.read_bytes() for file in run.iterdir() if file.is_file()}


def test_pictures_and_embeddings_of_another_process_are_left_alone(tmp_path, refused):
    draw_pictures(
        tmp_path, np.random.default_rng(0), ("ant", "bee", "cow"), per_class=2, size=(40, 40), unseen=("cow",)
    )
    with alone("--out", tmp_path / "out"):
        options = Stage1Options(**picture_flags(tmp_path), out=tmp_path / "out", backbone="small")
        assert refused(make_dataset, options) == BUSY.format("--out", tmp_path / "out")
    with alone("--out", tmp_path / "own.mat"):
        settings = embed.Settings(run=tmp_path, **picture_flags(tmp_path), out=tmp_path / "own.mat")
        assert refused(embed.main, settings) == BUSY.format("--out", tmp_path / "own.mat")
    assert {file.name for file in tmp_path.iterdir()} == {"photo", "sketch", "unseen.txt"}


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 8])
def test_of_processes_that_start_at_once_one_trains(dataset_folder, count):
    """The others refuse: while it trains because of the lock, afterwards because the run is there."""
    run, expected = dataset_folder.parent / "run", dataset_folder.parent / "expected"
    flags = ["--data", dataset_folder, "--epochs", "3", "--batch-size", "8", "--dim", "5", "--path"]
    command = [sys.executable, ROOT / "Unified_XY_triads.py", *flags]
    started = [
        subprocess.Popen(list(map(str, [*command, run])), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    errors = [process.communicate()[1] for process in started]
    assert sorted(process.returncode for process in started) == [0, *[2] * (count - 1)]
    refusals = [lines for lines, process in zip(errors, started, strict=True) if process.returncode]
    assert all(lines.count("\n") == 1 and (str(run) in lines) for lines in refusals), refusals
    subprocess.run(list(map(str, [*command, expected])), check=True, capture_output=True)
    assert_same_bytes(run, expected)
    assert json.loads((run / "results.json").read_text())


THREADS = """
import sys; sys.path.insert(0, {root!r})
from zscmr.commands import train
import tensorflow as tf
from zscmr.training import strategies
from zscmr.utils.errors import BadInput
strategies.cores = lambda: 2
train.prepare_miniature = lambda: tf.config.list_logical_devices()  # as the check of a dataset that is there does
try:
    train.main(train.Settings())
except BadInput as error:
    print(error)
print(tf.config.threading.get_intra_op_parallelism_threads())
"""


@pytest.mark.slow
def test_threads_are_set_before_a_look_at_the_miniature_starts_tensorflow(tmp_path):
    command = [sys.executable, "-c", THREADS.format(root=str(ROOT))]
    lines = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.splitlines()
    assert "no such dataset directory" in lines[0] and lines[-1] == "1"
