"""Several processes at once on one output: nothing is damaged, those that lose say so in one line.

ZSCMR_AT_ONCE=N starts N processes each time. They begin at the same moment, when all have imported what they need.
Eight writers of one gallery with a slow encoder: tests/retrieval/test_table.py.
"""

import os
import re

import pytest
from helpers.project import RUN_FILES, assert_same_bytes
from helpers.small_project import make_project, pictures
from helpers.started_command import at_once, command, finish

from zscmr.retrieval import Encoder, Gallery

COUNT = int(os.environ.get("ZSCMR_AT_ONCE", "2"))
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("work"))


def check_one_wins(words, refusals):
    """One or more processes succeed, the others refuse in a line that matches `refusals`."""
    outcomes = at_once([words] * COUNT)
    print(f"{words[1]}: statuses {sorted(status for status, _ in outcomes)}")
    assert {status for status, _ in outcomes} <= {0, 2} and 0 in {status for status, _ in outcomes}, outcomes
    for status, text in outcomes:
        lines = [line for line in text.splitlines() if line.startswith("zscmr ")]
        assert "Traceback" not in text
        assert status == 0 or (len(lines) == 1 and re.search(refusals, lines[0])), text


def test_stage_1_on_one_out(work, tmp_path):
    words = [*pictures(work), "--backbone", "small", "--epochs", 2, "--train", "joint", "--held-out", 0.34, "--out"]
    finish(command("pretrain", *words, tmp_path / "alone"))
    check_one_wins(command("pretrain", *words, tmp_path / "out"), "another process is at work there")
    files = {file.relative_to(tmp_path / "alone") for file in (tmp_path / "alone").rglob("*") if file.is_file()}
    assert files == {file.relative_to(tmp_path / "out") for file in (tmp_path / "out").rglob("*") if file.is_file()}
    assert_same_bytes(tmp_path / "alone", tmp_path / "out", files)


def test_stage_2_on_one_path(work, tmp_path):
    words = ["--data", work / "data", "--epochs", 3, "--batch-size", 6, "--dim", 5, "--no-encoders", "--path"]
    finish(command("train", *words, tmp_path / "alone"))
    refusals = "another process is at work there|exists already|another run was started there"
    check_one_wins(command("train", *words, tmp_path / "run"), refusals)
    assert_same_bytes(tmp_path / "alone", tmp_path / "run", RUN_FILES)
    check_one_wins(command("train", "--path", tmp_path / "run", "--resume"), refusals)
    assert_same_bytes(tmp_path / "alone", tmp_path / "run", RUN_FILES)


def test_embed_on_one_out(work, tmp_path):
    """The processes export the encoders of the run first, which is locked too."""
    words = ["--run", work / "run", *pictures(work), "--out"]
    check_one_wins(command("embed", *words, tmp_path / "out.mat"), "another process is at work there")
    finish(command("embed", *words, tmp_path / "alone.mat"))
    assert (tmp_path / "out.mat").read_bytes() == (tmp_path / "alone.mat").read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["alone.mat", "out.mat"]


def test_add_to_one_gallery(work, tmp_path):
    pytest.importorskip("lancedb", reason="lancedb is not installed: there is no gallery")
    words = command("search", "--gallery", tmp_path / "gallery", "--add", work / "photo")
    assert [status for status, _ in at_once([words] * COUNT)] == [0] * COUNT
    assert [text for _, text in at_once([words] * COUNT)] == [""] * COUNT
    paths = Gallery(tmp_path / "gallery", Encoder.load()).table.pictures("photo").paths
    assert sorted(paths) == sorted(map(str, work.glob("photo/*/*.jpg")))
