"""Following a folder."""

import os
import sys
import threading

import pytest

from zscmr.retrieval.watching import changes, may_matter


@pytest.fixture
def follow(tmp_path):
    """A generator of the changes of `tmp_path`, which ends with the test."""
    pytest.importorskip("watchfiles", reason="watchfiles is not installed: following a folder is not tested")
    stopped = threading.Event()
    yield changes(tmp_path, stopped)
    stopped.set()


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "new.JPG").write_text("x"),
        lambda folder: (folder / "in/old.png").unlink(),
        lambda folder: (folder / "in/old.png").write_text("y"),
        lambda folder: (folder / "in").rename(folder / "other"),
        lambda folder: os.replace(folder / "notes.txt", folder / "notes.gif"),
    ],
)
def test_what_may_change_the_gallery_is_told(tmp_path, follow, change):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/old.png").write_text("x")
    (tmp_path / "notes.txt").write_text("x")
    next(follow)  # at once
    change(tmp_path)
    next(follow)


def test_other_files_do_not_matter(tmp_path):
    (tmp_path / "2024.06").mkdir()
    for name in ("one.jpg", "notes.txt", ".hidden.jpg"):
        (tmp_path / name).write_text("x")
    matter = [name for name in sorted(os.listdir(tmp_path)) if may_matter(None, str(tmp_path / name))]
    assert matter == ["2024.06", "one.jpg"]
    assert may_matter(None, str(tmp_path / "gone")) and not may_matter(None, str(tmp_path / ".gone"))


def test_it_ends_when_stopped(tmp_path):
    pytest.importorskip("watchfiles", reason="watchfiles is not installed: following a folder is not tested")
    stopped = threading.Event()
    steps = changes(tmp_path, stopped)
    next(steps)
    stopped.set()
    assert list(steps) == []


def test_what_is_no_folder_is_refused(tmp_path, refused):
    pytest.importorskip("watchfiles", reason="watchfiles is not installed: following a folder is not tested")
    for folder in (tmp_path / "none", __file__):
        message = refused(list, changes(folder, threading.Event()))
        assert message == f"--watch {folder}: expected a folder of this machine"


def test_without_its_package_there_is_a_line(tmp_path, refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    message = refused(list, changes(tmp_path, threading.Event()))
    assert message.startswith("--watch: watchfiles is not installed: python -m pip install -r requirements-watch.txt")
