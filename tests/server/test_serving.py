"""The server as a whole: hostile and slow clients are refused, the browser is opened, Ctrl-C ends it."""

import contextlib
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
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from helpers.project import ROOT, posix
from helpers.toy_shapes import toy_searcher
from PIL import Image

pytest.importorskip("uvicorn", reason="uvicorn is not installed: the server is not tested")
pytest_plugins = ("helpers.toy_server",)

from zscmr.server import serving  # noqa: E402
from zscmr.server.address import Address  # noqa: E402
from zscmr.server.qr_code import qr_svg, qr_text  # noqa: E402

TOKEN = "correct-horse_battery"
PNG = {"Content-Type": "image/png"}
HOST = b"Host: localhost\r\n"
POST = b"POST /search HTTP/1.1\r\n" + HOST


def test_slow_senders_are_closed(serve, sketch):
    server = serve(body_seconds=0.3, head_seconds=0.3)
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
        content = file.getvalue()
        for _ in range(40):
            body = bytearray(content[: draw.randrange(len(content))] if draw.random() < 0.5 else content)
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
    starts = "picture", "thumbnail", "preview", "static", ""
    for start, step, many in itertools.product(starts, up, (1, 3, 9)):
        yield f"/{start}/{step * many}{secret.relative_to('/')}"
    for start in ("picture", "thumbnail", "preview"):
        yield from (
            f"/{start}/{picture}{end}" for end in ("%00", "/..", "/../../static/app.js", "?x=/etc/passwd", "%0a", ".")
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


HEADERS = [
    {"Range": "bytes=0-3"},
    {"Range": "bytes=-1, 5-2, 9999999999999999999999-"},
    {"Range": "lines=0-3", "If-Range": "x"},
    {"If-None-Match": "*", "If-Modified-Since": "now"},
    {"Accept-Encoding": "gzip;q=9, *"},
    {"Accept": "text/html", "Accept-Language": "x" * 5000},
    {"Authorization": "Bearer \xff\xfe"},
    {"Authorization": "Negotiate " + "A" * 3000},
    {"Cookie": "; ".join(f"a{number}=b" for number in range(300))},
    {"Cookie": 'zscmr_token_80="\\777\\000"; =; ;;'},
    {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "X-Original-URL": "/health"},
    {"X-HTTP-Method-Override": "DELETE", "Forwarded": "for=127.0.0.1"},
    {"Host": "localhost:99999999"},
    {"Host": "[::1"},
    {"Host": "localhost@evil.example"},
    {"Origin": "http://[", "Referer": "\xff"},
    {"Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings", "HTTP2-Settings": "AAMAAABkAAQAAP__"},
    {"Expect": "100-continue"},
    {"Expect": "the-unexpected"},
    {"Content-Encoding": "gzip"},
    {"Transfer-Encoding": "gzip, chunked"},
    {"Sec-Fetch-Site": "\x00", "Sec-Fetch-Mode": "navigate"},
]
QUERIES = [
    "class=%00",
    "class=%ED%A0%80",
    "folder=%27 OR 1=1 --",
    "folder=%FF",
    "top=1e3",
    "=&=&&",
    "a=b;c=d",
    "top[]=1",
]
QUERIES += [
    "class=" + "a" * 5000,
    "&".join(["class=disc"] * 500),
    "%",
    "%zz",
    "kind=\u00e9",
    "token=x&token=y",
    "top=٣",
]


def hostile_requests(draw, sketch, picture, files):
    """(method, path, body, headers) of requests that an HTTP client can send."""
    kinds = ["image/png", "image/jpeg", "image/webp", "application/json", "text/html", "*/*"]
    yield from (("POST", "/search?top=999", body, PNG) for body in (*bombs(), *damaged(sketch, draw)))
    noise = [draw.randbytes(draw.randrange(400)) for _ in range(80)]
    yield from (("POST", "/search", body, {"Content-Type": draw.choice(kinds)}) for body in noise)
    yield from (("GET", path, None, {}) for file in files for path in paths(file, picture))
    wrong = [None, 7, [], {}, "", "\0", "\ud800", "' OR ''='", str(files[0]), f"../{picture}", picture * 400]
    for name, path in (("like", "/search"), ("folder", "/add")):
        yield from (("POST", path, json.dumps({name: value}), {"Content-Type": "application/json"}) for value in wrong)
    for method in ("PUT", "DELETE", "TRACE", "OPTIONS", "CONNECT", "PATCH", "get", "PROPFIND"):
        yield from ((method, path, b"x", PNG) for path in ("/search", "/", f"/picture/{picture}", "/static/app.js"))
    for headers in HEADERS:
        yield from (("GET", path, None, headers) for path in ("/", "/health", f"/picture/{picture}", "/static/app.js"))
        yield "POST", "/search?top=1", sketch, {**PNG, **headers}
    yield from (("POST", f"/search?{query}", sketch, PNG) for query in QUERIES)
    yield from (("GET", f"/?{query}", None, {}) for query in QUERIES)


@pytest.mark.parametrize(
    ("token", "sent"),
    [
        pytest.param(None, {}, marks=pytest.mark.slow),
        (TOKEN, {}),
        pytest.param(TOKEN, {"Authorization": f"Bearer {TOKEN}"}, marks=pytest.mark.slow),
    ],
    ids=["no token asked for", "no token sent", "token sent"],
)
def test_hundreds_of_hostile_requests(serve, sketch, folders, tmp_path, token, sent):
    """Every one is answered or closed, none with a file beside the gallery or without the token; the server goes on."""
    secret = tmp_path / "beside.txt"
    secret.write_text("this lies beside the gallery")
    Image.new("RGB", (8, 8), "red").save(tmp_path / "beside.png")
    files, draw = (secret, tmp_path / "beside.png"), random.Random(0)
    secrets = [file.read_bytes() for file in (*files, ROOT / "zscmr/server/app.py")] + [b"root:"]
    server = serve(token=token, may_add=True, body_seconds=0.5, head_seconds=0.5)
    picture = str(server.searcher.table.pictures("photo").ids[0])
    good = (folders["photo"] / "bar/bar_0.jpg").read_bytes()

    def ask(request):
        method, path, body, headers = request
        try:
            return server.ask(method, path, body, {**sent, **headers})
        except (http.client.HTTPException, ConnectionError, ValueError):  # closed, or not even sent
            return None

    requests = list(hostile_requests(draw, sketch, picture, files))
    lines = b"".join(f"{name}: {value}\r\n".encode() for name, value in sent.items())
    raw = [text.replace(HOST, HOST + lines, 1) for text in raw_requests(draw)]
    assert len(requests) + len(raw) > 500
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, requests))
        texts = list(pool.map(lambda text: exchange(server, text), raw))
    known = token is None or bool(sent)
    for request, answer in zip(requests, answers, strict=True):
        if answer is None:
            continue
        status, headers, content = answer
        assert status < 500, (request[:2], content)
        assert content == good or not any(one in content for one in secrets), request[:2]
        said = content == b"Invalid HTTP request received." or headers["Content-Type"] == "application/json"
        said |= not known and b"<form>" in content  # to a browser, on the page's address
        assert status < 400 or said, (request, content)
        assert known or (status in (400, 401, 403) and b"Draw" not in content), (request, content)
    for text in texts:
        assert not any(one in text for one in secrets) and not text.startswith(b"HTTP/1.1 5")
        assert known or b" 200 " not in text.partition(b"\r\n")[0]
    own = {"Authorization": f"Bearer {TOKEN}"}
    assert server.ask("POST", "/search", sketch, {**PNG, **own})[0] == 200 and server.thread.is_alive()
    assert server.api.adding.state() is None


IN_FLIGHT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from helpers.toy_shapes import toy_searcher
from zscmr.server.address import Address
from zscmr.server.serving import serve
searcher = toy_searcher({{"photo": Path({photos!r})}})
search = searcher.search_vectors
def slow(*words, **more):
    print("searching", flush=True)
    Path({go!r}).open().read()  # a pipe: waits for who writes
    return search(*words, **more)
searcher.search_vectors = slow
serve(searcher, Address(port=0), browser={browser})
"""


@contextlib.contextmanager
def started(folders, tmp_path, browser=False, **environment):
    """A process that serves `folders`, and the address that it prints."""
    os.mkfifo(tmp_path / "go")
    words = {"tests": str(ROOT / "tests"), "photos": str(folders["photo"]), "go": str(tmp_path / "go")}
    command = [sys.executable, "-c", IN_FLIGHT.format(**words, browser=browser)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, **pipes) as process:
        try:
            yield process, urlsplit(process.stdout.readline().split()[0])
        finally:
            process.kill()


@posix
def test_ctrl_c_ends_it_and_requests_in_flight_are_answered(folders, sketch, tmp_path):
    with started(folders, tmp_path) as (process, address):
        connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=30)
        connection.request("POST", "/search?top=3", sketch, PNG)
        answer = connection.getresponse()
        assert answer.status == 401 and answer.read()
        sent = {"Authorization": f"Bearer {address.query.removeprefix('token=')}"}
        connection.request("POST", "/search?top=3", sketch, {**PNG, **sent})
        assert process.stdout.readline() == "searching\n"
        process.send_signal(signal.SIGINT)
        (tmp_path / "go").write_text("on")
        answer = connection.getresponse()
        assert answer.status == 200 and len(json.loads(answer.read())["found"]) == 3
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, "stopped\n", "")


@posix
def test_the_browser_is_opened_without_the_token_in_its_command_line(folders, tmp_path):
    """The one in BROWSER; it is given a file that goes away with the server."""
    os.mkfifo(tmp_path / "opened")
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/opened\n')
    browser.chmod(0o700)
    environment = {"BROWSER": f"{browser} %s", "DISPLAY": ":0", "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    with started(folders, tmp_path, browser=True, **environment) as (process, address):
        opened = (tmp_path / "opened").read_text().strip()
        file = Path(urlsplit(opened).path)
        assert opened.startswith("file:///") and address.query and address.query not in opened
        assert address.geturl() in file.read_text() and file.stat().st_mode & 0o77 == 0
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0 and not file.exists()


def test_an_open_server_shows_its_code_on_a_terminal(folders, monkeypatch, capsys):
    """Of the address that it prints; the interface gives the same one. Not where only this machine reaches it."""
    pytest.importorskip("segno", reason="segno is not installed: QR codes are not tested")
    served = []
    monkeypatch.setattr(serving, "shows_codes", lambda: True)
    monkeypatch.setattr(serving.Server, "run", lambda server, sockets: served.append(server.config.app.app))
    for host in ("0.0.0.0", "127.0.0.1"):
        serving.serve(toy_searcher(folders), Address(host, 0, TOKEN), browser=False)
        address, *code = capsys.readouterr().out.split("\n", 1)
        url = address.split()[0]
        assert (qr_text(url) in code[0]) == (host == "0.0.0.0")
    monkeypatch.setitem(sys.modules, "segno", None)
    serving.serve(toy_searcher(folders), Address("0.0.0.0", 0, TOKEN), browser=False)
    assert "no QR code of the address: segno, which makes QR codes, is not installed: " in capsys.readouterr().out


def test_the_code_is_of_an_open_server_alone(serve):
    server = serve()
    assert server.json("GET", "/phone", status=404)["error"].startswith("only this machine reaches the server")
    pytest.importorskip("segno", reason="segno is not installed: QR codes are not tested")
    server.api.open_url = "http://192.168.1.7:8000/?token=correct-horse_battery"
    status, headers, content = server.ask("GET", "/phone")
    assert (status, headers["Content-Type"], content) == (200, "image/svg+xml", qr_svg(server.api.open_url))
    assert headers["Cache-Control"] == "no-store"
