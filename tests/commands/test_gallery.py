"""What was added is listed with what is gone, and forgotten."""

import re
import shutil
import subprocess
import sys

import pytest
from helpers.project import ROOT
from helpers.toy_gallery import IDENTITY, ToyEncoder, write_files

pytest.importorskip("lancedb", reason="LanceDB is not installed: galleries are not tested")

from zscmr.commands import gallery
from zscmr.retrieval import default_gallery
from zscmr.retrieval.table import Table


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user without a gallery, in a folder of its own."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(default_gallery, "data_folder", lambda: tmp_path / "data")
    return tmp_path


def make(location, *folders):
    table = Table.open(location, IDENTITY)
    for folder in folders:
        table.update("photo", folder, ToyEncoder())
    return table


def printed(capsys, *words, **more):
    gallery.main(gallery.Settings(*words, **more))
    return capsys.readouterr().out


def test_list_and_info_tell_what_is_there_and_what_is_gone(home, capsys):
    """Four pictures of a folder, three of one in it, which counts by itself; one file of either is gone."""
    write_files(home / "a", 4)
    write_files(home / "a/inner", 3)
    make(home / "data/zscmr/gallery", home / "a", home / "a/inner")
    (home / "a/ant/00000.png").unlink()
    (home / "a/inner/bee/00001.png").unlink()
    lines = printed(capsys, "list").splitlines()
    assert lines[0] == f"{home}/data/zscmr/gallery: folders that were added"
    assert lines[1].split() == ["pictures", "gone", "kind", "added", "changed", "folder"]
    for line, (count, folder) in zip(lines[2:], ((4, "a"), (3, "a/inner")), strict=True):
        when = r"\d{4}-\d\d-\d\d \d\d:\d\d"
        assert re.fullmatch(rf" +{count} +1  photo  {when}  {when}  {home}/{folder}", line)
    text = printed(capsys, "info")
    assert f"gallery: {home}/data/zscmr/gallery\n" in text and "photos: 7 added, 2 of them gone\n" in text
    assert f"  gone: {home}/a/ant/00000.png\n" in text and "sketches: 0 added, 0 of them gone\n" in text


def test_remove_forgets_a_folder_and_leaves_its_files(home, capsys, refused):
    for name in ("a", "ab"):
        write_files(home / name, 3)
    table = make("g", home / "a", home / "ab")
    shutil.rmtree(home / "a/ant")
    assert printed(capsys, "remove", "../a", gallery="g") == "../a: 3 pictures forgotten; the files stay\n"
    assert sorted(table.paths("photo")) == sorted(map(str, (home / "ab").rglob("*.png")))
    assert (home / "a/bee/00001.png").exists() and [addition.folder for addition in table.additions()] == [
        str(home / "ab")
    ]
    message = refused(gallery.main, gallery.Settings("remove", "../a", gallery="g"))
    assert message == f"../a: no picture of the gallery was added from there; folders that were: {home}/ab"


def test_a_gallery_without_records_is_listed_too(home, capsys):
    write_files(home / "a", 4)
    make("g", home / "a")
    shutil.rmtree("g/additions.lance")
    assert printed(capsys, "list", gallery="g").splitlines()[2].split() == [
        *("4", "0", "photo", "unknown", "unknown", f"{home}/a", "(not", "recorded)")
    ]
    make("g", home / "a")
    assert "unknown" not in printed(capsys, "list", gallery="g")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"action": "list"}, "data/zscmr/gallery: no gallery there; search --add DIR makes one"),
        ({"action": "remove"}, "DIR: expected with remove, and only with it"),
        ({"action": "info", "folder": "x"}, "DIR: expected with remove, and only with it"),
        ({"action": "info", "run": "x"}, "--run x: no run directory"),
        ({"action": "forget"}, "--action: expected any of list, info, remove, received forget"),
    ],
)
def test_bad_input_is_refused(home, refused, settings, expected):
    if "run" in settings:
        settings = settings | {"run": gallery.Path(settings["run"])}
    assert expected in refused(lambda: gallery.main(gallery.Settings(**settings)))


def test_the_command_runs_as_a_module(home):
    words = [sys.executable, "-m", "zscmr", "gallery", "--gallery", "nowhere"]  # as `gallery list` does
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "zscmr gallery: nowhere: no gallery there; search --add DIR makes one\n"
