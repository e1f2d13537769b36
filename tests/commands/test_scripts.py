"""Every script once, as a user calls it, on a small miniature; bad input ends each with one line and status 2."""

import json
import subprocess
import sys

import pytest
from helpers.project import ROOT


def test_from_pictures_to_table(script, tmp_path):
    mini = tmp_path / "mini"
    script("data/make_miniature.py", "--out", mini, "--classes", 16, "--per-class", 8)
    trees = ("--photos", mini / "photo", "--sketches", mini / "sketch", "--unseen", mini / "unseen.txt")
    script("pretrain/finetune.py", *trees, "--backbone", "small", "--epochs", 1, "--out", mini)
    script("pretrain/word_vectors.py", "--data", mini, "--vectors", mini / "class_vectors.npz")
    script("pretrain/class_graph.py", "--data", mini)
    script("pretrain/index_files.py", *trees[:4], "--out", mini)
    done = script("Unified_XY_triads.py", "--data", mini, "--epochs", 2, "--batch-size", 32, cwd=tmp_path)
    assert "CNN features alone" in done.stdout and "wrote runs/0001/unified_features.mat" in done.stdout
    assert done.stderr == ""  # TensorFlow keeps quiet
    done = script("knn_eval.py", "--json", "out.json", "--distance", "cosine", cwd=tmp_path)
    assert "cosine" in done.stdout
    results = json.loads((tmp_path / "out.json").read_text())
    assert set(results["directions"]["sketch->image"]) >= {"mAP@all", "P@100", "mAP@200", "P@200", "queries", "gallery"}
    query = next(mini.glob("sketch/*/*.png"))
    done = script("search.py", "--run", "runs/0001", "--query", query, "--top", 3, cwd=tmp_path)
    assert "1 query answered in" in done.stdout and "wrote runs/0001/search.png" in done.stdout
    assert done.stderr == ""
    again = script("Unified_XY_triads.py", "--resume", cwd=tmp_path)
    assert "runs/0001 is complete" in again.stdout


@pytest.mark.parametrize(
    ("words", "culprit"),
    [
        (("Unified_XY_triads.py", "--data", "nowhere"), "nowhere"),
        (("Unified_XY_triads.py", "--epochs", "many"), "--epochs"),
        (("pretrain/finetune.py", "--photos", "x", "--sketches", "y", "--unseen", "z", "--out", "o"), "x"),
        (("pretrain/word_vectors.py", "--data", "nowhere", "--vectors", "x.npz"), "nowhere"),
        (("pretrain/index_files.py", "--photos", "x", "--sketches", "y", "--out", "o"), "x"),
        (("pretrain/class_graph.py", "--data", "nowhere"), "nowhere"),
        (("knn_eval.py", "nowhere.mat"), "nowhere.mat"),
        (("search.py", "--run", "nowhere", "--query", "x.png"), "nowhere"),
        (("search.py", "--query", "x.png"), "x.png: no such file"),
        (("search.py", "--draw", "--weights", "x.h5"), "--weights belongs to --run"),
        (("paper_tables.py", "--data", "nowhere"), "nowhere"),
    ],
)
def test_bad_input_is_one_line_and_status_2(script, tmp_path, words, culprit):
    done = script(*words, cwd=tmp_path, status=2)
    assert done.stderr.count("\n") == 1 and culprit in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "name",
    [
        "Unified_XY_triads.py",
        "ys_tip.py",
        "knn_eval.py",
        "search.py",
        "paper_tables.py",
        "pretrain/finetune.py",
        "pretrain/word_vectors.py",
        "pretrain/class_graph.py",
        "pretrain/index_files.py",
        "benchmarks/baselines.py",
        "benchmarks/bench_eval.py",
        "benchmarks/bench_export.py",
        "benchmarks/bench_joint.py",
        "benchmarks/bench_search.py",
        "benchmarks/bench_train.py",
        "data/make_miniature.py",
        "data/render_quickdraw.py",
    ],
)
def test_help_shows_defaults(script, name):
    assert "default:" in script(name, "--help").stdout


def test_work_goes_on_where_nobody_reads_on(tmp_path):
    """As behind `… | head`: what is said goes nowhere, what is written is written."""
    told = "for _ in range(9): console.say('word'); console.warn('word')"
    words = f"import pathlib, sys\nfrom zscmr import console\n{told}\npathlib.Path(sys.argv[1]).touch()"
    command = [sys.executable, "-c", words, str(tmp_path / "written")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    process.stdout.close()
    assert process.wait() == 0
    assert (tmp_path / "written").exists()
