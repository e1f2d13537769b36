"""A run directory is read as it was written, by types of the settings' fields."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from zscmr.formats.runs import Run, config_settings, open_run
from zscmr.utils.files import read_json, write_json
from zscmr.utils.options import Options, setting


@dataclass(frozen=True)
class Settings(Options):
    data: Path = setting(Path("data"), "folder")
    weights: Path | None = setting(None, "file")
    files: tuple[Path, ...] = setting((), "files")
    without: tuple[str, ...] = setting((), "terms")
    rate: float | None = setting(None, "rate")
    path: Path | None = setting(None, "run")
    resume: bool = setting(False, "resume")
    overwrite: bool = setting(False, "overwrite")
    no_encoders: bool = setting(False, "none")
    constants: dict = field(default_factory=dict)


CLASSES = {"seen": ["ant"], "held_out": ["bee"], "unseen": ["fox"]}
CHOSEN = Settings(Path("other"), Path("w.npz"), (Path("a"), Path("b")), ("triplet",), 0.1, constants={"size": 64})


@pytest.fixture
def run(tmp_path):
    return Run.create(tmp_path / "run", CHOSEN, CLASSES, {"trained_on": ["cow"]}, {"features_sha256": "ab"})


def test_settings_are_read_as_they_were_written(run):
    config = read_json(run.folder / "config.json")
    assert config["settings"] == config_settings(CHOSEN) and config["settings"]["size"] == 64
    assert config["settings"]["data"] == "other" and config["settings"]["files"] == ["a", "b"]
    assert Settings(**run.settings(Settings)) == CHOSEN
    assert run.trained_classes() == ["ant", "bee", "cow"] and run.results() == {} and not run.has_encoders


def test_a_run_of_an_earlier_version_is_read(run, refused):
    """Unknown settings are constants, missing ones defaults."""
    stored = {"rate": None, "size": 64, "without": [], "left_out": None}
    write_json(run.config_file, {"settings": stored, "classes": CLASSES})
    assert run.settings(Settings) == {"rate": None, "without": (), "constants": {"size": 64}}
    assert run.trained_classes() == ["ant", "bee"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"settings": 7, "classes": CLASSES}, "'settings': expected an object, received a whole number"),
        ({"classes": CLASSES}, "expected an entry 'settings', received none"),
        (
            {"settings": {}, "classes": CLASSES | {"seen": [7]}},
            "'classes.seen[]': expected a text, received a whole number",
        ),
        ({"settings": {"data": {}}, "classes": CLASSES}, "'settings.data': expected a text, received an object"),
        ({"settings": {"weights": 1}, "classes": CLASSES}, "--weights: expected Path, received 1"),
        ({"settings": {"files": "a"}, "classes": CLASSES}, "--files: expected a list of Path, received 'a'"),
        ({"settings": {"rate": True}, "classes": CLASSES}, "--rate: expected float, received True"),
        ({"settings": {"resume": 0}, "classes": CLASSES}, "--resume: expected bool, received 0"),
    ],
)
def test_a_run_that_nobody_wrote_is_refused(run, refused, content, expected):
    write_json(run.config_file, content)
    assert refused(run.settings, Settings) == f"{run.config_file}: {expected}"


def test_a_resumed_run_keeps_what_it_was_started_with(run, refused):
    resumed, folder = open_run(Settings(path=run.folder, resume=True, rate=0.1))
    assert folder == run.folder and resumed.data == Path("other") and resumed.constants == {"size": 64}
    expected = f"--rate 0.2: {run.folder} was started with 0.1, and --resume keeps it"
    assert refused(open_run, Settings(path=run.folder, resume=True, rate=0.2)) == expected
    assert "--size 32" in refused(open_run, Settings(path=run.folder, resume=True, constants={"size": 32}))
    assert "exists already" in refused(open_run, Settings(path=run.folder))
    assert "exclude each other" in refused(open_run, Settings(resume=True, overwrite=True))


def test_other_classes_or_features_are_refused(run, refused):
    data = {"features_sha256": "ab", "directory": "data"}
    run.check_same_data(CLASSES, data)
    assert "('cow' differs)" in refused(run.check_same_data, CLASSES | {"seen": ["ant", "cow"]}, data)
    assert "other features than data" in refused(run.check_same_data, CLASSES, data | {"features_sha256": "cd"})


def test_a_run_that_is_there_is_replaced_only_when_asked_for(run, refused):
    (run.folder / "more").write_text("")
    assert "another run was started there" in refused(Run.create, run.folder, CHOSEN, {}, {}, {})
    Run.create(run.folder, Settings(overwrite=True), CLASSES, {}, {})
    assert [file.name for file in run.folder.iterdir()] == ["config.json"]


def test_numbered_runs_and_the_newest(tmp_path, monkeypatch, refused):
    monkeypatch.chdir(tmp_path)
    assert refused(Run.newest) == "runs: no run to go on with; --resume needs --path or a run under runs"
    folders = [Run.create(None, Settings(), {}, {}, {}).folder for _ in range(2)]
    assert folders == [Path("runs/0001"), Path("runs/0002")] and Run.newest().folder in folders
