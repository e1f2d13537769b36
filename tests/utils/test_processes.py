"""Processes of their own, what is held back of their messages, packages that are missing."""

import os
import sys

import pytest

from zscmr.utils import processes
from zscmr.utils.processes import import_tensorflow, missing, run_alone, stderr_held_back


def test_function_runs_in_another_process_and_returns_or_raises_there():
    assert run_alone(os.getpid) != os.getpid()
    with pytest.raises(ZeroDivisionError):
        run_alone(divmod, 1, 0)


def test_a_process_that_dies_is_one_line(refused):
    assert refused(run_alone, os._exit, 9) == "the process of _exit died (out of memory?)"


def test_cores_are_those_the_process_may_run_on():
    assert 1 <= processes.cores() <= os.cpu_count()


def test_standard_error_is_discarded_unless_the_block_raises(capfd):
    with stderr_held_back():
        os.write(2, b"start-up message\n")
    assert capfd.readouterr().err == ""
    with pytest.raises(KeyError), stderr_held_back():
        os.write(2, b"cause\n")
        raise KeyError("stop")
    assert capfd.readouterr().err == "cause\n"


def test_packages_that_are_missing_come_with_the_line_that_installs_them(monkeypatch, tmp_path, refused):
    monkeypatch.setitem(sys.modules, "tensorflow", None)  # import then raises ModuleNotFoundError
    assert refused(import_tensorflow) == "TensorFlow is not installed: python -m pip install -r requirements.txt"
    clone = "Ray is not installed: python -m pip install -r requirements-ray.txt (no module)"
    assert str(missing("Ray", "ray", ImportError("no module\nat all"))) == clone
    monkeypatch.setattr(processes, "__file__", str(tmp_path / "zscmr/utils/processes.py"))
    package = "Ray is not installed: python -m pip install 'zscmr[ray]'"
    assert str(missing("Ray", "ray")) == package
