"""Fixtures: a server over the toy gallery. A test module takes them with `pytest_plugins`."""

import contextlib
import dataclasses
import http.client
import json
import shutil
import threading

import pytest

from helpers.toy_shapes import draw_gallery, toy_searcher
from zscmr.server.address import Address
from zscmr.server.app import Api
from zscmr.server.limits import LIMITS
from zscmr.server.serving import Server


class Running:
    """A server in a thread, asked over a real connection."""

    def __init__(self, searcher, token=None, may_add=False, **limits):
        self.searcher, address = searcher, Address(port=0, token=token)
        self.api = Api(searcher, may_add, dataclasses.replace(LIMITS, **limits))
        self.listener = address.bind()
        self.port = self.listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.address = address.url(self.listener)
        self.server = Server(self.api, token)
        self.thread = threading.Thread(target=self.server.run, args=([self.listener],))

    def ask(self, method, path, body=None, headers=None):
        """(status, headers, body) of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def json(self, method, path, body=None, status=200, **headers):
        """The JSON of an answer, which has to have this status; a dict as `body` is sent as JSON."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, dict):
            body, headers = json.dumps(body), {"Content-Type": "application/json", **headers}
        received, _, content = self.ask(method, path, body, headers)
        assert received == status, (method, path, received, content[:300])
        return json.loads(content)

    def search(self, picture, query="", status=200):
        return self.json("POST", f"/search?{query}", picture, status, content_type="image/png")


@contextlib.contextmanager
def running(searcher, **more):
    server = Running(searcher, **more)
    server.thread.start()
    try:
        yield server
    finally:
        server.server.should_exit = True
        server.thread.join()
        server.api.close()


@pytest.fixture(scope="session")
def drawn(tmp_path_factory):
    """The folders of a gallery that tests leave as they are."""
    return draw_gallery(tmp_path_factory.mktemp("gallery"))


@pytest.fixture(scope="session")
def server(drawn):
    """A `Running` over `drawn`, whose gallery tests leave as it is."""
    with running(toy_searcher(drawn)) as one:
        yield one


@pytest.fixture
def folders(drawn, tmp_path):
    """A copy of the gallery's folders, to be changed."""
    return {name: shutil.copytree(folder, tmp_path / name) for name, folder in drawn.items()}


@pytest.fixture
def serve(folders):
    """serve(token=…, may_add=…, body_seconds=…): a `Running` over `folders`, ended with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda **more: stack.enter_context(running(toy_searcher(folders), **more))


@pytest.fixture(scope="session")
def sketch(drawn):
    """The bytes of a PNG."""
    return (drawn["sketch"] / "disc/disc_3.png").read_bytes()
