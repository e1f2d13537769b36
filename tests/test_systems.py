"""A system is one file and one line: the README's example, added to a copy of the project, trains and is evaluated."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")

import matfiles

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def project(tmp_path):
    """A copy of the project with the toy system of the README."""
    copy = tmp_path / "project"
    copy.mkdir()
    for file in ROOT.glob("*.py"):
        shutil.copy(file, copy)
    for package in ("models", "evaluation", "pretrain"):
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    (toy,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)
    (copy / "models" / "toy.py").write_text(toy, encoding="utf-8")
    trainer = copy / "Unified_XY_triads.py"
    text, lines = re.subn(r"^SYSTEMS = \(", 'SYSTEMS = ("toy", ', trainer.read_text(encoding="utf-8"), flags=re.M)
    assert lines == 1
    trainer.write_text(text, encoding="utf-8")
    return copy


def test_a_fourth_system_needs_one_file_and_one_line(project, dataset_folder):
    command = [sys.executable, "Unified_XY_triads.py", "--model", "toy", "--data", str(dataset_folder)]
    words = ["--path", "runs/toy", "--batch-size", "8", "--epochs", "3"]
    done = subprocess.run([*command, *words], cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = (project / "runs/toy/metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["classification"] for line in lines]
    assert len(losses) == 3 and losses[2] < losses[0]
    assert matfiles.read(project / "runs/toy/unified_features.mat", "featuresx").shape == (60, 64)
    results = json.loads((project / "runs/toy/results.json").read_text())
    assert results["shared space"]["distance"] == "cosine"
    refused = subprocess.run([*command, "--margin", "2"], cwd=project, capture_output=True, text=True)
    assert refused.returncode == 2
    assert refused.stderr.splitlines() == ["Unified_XY_triads.py: --margin 2.0: --model toy has no such constant"]
