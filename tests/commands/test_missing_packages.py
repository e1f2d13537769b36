"""Every command where packages are missing: help all the same, and one line that says what to install."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.project import ROOT, draw_pictures

from zscmr import commands

TENSORFLOW = "tensorflow,keras"
PICTURES = ("--photos", "photo", "--sketches", "sketch")
TRAIN = "TensorFlow is not installed: python -m pip install -r requirements.txt"


def call(folder, missing, *words):
    """(status, output, errors) of a command in a process without some packages."""
    helper = str(Path(__file__).parents[1] / "helpers/hidden_modules.py")
    done = subprocess.run([sys.executable, helper, missing, *words], cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_help_needs_no_packages(tmp_path):
    """In one process, since starting one takes longer than all the rest."""
    hidden = ["tensorflow", "keras", "lancedb", "pyarrow", "uvicorn", "starlette", "ray", "ai_edge_litert"]
    program = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
from helpers.hidden_modules import Hidden
sys.meta_path.insert(0, Hidden({hidden}))
from zscmr import commands
for name in commands.COMMANDS:
    try:
        commands.run(name, ["--help"])
    except SystemExit as end:
        print("STATUS", end.code)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("STATUS 0\n") == len(commands.COMMANDS) == done.stdout.count("usage: ")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("missing", "words", "line"),
    [
        (TENSORFLOW, ("pretrain", *PICTURES, "--unseen", "unseen.txt", "--backbone", "small", "--out", "o"), TRAIN),
        (TENSORFLOW, ("encoder", *PICTURES, "--work", "w", "--out", "o"), TRAIN),
        (TENSORFLOW, ("train", "--data", "o"), TRAIN),
        (TENSORFLOW, ("train",), TRAIN),
        (TENSORFLOW, ("tables",), TRAIN),
        (TENSORFLOW, ("tables", "--plan"), TRAIN),
        (TENSORFLOW, ("export", "--run", "o"), TRAIN),
        ("lancedb", ("search", "--add", "photo", "--gallery", "g"), "LanceDB, which keeps the gallery, is not"),
        ("ai_edge_litert,tensorflow,keras", ("search", "--add", "photo", "--gallery", "g"), "requirements-search.txt"),
        ("uvicorn", ("search", "--draw", "--gallery", "g"), "requirements-search.txt"),
        (
            "openvino",
            ("search", "--add", "photo", "--gallery", "g", "--engine", "openvino"),
            "requirements-openvino.txt",
        ),
        ("ray", ("search", "--add", "photo", "--gallery", "g", "--ray", "local"), "requirements-ray.txt"),
    ],
)
def test_a_missing_package_is_a_line(tmp_path, missing, words, line):
    draw_pictures(tmp_path, np.random.default_rng(0), ("ant", "bee"), 2, (40, 40), ("bee",))
    (tmp_path / "g").mkdir()
    status, _, errors = call(tmp_path, missing, *words)
    assert (status, errors.count("\n")) == (2, 1) and line in errors
