"""The miniature dataset is drawn and trained once, by the commands that it prints."""

import pytest

from zscmr.datasets.miniature import MiniatureOptions, draw_miniature
from zscmr.training.stage1 import miniature
from zscmr.utils.errors import BadInput


@pytest.fixture
def steps(monkeypatch):
    """Names of the steps that ran; drawing leaves a folder, stage I pictures.json."""
    ran = []

    def note(name, step=lambda options: None):
        def run(options):
            ran.append(name)
            step(options)

        return run

    def train(options):
        (options.out / "pictures.json").write_text("{}")

    monkeypatch.setattr(miniature, "draw_miniature", note("draw", lambda options: options.out.mkdir(exist_ok=True)))
    monkeypatch.setattr(miniature, "run_stage1", note("stage I", train))
    monkeypatch.setattr(miniature, "run_alone", lambda function, options: (ran.append("alone"), function(options)))
    monkeypatch.setattr(miniature, "join_vectors", note("join"))
    return ran


def test_stage_one_runs_alone_and_only_checks_what_exists(tmp_path, steps, capsys):
    folder = tmp_path / "mini"
    miniature.prepare_miniature(folder)
    assert steps == ["draw", "alone", "stage I", "join"]
    first = capsys.readouterr().out.splitlines()
    assert first[0].startswith("no --data given") and [line.split()[:3] for line in first[1:]] == [
        ["$", "python", "data/make_miniature.py"],
        ["$", "python", "pretrain/finetune.py"],
        ["$", "python", "pretrain/word_vectors.py"],
    ]
    steps.clear()
    miniature.prepare_miniature(folder)
    assert steps == ["draw", "stage I", "join"]
    assert capsys.readouterr().out.splitlines() == first[1:]


def test_another_dataset_in_its_place_is_refused(tmp_path):
    """The 4-class miniature is not the one that the first command draws."""
    draw_miniature(MiniatureOptions(out=tmp_path / "mini", classes=4, per_class=1))
    with pytest.raises(BadInput, match="mini: exists"):
        miniature.prepare_miniature(tmp_path / "mini")
