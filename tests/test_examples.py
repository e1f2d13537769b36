"""The examples and the README's program run, on pictures of the miniature."""

import json
import os
import re
import shutil
import subprocess
import sys
import warnings

import pytest
from helpers.project import ROOT

from zscmr.datasets.miniature import MiniatureOptions, draw_miniature

NOTEBOOK = ROOT / "examples/miniature.ipynb"


@pytest.fixture(scope="module")
def miniature(tmp_path_factory):
    """Four classes, one of them unseen, six photos and six sketches each."""
    folder = tmp_path_factory.mktemp("pictures") / "miniature"
    draw_miniature(MiniatureOptions(out=folder, classes=4, per_class=6))
    return folder


@pytest.fixture
def example(tmp_path):
    """Runs a script of examples/ in an empty folder and returns its standard output."""

    def run(name, *words):
        command = [sys.executable, str(ROOT / "examples" / name), *map(str, words)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment())
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def environment():
    """The package of this clone, wherever the process starts."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}


def hits(output):
    """(distance, class) of the lines that the examples print for a search."""
    return [(float(number), name) for number, name in re.findall(r"^(\d+\.\d+)  (\S+)  \S+$", output, re.M)]


@pytest.mark.slow
def test_search_a_folder(example, miniature):
    sketch = min(miniature.glob("sketch/*/*"))
    first = hits(example("search_a_folder.py", miniature / "photo", sketch))
    assert len(first) == 10 and first == sorted(first, key=lambda hit: hit[0])
    assert hits(example("search_a_folder.py", miniature / "photo", sketch)) == first  # from the gallery


def test_measure_embeddings(example):
    lines = example("measure_embeddings.py").splitlines()
    assert [line.split()[0] for line in lines] == ["standard", "sake", "sempcyc"]
    assert all(0.04 < float(number) <= 1 for number in re.findall(r"mAP@all (\S+)", "\n".join(lines)))


@pytest.mark.slow
def test_train_on_own_data(example, miniature):
    trees = miniature / "photo", miniature / "sketch", miniature / "unseen.txt"
    words = ("train_on_own_data.py", *trees, "--backbone", "small", "--train", "all", "--epochs", "1")
    output = example(*words)
    assert len(hits(output)) == 5
    assert hits(example(*words)) == hits(output)  # continues from what is there


def code_cells():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


@pytest.mark.slow
def test_notebook_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    names = {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "FigureCanvasAgg is non-interactive")
        for number, cell in enumerate(code_cells(), 1):
            exec(compile("".join(cell["source"]), f"cell {number}", "exec"), names)
    assert len(names["answers"]) == len(names["queries"]) and names["scores"]["mAP@all"] > 1 / 12


def test_notebook_is_executed_and_small():
    """Stored with its outputs, in the order of its cells, without an error."""
    assert NOTEBOOK.stat().st_size < 500_000
    cells = code_cells()
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 3


@pytest.mark.slow
def test_program_of_the_readme_runs(tmp_path, miniature):
    """As printed, with a sketch as my.png and a folder of pictures at home."""
    program = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)[1]
    shutil.copytree(miniature / "photo", tmp_path / "Pictures")
    shutil.copy(min(miniature.glob("sketch/*/*.png")), tmp_path / "my.png")
    home = {**environment(), "HOME": str(tmp_path), "USERPROFILE": str(tmp_path)}
    command = [sys.executable, "-c", program + "print(sketches.shape, sketches.dtype)"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=home)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "(1, 64) float32"
    assert len(re.findall(r"^\S+ \S+ .*photo|^\d\.\d+ ", done.stdout, re.M)) == 10
