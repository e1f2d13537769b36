"""Fixtures of all tests."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.project import ROOT, write_dataset

from zscmr.utils.errors import BadInput


@pytest.fixture
def script():
    """Runs `python SCRIPT ARGS…` in a folder and returns the finished process."""

    def run(*words, cwd=ROOT, status=0):
        done = subprocess.run(
            [sys.executable, str(ROOT / words[0]), *map(str, words[1:])], cwd=cwd, capture_output=True, text=True
        )
        assert done.returncode == status, f"{words}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run


@pytest.fixture
def refused():
    """Calls a function that has to raise BadInput; its message, which has to be a single line."""

    def call(function, *words, **more):
        with pytest.raises(BadInput) as caught:
            function(*words, **more)
        message = str(caught.value)
        assert "\n" not in message
        return message

    return call


@pytest.fixture(autouse=True, scope="session")
def user_data(tmp_path_factory):
    """A data folder of the user that is not that of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        yield


@pytest.fixture
def random():
    return np.random.default_rng(3)


@pytest.fixture(scope="session")
def real_data():
    """The folder of real pictures, weights and released files that ZSCMR_REAL_DATA names."""
    folder = os.environ.get("ZSCMR_REAL_DATA")
    if not folder:
        pytest.skip("ZSCMR_REAL_DATA is not set: tests on real data do not run")
    return Path(folder)


@pytest.fixture
def dataset_folder(tmp_path):
    return write_dataset(tmp_path / "data")


@pytest.fixture
def wide_folder(tmp_path):
    """A dataset with enough pictures for a batch of 128."""
    return write_dataset(tmp_path / "data", per_class=30)


def pytest_collection_modifyitems(items):
    """Count what uses `finished` among the slow tests: training takes ten seconds."""
    for item in items:
        if "finished" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """The folder of pictures, dataset and run whose CNNs were trained: all of `small`. Not to be changed."""
    from helpers.finished_run import make_run  # imports TensorFlow

    return make_run(tmp_path_factory.mktemp("finished"), backbone="small", epochs=1)
