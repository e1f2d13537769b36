"""Adding folders while the server answers."""

import shutil
import threading
import time

import pytest

pytest.importorskip("uvicorn", reason="uvicorn is not installed: the server is not tested")
pytest_plugins = ("helpers.toy_server",)

from zscmr.retrieval import Update  # noqa: E402
from zscmr.utils.errors import BadInput  # noqa: E402


class Held:
    """The table's `update` that stands still half-way until it may go on."""

    def __init__(self, update):
        self.update, self.reached, self.go = update, threading.Event(), threading.Event()

    def __call__(self, modality, folder, encoder, progress, rules):
        def held(done, total):
            progress(done, total)
            if done == total // 2:
                self.reached.set()
                assert self.go.wait(30)

        return self.update(modality, folder, encoder, held)


def test_adding_shows_how_far_it_is(serve, folders):
    server = serve(may_add=True)
    held = server.searcher.table.update = Held(server.searcher.table.update)
    body = {"folder": str(folders["photo"]), "gallery": "sketch"}
    assert server.json("POST", "/add", body, 202)["running"]
    assert held.reached.wait(30)
    expected = {"folder": body["folder"], "gallery": "sketch", "done": 12, "total": 24, "running": True}
    assert server.json("GET", "/health")["adding"] == expected
    assert server.json("POST", "/add", body, 409) == {"error": "an addition is running already"}
    held.go.set()
    server.api.adding.wait()
    health = server.json("GET", "/health")
    assert not health["adding"]["running"] and health["version"] == 2
    assert {folder["name"] for folder in server.json("GET", "/classes")["sketch"]["folders"]} == {
        str(folders["photo"] / name) for name in ("bar", "cross", "disc")
    }


def test_adding_ends_with_the_server(serve, folders):
    server = serve(may_add=True)
    held = server.searcher.table.update = Held(server.searcher.table.update)
    server.json("POST", "/add", {"folder": str(folders["photo"])}, 202)
    assert held.reached.wait(30)
    stopper = threading.Thread(target=server.api.adding.stop)
    stopper.start()
    while not server.api.adding._stopped.is_set():
        time.sleep(0.001)
    held.go.set()
    stopper.join()
    assert server.api.adding.state()["error"] == "stopped" and server.searcher.table.version() == 1
    assert not server.api.adding.start("photo", folders["photo"])


def test_a_name_that_is_no_folder_is_refused(serve):
    server = serve(may_add=True)
    for folder in ("no such pictures", "/no/such/folder", "/dev/null", "/a\0b", "/\ud800", "", "~/no such pictures"):
        answer = server.json("POST", "/add", {"folder": folder}, 400)
        assert answer == {"error": f"no such folder: {folder!r}"}


def test_folders_are_named_as_people_type_them(serve, folders, tmp_path, monkeypatch):
    """From `~`, where the server was started, or the home folder, and in quotes; the state has the absolute path."""
    home, started = tmp_path / "home", tmp_path / "started"
    for folder in (home / "holiday", started / "work"):
        folder.mkdir(parents=True)
        shutil.copytree(folders["photo"] / "disc", folder / "disc")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.chdir(started)
    server = serve(may_add=True)
    holiday = home / "holiday"
    names = ("~/holiday", holiday), ("work", started / "work"), ("holiday/", holiday), (f'"{holiday}"', holiday)
    for typed, folder in names:
        assert server.json("POST", "/add", {"folder": typed}, 202)["folder"] == str(folder)
        server.api.adding.wait()
        assert "error" not in server.api.adding.state()


def test_an_addition_that_fails_says_why(serve, folders, capsys):
    def fails(*_, **__):
        raise BadInput(f"--add {folders['photo']}: none of its pictures can be read")

    server = serve(may_add=True)
    server.searcher.table.update = fails
    server.json("POST", "/add", {"folder": str(folders["photo"])}, 202)
    server.api.adding.wait()
    assert server.json("GET", "/health")["adding"]["error"] == "none of its pictures can be read"
    assert "none of its pictures can be read" in capsys.readouterr().err


def test_an_addition_loads_the_gallery_that_searches_need(serve, folders, monkeypatch, sketch):
    server, loaded = serve(may_add=True), []
    pictures = server.searcher.table.pictures
    monkeypatch.setattr(server.searcher.table, "pictures", lambda kind: loaded.append(kind) or pictures(kind))
    (folders["photo"] / "bar/bar_0.jpg").unlink()
    server.json("POST", "/add", {"folder": str(folders["photo"])}, 202)
    server.api.adding.wait()
    assert loaded == ["photo"]
    assert server.search(sketch)["pictures"] == 23 and loaded == ["photo"]


def test_the_terminal_tells_the_end(serve, folders, capsys):
    server = serve(may_add=True)
    server.json("POST", "/add", {"folder": str(folders["photo"])}, 202)
    server.api.adding.wait()
    result = f"{folders['photo']}: 24 added, 0 kept, 24 replaced or gone"
    assert server.json("GET", "/health")["adding"]["result"] == result
    assert result in capsys.readouterr().out


def test_a_folder_that_is_followed_is_told_of_when_it_changes(serve, folders, monkeypatch, capsys):
    """Three steps, of which the second changes nothing."""
    server = serve()
    adding = server.api.adding
    updates = [Update(3, 0, 0), Update(0, 3, 0), Update(0, 2, 1, "1 video")]
    server.searcher.table.update = lambda *_, **__: updates.pop(0)

    def steps(folder, stopped):
        yield from range(3)
        assert stopped.wait(30)

    monkeypatch.setattr("zscmr.server.adding.changes", steps)
    adding.follow("photo", folders["photo"])
    while updates:
        time.sleep(0.001)
    adding.stop()
    lines = [
        f"{folders['photo']}: {counts} replaced or gone" for counts in ("3 added, 0 kept, 0", "0 added, 2 kept, 1")
    ]
    assert capsys.readouterr().out.splitlines() == lines
    assert adding.state()["result"] == f"{lines[1]}; left out: 1 video"


def test_a_folder_that_cannot_be_followed_is_a_warning(serve, tmp_path, capsys):
    pytest.importorskip("watchfiles", reason="watchfiles is not installed: following a folder is not tested")
    adding = serve().api.adding
    adding.follow("photo", tmp_path / "none")
    adding.stop()
    assert capsys.readouterr().err == f"warning: --watch {tmp_path / 'none'}: expected a folder of this machine\n"
