"""What docs/extend.md says: a system and a backbone are one file each and their name in a registry."""

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from helpers.project import ROOT, draw_pictures

from zscmr.formats import matfiles

SYSTEM, BACKBONE = re.findall(r"```python\n(.*?)```", (ROOT / "docs/extend.md").read_text(encoding="utf-8"), re.S)


@pytest.fixture
def project(tmp_path):
    """A copy of the project with the toys of docs/extend.md."""
    copy = tmp_path / "project"
    for folder in ("zscmr", "pretrain"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ROOT.glob("*.py"):
        shutil.copy(file, copy)
    shutil.copytree(ROOT / "data/splits", copy / "data/splits")
    system, backbone = ("models", "SYSTEMS", SYSTEM, '"toy"'), ("backbones", "BACKBONES", BACKBONE, '"toy": "toy"')
    for package, registry, text, entry in (system, backbone):
        folder = copy / "zscmr" / package
        (folder / "toy.py").write_text(text, encoding="utf-8")
        names = (folder / "__init__.py").read_text(encoding="utf-8")
        named, count = re.subn(rf"^{registry} = ([({{])", rf"{registry} = \1{entry}, ", names, flags=re.M)
        assert count == 1
        (folder / "__init__.py").write_text(named, encoding="utf-8")
    return copy


def run(project, *words):
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, cwd=project, capture_output=True, text=True)


@pytest.mark.slow
def test_a_system_brings_its_flags_with_it(project, dataset_folder):
    words = "Unified_XY_triads.py", "--model", "toy", "--data", dataset_folder
    done = run(project, *words, "--path", "runs/toy", "--batch-size", 8, "--epochs", 6, "--dim", 7, "--scale", 0.5)
    assert done.returncode == 0, done.stderr
    lines = (project / "runs/toy/metrics.jsonl").read_text().splitlines()
    losses = [json.loads(line)["classification"] for line in lines]
    assert len(losses) == 6 and losses[5] < losses[0]
    assert matfiles.read(project / "runs/toy/unified_features.mat", "featuresx").shape == (60, 7)
    results = json.loads((project / "runs/toy/results.json").read_text())
    assert results["shared space"]["distance"] == "cosine"
    refused = run(project, *words, "--scale", 0)
    assert refused.stderr == "Unified_XY_triads.py: --scale should be above 0, received 0.0\n"
    refused = run(project, *words, "--margin", 2)
    assert refused.returncode == 2 and "unrecognized arguments: --margin 2" in refused.stderr
    assert "multiplies the logits" in run(project, *words, "--help").stdout


@pytest.mark.slow
def test_a_backbone_trains_and_exports(project, tmp_path):
    names = ("ant", "bee", "cow", "dog", "elk")
    draw_pictures(tmp_path, np.random.default_rng(0), names, per_class=3, size=(20, 24), unseen=("dog",))
    trees = "--photos", tmp_path / "photo", "--sketches", tmp_path / "sketch", "--unseen", tmp_path / "unseen.txt"
    done = run(project, "pretrain/finetune.py", *trees, "--backbone", "toy", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert matfiles.read(tmp_path / "out/imagematnew.mat", "feature").shape == (15, 8)
