"""The training process: its output goes to a log, and its death is one line."""

import os

import pytest

from zscmr.paper.worker import MOST_RUNS, Worker


def speak(text):
    print(text)


def die():
    os._exit(3)


@pytest.mark.slow
def test_output_goes_to_the_log_and_a_death_is_told(tmp_path, refused):
    log = tmp_path / "run.log"
    with Worker(speak, feature_bytes=1) as worker:
        worker.train(log, False, "one")
        worker.train(log, True, "two")
    assert log.read_text() == "one\ntwo\n"
    with Worker(die, feature_bytes=1) as worker:
        assert "run.log: the training process of this run died" in refused(worker.train, log, True)


def test_large_features_mean_fewer_runs_a_process():
    assert Worker(speak, feature_bytes=1).most == MOST_RUNS
    assert Worker(speak, feature_bytes=10**9).most == 1
