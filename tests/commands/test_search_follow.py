"""`search.py` without a gallery, and following a folder."""

import os
import re
import signal
import subprocess
import sys

import pytest
from helpers.project import ROOT, posix
from helpers.toy_shapes import ToyTable, draw_gallery

from zscmr import server
from zscmr.commands import search
from zscmr.retrieval import Searcher
from zscmr.retrieval.table import Table

pytest.importorskip("lancedb", reason="LanceDB is not installed: galleries are not tested")


@pytest.fixture
def served(monkeypatch):
    """What `serve` was called with, in place of serving."""
    calls = []
    serving = server.library()
    monkeypatch.setattr(serving, "serve", lambda *words: calls.append(words))
    return calls


def test_the_page_begins_without_a_gallery(tmp_path, monkeypatch, served, capsys):
    """In the data folder. The user of this machine may add to it, others only with --allow-add."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for flags, may_add in (
        ({}, True),
        ({"host": "0.0.0.0"}, False),
        ({"no_token": True}, False),
        ({"host": "0.0.0.0", "allow_add": True}, True),
    ):
        search.main(search.Settings(draw=True, port=0, **flags))
        assert served[-1][3] == may_add, flags
        way = "the page adds them" if may_add else "--add DIR adds them"
        assert capsys.readouterr().out == f"{tmp_path}/zscmr/gallery: no pictures yet; {way}\n"
    assert Table.existing(tmp_path / "zscmr/gallery").count("photo") == 0


def test_a_named_gallery_is_made_only_to_be_added_to(tmp_path, served, refused):
    missing = str(tmp_path / "mistyped")
    message = refused(search.main, search.Settings(draw=True, port=0, gallery=missing))
    assert message == f"--gallery {missing}: no such gallery; --add DIR makes one" and not os.path.exists(missing)
    search.main(search.Settings(draw=True, port=0, gallery=missing, allow_add=True))
    assert served[-1][3]


def test_a_gallery_with_pictures_is_not_added_to_by_the_page(tmp_path, monkeypatch, served):
    folders = draw_gallery(tmp_path)
    monkeypatch.setattr(search, "open_searcher", lambda settings: Searcher(ToyTable(folders), None))
    search.main(search.Settings(draw=True, port=0))
    assert not served[-1][3]


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        ({"watch": "photo", "add": "photo"}, "--watch: expected without --add"),
        ({"watch": "photo", "query": ("x.png",)}, "--watch: expected without --add, which it does first, and without"),
        ({"watch": "none"}, "--watch none: no such folder"),
        ({"watch": "s3://bucket"}, "--watch s3:/bucket: no such folder"),
    ],
)
def test_what_watch_does_not_go_with(tmp_path, monkeypatch, refused, flags, why):
    draw_gallery(tmp_path, 1)
    monkeypatch.chdir(tmp_path)
    flags["watch"] = search.Path(flags["watch"])
    assert refused(search.main, search.Settings(gallery="g", **flags)).startswith(why)


def test_watch_without_its_package_is_a_line(tmp_path, refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    message = refused(search.main, search.Settings(watch=tmp_path, gallery=str(tmp_path / "g")))
    assert message.startswith("--watch: watchfiles is not installed: python -m pip install -r requirements-watch.txt")


@posix
@pytest.mark.slow
def test_a_folder_is_followed_until_ctrl_c(tmp_path):
    """Empty at first; then pictures come, one changes and one goes, without the page."""
    for module in ("watchfiles", "ai_edge_litert"):
        pytest.importorskip(module, reason=f"{module} is not installed: --watch is not tested")
    photos, drawn = tmp_path / "photos", draw_gallery(tmp_path / "drawn", 3)["photo"]
    photos.mkdir()
    command = [sys.executable, "search.py", "--watch", str(photos), "--gallery", str(tmp_path / "g")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            assert process.stderr.readline() == f"warning: --add {photos}: no pictures in this folder\n"
            (drawn / "disc").rename(photos / "disc")
            assert re.fullmatch(rf"{photos}: 3 added, 0 kept, 0 replaced or gone\n", process.stdout.readline())
            (drawn / "bar/bar_0.jpg").replace(photos / "disc/disc_0.jpg")
            assert process.stdout.readline() == f"{photos}: 1 added, 2 kept, 1 replaced or gone\n"
            (photos / "disc/disc_1.jpg").unlink()
            assert process.stdout.readline() == f"{photos}: 0 added, 2 kept, 1 replaced or gone\n"
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=60) == ("stopped\n", "") and process.returncode == 0
        finally:
            process.kill()
    paths = Table.existing(tmp_path / "g").paths("photo")
    assert sorted(paths) == [str(photos / f"disc/disc_{number}.jpg") for number in (0, 2)]
