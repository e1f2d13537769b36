"""Every script as a user calls it; bad input ends each with one line and status 2."""

import json
import re
import runpy
import subprocess
import sys

import pytest
from helpers.project import ROOT

from zscmr import commands

SCRIPTS = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in (".", "pretrain", "data", "benchmarks")
    for path in ROOT.glob(f"{folder}/*.py")
    if re.search(r"(commands|cli)\.run\(", path.read_text(encoding="utf-8"))
)
FACES = [name for name in SCRIPTS if not name.startswith("benchmarks/")]


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Runs a script in this process, in an empty folder, and returns (status, standard output, standard error)."""

    def run(name, *words):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", sys.path[:])
        monkeypatch.setattr(sys, "argv", [str(ROOT / name), *map(str, words)])
        with pytest.raises(SystemExit) as exit:
            runpy.run_path(str(ROOT / name), run_name="__main__")
        return exit.value.code, *capsys.readouterr()

    return run


@pytest.mark.slow
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
    lines = done.stderr.splitlines()  # TensorFlow keeps quiet; three unseen classes, and a shared space of two epochs
    assert lines[0].startswith("warning: only 3 unseen classes") and all(line.startswith("warning: ") for line in lines)
    done = script("knn_eval.py", "--json", "out.json", "--distance", "cosine", cwd=tmp_path)
    assert "cosine" in done.stdout
    results = json.loads((tmp_path / "out.json").read_text())
    assert set(results["directions"]["sketch->image"]) >= {"mAP@all", "P@100", "mAP@200", "P@200", "queries", "gallery"}
    query = next(mini.glob("sketch/*/*.png"))
    done = script("search.py", "--run", "runs/0001", "--query", query, "--top", 3, cwd=tmp_path)
    assert "1 query answered in" in done.stdout and "wrote" not in done.stdout
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
        (("pretrain/join.py", "--data", "nowhere", "nowhere", "--out", "o"), "nowhere"),
        (("knn_eval.py", "nowhere.mat"), "nowhere.mat"),
        (("embed.py", "--run", "nowhere", "--photos", "x", "--sketches", "y", "--out", "o.mat"), "x: no such folder"),
        (("export.py", "--run", "nowhere"), "nowhere"),
        (("search.py", "--run", "nowhere", "--query", "x.png"), "nowhere"),
        (("search.py", "--query", "x.png"), "x.png: no such file"),
        (("search.py", "--draw", "--weights", "x.h5"), "--weights belongs to --run"),
        (("paper_tables.py", "--data", "nowhere"), "nowhere"),
        (("ys_tip.py", "--dataset", "Flickr"), "--dataset"),
        (("data/render_quickdraw.py", "--drawings", "nowhere", "--out", "o"), "nowhere"),
        (("data/make_miniature.py", "--per-class", "0"), "--per-class"),
    ],
)
def test_bad_input_is_one_line_and_status_2(call, tmp_path, words, culprit):
    status, _, complaint = call(*words)
    assert status == 2 and complaint.count("\n") == 1 and culprit in complaint
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", SCRIPTS)
def test_help_shows_defaults(call, name):
    status, text, _ = call(name, "--help")
    assert status == 0 and "--debug" in text and ("default:" in text or name in ("export.py", "pretrain/join.py"))


@pytest.mark.parametrize("name", sorted({*commands.COMMANDS} - {"gallery"}))  # which has no script
def test_help_of_a_subcommand_is_that_of_its_script(call, name):
    """One script is the face of each subcommand, and both have the same parser."""
    faces = [face for face in FACES if f'commands.run("{name}")' in (ROOT / face).read_text(encoding="utf-8")]
    assert len(faces) == 1 and commands.COMMANDS[name].endswith(f" ({faces[0]})")
    _, text, _ = call(faces[0], "--help")
    flags = text[text.index("options:") :]
    _, same, _ = call("zscmr/__main__.py", name, "--help")
    assert same.startswith(f"usage: zscmr {name} ") and same[same.index("options:") :] == flags


@pytest.mark.parametrize("name", FACES)
def test_face_is_short(name):
    assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) <= 30


@pytest.mark.slow
@pytest.mark.parametrize("name", ["search.py", "pretrain/class_graph.py"])
def test_script_runs_in_a_process_of_its_own(script, tmp_path, name):
    assert "default:" in script(name, "--help", cwd=tmp_path).stdout


def test_work_goes_on_where_nobody_reads_on(tmp_path):
    """As behind `… | head`: what is printed goes nowhere, what is written is written."""
    lines = "for _ in range(9): console.say('word'); console.warn('word')"
    program = f"import pathlib, sys\nfrom zscmr.utils import console\n{lines}\npathlib.Path(sys.argv[1]).touch()"
    command = [sys.executable, "-c", program, str(tmp_path / "written")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    process.stdout.close()
    assert process.wait() == 0
    assert (tmp_path / "written").exists()
