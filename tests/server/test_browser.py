"""How the page is opened: no token in a command line, which all users of the machine can read."""

import stat
import threading
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from helpers.project import posix

from zscmr.server.browser import opened

URL = "http://127.0.0.1:8000/?token=correct-horse_battery"


class Browser:
    """Notes what it is called with."""

    def __init__(self):
        self.url, self.called = None, threading.Event()

    def __call__(self, url):
        self.url = url
        self.called.set()


@pytest.fixture
def screen(monkeypatch):
    monkeypatch.setenv("DISPLAY", ":0")


@posix
@pytest.mark.parametrize("snap", [True, False])
def test_a_secret_address_is_handed_over_in_a_file_of_the_owner(screen, tmp_path, monkeypatch, snap):
    monkeypatch.setenv("HOME", str(tmp_path))
    if snap:
        (tmp_path / "snap").mkdir()
    browser = Browser()
    with opened(URL, True, browser):
        assert browser.called.wait(30)
        assert browser.url.startswith("file:///") and "token" not in browser.url
        file = Path(url2pathname(urlsplit(browser.url).path))
        assert stat.S_IMODE(file.stat().st_mode) == 0o600 and f"url={URL}" in file.read_text()
        assert (file.parent == tmp_path) == snap
    assert not file.exists()


def test_an_open_address_is_opened_itself(screen):
    browser = Browser()
    with opened("http://127.0.0.1:8000/", False, browser):
        assert browser.called.wait(30)
    assert browser.url == "http://127.0.0.1:8000/"


def test_without_a_screen_no_browser_is_opened(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    browser = Browser()
    with opened(URL, True, browser):
        assert not browser.called.wait(0.1)
