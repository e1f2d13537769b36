"""How much may be sent, and how much work may wait."""

import io
import itertools
import json
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed

import pytest
from PIL import Image

pytest.importorskip("uvicorn", reason="uvicorn is not installed: the server is not tested")
pytest_plugins = ("helpers.toy_server",)
PNG = {"Content-Type": "image/png"}


def test_too_much_waiting_work_is_refused(serve, sketch):
    """Of 8 + 5 searches at once, 5 get 503 while the others wait; then all of these are answered."""
    server, go = serve(waiting=8), threading.Event()
    search = server.searcher.search_vectors
    server.searcher.search_vectors = lambda *given, **more: go.wait(30) and search(*given, **more)
    with ThreadPoolExecutor(13) as pool:
        answers = [pool.submit(server.ask, "POST", "/search", sketch, PNG) for _ in range(13)]
        for done in itertools.islice(as_completed(answers), 5):
            status, headers, content = done.result()
            assert (status, headers["Retry-After"]) == (503, "1")
            assert json.loads(content) == {"error": "busy: 8 requests wait already"}
        go.set()
        assert sorted(answer.result()[0] for answer in answers) == [200] * 8 + [503] * 5
    assert server.search(sketch)["found"]


def test_gif_and_large_pictures_are_refused_by_their_header(serve):
    server = serve(pixels=9999)
    for kind, side, status, why in (
        ("GIF", 10, 400, "picture: expected PNG, JPEG, WEBP, received GIF"),
        ("PNG", 100, 413, "picture: expected at most 9,999 pixels, received 100 × 100"),
    ):
        file = io.BytesIO()
        Image.new("L", (side, side)).save(file, kind)
        assert server.search(file.getvalue(), status=status) == {"error": why}
