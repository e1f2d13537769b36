"""What a hostile page, a hostile client, or too many clients can do: nothing but be refused."""

import http.client
import io
import itertools
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor, as_completed

import pytest
from helpers.project import ROOT, posix
from PIL import Image

pytest.importorskip("uvicorn", reason="uvicorn is not installed: the server is not tested")
pytest_plugins = ("helpers.toy_server",)

from zscmr.server import guards, serving  # noqa: E402

TOKEN = "correct-horse_battery"
PNG = {"Content-Type": "image/png"}
HOST = b"Host: localhost\r\n"
POST = b"POST /search HTTP/1.1\r\n" + HOST


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil.example", "192.168.1.7", "", "["],
)
def test_a_name_that_was_made_to_point_here_is_refused(server, host):
    """DNS rebinding: to the browser the page and this server are of one origin, so `Host` alone tells."""
    for method, path, body in (("GET", "/", None), ("GET", "/classes", None), ("POST", "/search", b"x")):
        status, _, content = server.ask(method, path, body, {**PNG, "Host": host.format(port=server.port)})
        assert status in (400, 403) and b"photo" not in content


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "LOCALHOST", "[::1]:{port}", "127.0.0.1:9"])
def test_this_machine_s_own_names_are_served(server, host):
    """Any port: a tunnel has another."""
    assert server.ask("GET", "/classes", headers={"Host": host.format(port=server.port)})[0] == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://127.0.0.1:{port}"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://127.0.0.1:9"}, 403),
        ({"Origin": "http://localhost:{port}"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "http://["}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 403),
    ],
)
def test_requests_of_other_pages_are_refused(server, headers, status):
    headers = {name: value.format(port=server.port) for name, value in headers.items()}
    picture = server.searcher.table.pictures("photo").ids[0]
    for path in ("/classes", f"/thumbnail/{picture}"):
        received, answered, _ = server.ask("GET", path, headers=headers)
        assert received == status
        assert "Access-Control-Allow-Origin" not in answered
        assert answered["Cross-Origin-Resource-Policy"] == "same-origin"


def test_a_link_elsewhere_leads_to_the_page(server):
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert server.ask("GET", "/", headers=headers)[0] == 200
    assert server.ask("POST", "/", headers=headers)[0] == 403


def test_a_token_opens(serve, sketch):
    server = serve(token=TOKEN)
    picture = server.searcher.table.pictures("photo").ids[0]
    for path in ("/classes", "/health", f"/picture/{picture}", f"/thumbnail/{picture}", "/nothing"):
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}, {"Cookie": "zscmr_token=é"}):
            assert server.ask("GET", path, headers=headers)[0] == 401
    assert server.search(sketch, status=401) == {"error": "token: missing or wrong"}
    assert server.ask("GET", "/?token=wrong")[1]["Set-Cookie"] is None
    status, headers, _ = server.ask("GET", f"/?token={TOKEN}")
    cookie = headers["Set-Cookie"]
    assert (status, headers["Location"]) == (303, "/")
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie
    for headers in ({"Authorization": f"Bearer {TOKEN}"}, {"Cookie": cookie.split(";")[0]}):
        assert server.ask("GET", "/classes", headers={**headers, "Host": "photos.example"})[0] == 200
    # the page itself holds no secret: a link to it, which comes without the cookie, works
    assert server.ask("GET", "/")[0] == server.ask("GET", "/static/app.js")[0] == 200


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ({"host": "0.0.0.0"}, "--host 0.0.0.0: others can reach this address; it needs a --token"),
        ({"token": "short"}, "--token: expected at least 12 letters, digits, _ or -"),
        ({"token": "with spaces in it"}, "--token: expected at least 12"),
    ],
)
def test_an_open_address_needs_a_token(refused, address, why):
    assert refused(serving.Address, **address).startswith(why)


def test_an_address_that_cannot_be_had_is_said(server, refused):
    assert refused(serving.Address(port=server.port).bind).startswith(f"--port {server.port}: ")
    assert refused(serving.Address("192.0.2.1", 0, TOKEN).bind).startswith("--host 192.0.2.1: ")
    with serving.Address("0.0.0.0", 0, TOKEN).bind() as listener:
        assert serving.Address("0.0.0.0", 0, TOKEN).url(listener).endswith(f"/?token={TOKEN}")


def test_too_much_waiting_work_is_refused(serve, sketch, monkeypatch):
    """Of WAITING + 5 searches at once, 5 get 503 while the others wait; then all of these are answered."""
    monkeypatch.setattr(guards, "WAITING", 8)
    server, go = serve(), threading.Event()
    search = server.searcher.search
    monkeypatch.setattr(server.searcher, "search", lambda *words, **more: go.wait(30) and search(*words, **more))
    with ThreadPoolExecutor(13) as pool:
        answers = [pool.submit(server.ask, "POST", "/search", sketch, PNG) for _ in range(13)]
        for done in itertools.islice(as_completed(answers), 5):
            status, headers, content = done.result()
            assert (status, headers["Retry-After"]) == (503, "1")
            assert json.loads(content) == {"error": "busy: 8 requests wait already"}
        go.set()
        assert sorted(answer.result()[0] for answer in answers) == [200] * 8 + [503] * 5
    assert server.search(sketch)["found"]


def test_slow_senders_are_closed(serve, sketch, monkeypatch):
    monkeypatch.setattr(guards, "BODY_SECONDS", 0.3)
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.3)
    server = serve()
    head = (
        f"POST /search HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: {len(sketch)}\r\n\r\n"
    )
    with_body = exchange(server, head.encode() + sketch[:50])
    assert with_body.startswith(b"HTTP/1.1 408 ") and b'{"error":"body: not received within 0.3 s"}' in with_body
    assert exchange(server, b"") == b""
    assert exchange(server, b"GET / HTTP/1.1\r\nHost: loc") == b""
    # a second request on a connection that has been answered
    first = exchange(server, b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\nGET /health HT")
    assert first.startswith(b"HTTP/1.1 200 ") and first.count(b"HTTP/1.1") == 1
    assert server.search(sketch)["found"]


def test_a_request_that_takes_too_long_is_given_up(serve, monkeypatch):
    monkeypatch.setattr(guards, "REQUEST_SECONDS", 0.3)
    server, go = serve(), threading.Event()
    monkeypatch.setattr(server.searcher, "view", lambda *_: go.wait(30))
    assert server.json("GET", "/classes", status=504) == {"error": "not answered within 0.3 s"}
    go.set()


def exchange(server, sent):
    """What the server sends until it closes the connection, after `sent` and then silence."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        try:
            connection.sendall(sent)
            return b"".join(iter(lambda: connection.recv(65536), b""))
        except ConnectionError:  # closed while it was sent to
            return b""


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width, height, *chunks, colours=0):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colours, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def bombs():
    """Small bodies that promise, or decode to, much."""
    zeros = zlib.compress(bytes(2**25), 9)
    yield png(2**31 - 1, 2**31 - 1, chunk(b"IDAT", zeros))
    yield png(60_000, 60_000, chunk(b"IDAT", zeros))
    yield png(100, 100, chunk(b"zTXt", b"comment\0\0" + zeros), chunk(b"IDAT", zeros))
    yield png(100, 100, chunk(b"iCCP", b"icc\0\0" + zeros), chunk(b"IDAT", zlib.compress(bytes(10100))))
    yield png(100, 100, chunk(b"IDAT", zeros))
    yield png(5000, 5000, chunk(b"IDAT", zlib.compress(b"")))
    yield (
        b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"
        + b"\xff\xc2\0\x0b\x08\xff\xff\xff\xff\1\1\x11\0"
        + b"\xff\xda" * 1000
    )
    yield b"RIFF\xff\xff\xff\x7fWEBPVP8X\x0a\0\0\0\x10\0\0\0\xff\xff\xff\xff\xff\xff"
    yield b"RIFF\x1e\0\0\0WEBPVP8L\x11\0\0\0\x2f\xff\xff\xff\xff" + bytes(12)


def damaged(sketch, draw):
    """Pictures cut, or with bytes changed."""
    for name in ("PNG", "JPEG", "WEBP"):
        file = io.BytesIO()
        Image.open(io.BytesIO(sketch)).convert("RGB").save(file, name)
        whole = file.getvalue()
        for _ in range(40):
            body = bytearray(whole[: draw.randrange(len(whole))] if draw.random() < 0.5 else whole)
            for _ in range(draw.randrange(4)):
                if body:
                    body[draw.randrange(len(body))] = draw.randrange(256)
            yield bytes(body)


def paths(secret, picture):
    """Ways to a file beside the gallery."""
    up = (
        "../",
        "..%2f",
        "%2e%2e/",
        "..\\",
        "%2e%2e%5c",
        "....//",
        "..%252f",
        "..%c0%af",
        "/",
        "//",
        "%00",
        "./../",
        "file:///",
    )
    places = "picture", "thumbnail", "static", ""
    for place, step, many in itertools.product(places, up, (1, 3, 9)):
        yield f"/{place}/{step * many}{secret.relative_to('/')}"
    for place in ("picture", "thumbnail"):
        yield from (
            f"/{place}/{picture}{end}" for end in ("%00", "/..", "/../../static/app.js", "?x=/etc/passwd", "%0a", ".")
        )
    yield from (
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static",
        "/static/",
        "*",
        "http://evil.example/",
    )


def raw_requests(draw):
    """What is hardly HTTP."""
    get = b"GET /health HTTP/1.1\r\n"
    kind = b"Content-Type: image/png\r\n"
    yield get + HOST + b"X: " + b"a" * 200_000 + b"\r\n\r\n"
    yield get + HOST + b"".join(b"X-%d: a\r\n" % number for number in range(20_000)) + b"\r\n"
    yield b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n"
    yield get + HOST + HOST + b"\r\n"
    yield get + b"\r\n"
    yield b"GET /health HTTP/1.0\r\n\r\n"
    yield POST + kind + b"Content-Length: -1\r\n\r\n"
    yield POST + kind + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n"
    yield POST + kind + b"Content-Length: 9999999999\r\n\r\nx"
    yield POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n"
    yield POST + kind + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"
    yield POST + kind + b"Transfer-Encoding: chunked\r\n\r\n" + 300 * (b"10000\r\n" + bytes(65536) + b"\r\n")
    yield b"GET / HTTP/1.1\r\n" + HOST + b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    yield b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    yield b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + bytes(40)
    yield get + HOST + b"Range: bytes=" + b"0-," * 10_000 + b"0-\r\n\r\n"
    for _ in range(60):
        yield bytes(draw.randrange(256) for _ in range(draw.randrange(1, 300))) + b"\r\n\r\n"


def test_five_hundred_hostile_requests(serve, sketch, folders, monkeypatch, tmp_path):
    """Every one is answered or closed, none with a file beside the gallery, and the server goes on."""
    monkeypatch.setattr(guards, "BODY_SECONDS", 0.5)
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.5)
    secret = tmp_path / "beside.txt"
    secret.write_text("this lies beside the gallery")
    Image.new("RGB", (8, 8), "red").save(tmp_path / "beside.png")
    server, draw = serve(), random.Random(0)
    picture = str(server.searcher.table.pictures("photo").ids[0])
    good = server.ask("GET", f"/picture/{picture}")[2]
    beside = secret, tmp_path / "beside.png"
    secrets = [file.read_bytes() for file in (*beside, ROOT / "zscmr/server/app.py")] + [b"root:"]
    kinds = ["image/png", "image/jpeg", "image/webp", "application/json", "text/html", "*/*"]
    requests = [("POST", "/search?top=999", body, PNG) for body in (*bombs(), *damaged(sketch, draw))]
    noise = [draw.randbytes(draw.randrange(400)) for _ in range(80)]
    requests += [("POST", "/search", body, {"Content-Type": draw.choice(kinds)}) for body in noise]
    requests += [("GET", path, None, {}) for file in beside for path in paths(file, picture)]
    wrong = [{"like": value} for value in (None, 7, [], {}, "", "\0", str(secret), f"../{picture}", picture * 400)]
    requests += [("POST", "/search", json.dumps(one), {"Content-Type": "application/json"}) for one in wrong]
    requests += [(method, "/search", b"x", PNG) for method in ("PUT", "DELETE", "TRACE", "OPTIONS", "CONNECT", "PATCH")]

    def ask(request):
        try:
            return server.ask(*request)
        except (http.client.HTTPException, ConnectionError, ValueError):  # closed, or not even sent
            return None

    raw = list(raw_requests(draw))
    assert len(requests) + len(raw) > 500
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, requests))
        texts = list(pool.map(lambda sent: exchange(server, sent), raw))
    for request, answer in zip(requests, answers, strict=True):
        if answer is None:
            continue
        status, headers, content = answer
        assert status < 500, (request[:2], content)
        assert content == good or not any(one in content for one in secrets), request[:2]
        assert status < 400 or headers["Content-Type"] == "application/json", (request[:2], content)
    assert not any(one in text for text in texts for one in secrets)
    assert not any(text.startswith(b"HTTP/1.1 5") for text in texts)
    assert server.search(sketch)["found"] and server.thread.is_alive()


IN_FLIGHT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from helpers.toy_shapes import toy_searcher
from zscmr.server.serving import Address, serve
searcher = toy_searcher({{"photo": Path({photos!r})}})
search = searcher.search
def slow(*words, **more):
    print("searching", flush=True)
    Path({go!r}).open().read()  # a pipe: waits for who writes
    return search(*words, **more)
searcher.search = slow
serve(searcher, Address(port=0), browser=False)
"""


@posix
def test_ctrl_c_ends_it_and_requests_in_flight_are_answered(folders, sketch, tmp_path):
    os.mkfifo(tmp_path / "go")
    words = IN_FLIGHT.format(tests=str(ROOT / "tests"), photos=str(folders["photo"]), go=str(tmp_path / "go"))
    process = subprocess.Popen(
        [sys.executable, "-c", words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    port = int(process.stdout.readline().split(":")[2].split("/")[0])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/search?top=3", sketch, PNG)
    assert process.stdout.readline() == "searching\n"
    process.send_signal(signal.SIGINT)
    (tmp_path / "go").write_text("on")
    answer = connection.getresponse()
    assert answer.status == 200 and len(json.loads(answer.read())["found"]) == 3
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "stopped\n", "")
