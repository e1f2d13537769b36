"""Folders of the user on each system."""

from pathlib import Path

import pytest

from zscmr.utils.folders import data_folder, expanded


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


def test_data_folder_is_that_of_the_system(home):
    chosen = {"XDG_DATA_HOME": str(home / "xdg"), "LOCALAPPDATA": str(home / "local")}
    assert data_folder("linux", chosen) == home / "xdg" and data_folder("win32", chosen) == home / "local"
    assert data_folder("linux", {}) == data_folder("linux", {"XDG_DATA_HOME": "relative"}) == home / ".local/share"
    assert data_folder("darwin", chosen) == home / "Library/Application Support"
    assert data_folder("win32", {}) == home / "AppData/Local"


def test_home_is_expanded_in_paths_and_texts_alone(home):
    assert expanded("~/a") == str(home / "a") and expanded(Path("~/a")) == home / "a"
    assert expanded("s3://~/a") == "s3://~/a" and expanded("~nobody-of-this-name/a") == "~nobody-of-this-name/a"
    assert expanded("a~") == "a~"
