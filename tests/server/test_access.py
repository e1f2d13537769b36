"""Who may ask: this server's own page, and whoever knows the token."""

import threading

import pytest

pytest.importorskip("uvicorn", reason="uvicorn is not installed: the server is not tested")
pytest_plugins = ("helpers.toy_server",)

from zscmr.server.access import FORM_SCRIPT, FORWARD, same_token  # noqa: E402

TOKEN = "correct-horse_battery"
PNG = {"Content-Type": "image/png"}
CROSS_SITE = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}


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
    assert server.ask("GET", "/", headers=CROSS_SITE)[0] == 200
    assert server.ask("POST", "/", headers=CROSS_SITE)[0] == 403


def every_path(server):
    """(method, path) of all that the server has, and of what it has not."""
    picture = server.searcher.table.pictures("photo").ids[0]
    files = (
        "app.js",
        "api.js",
        "manifest.webmanifest",
        "icon-192.png",
        "drawing.js",
        "results.js",
        "style.css",
        "icon.svg",
        "index.html",
        "none.js",
    )
    pictures = [f"/{route}/{picture}" for route in ("picture", "thumbnail", "preview", "details")]
    pages = ("/", "/phone", "/favicon.ico", "/classes", "/health", "/openapi.json", "/zip", "/nothing", *pictures)
    paths = [*pages, *(f"/static/{file}" for file in files), "/search", "/add", "/picture/0", "/static", "//", "*"]
    return [(method, path) for path in paths for method in ("GET", "HEAD", "POST", "OPTIONS")]


WRONG = [
    {},
    {"Authorization": "Bearer wrong"},
    {"Authorization": TOKEN},
    {"Authorization": f"Basic {TOKEN}"},
    {"Authorization": f"Bearer {TOKEN[:-1]}"},
    {"Authorization": f"Bearer {TOKEN}x"},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer \xe9"},
    {"Cookie": "zscmr_token_{port}=é"},
    {"Cookie": "zscmr_token_{port}="},
    {"Cookie": f"zscmr_token={TOKEN}"},
    {"Cookie": f"zscmr_token_1={TOKEN}"},  # of a server on another port
    {"X-Forwarded-For": "127.0.0.1", "X-Token": TOKEN},
]


def test_nothing_is_answered_without_the_token(serve, sketch):
    server = serve(token=TOKEN, may_add=True)
    routes = {route.path.partition("{")[0] for route in server.server.config.app.app.routes}
    assert all(any(path.startswith(route) for _, path in every_path(server)) for route in routes)
    for wrong in WRONG:
        headers = {**PNG, **{name: value.format(port=server.port).encode() for name, value in wrong.items()}}
        for method, path in every_path(server):
            status, answered, content = server.ask(method, path, sketch if method == "POST" else None, headers)
            assert status == 401, (method, path, wrong)
            assert content == (b"" if method == "HEAD" else b'{"error":"%s"}' % FAULT)
            assert answered["WWW-Authenticate"] == "Bearer" and answered["Set-Cookie"] is None


FAULT = b"token: missing or wrong; the server printed the address that has it"


def test_a_token_in_the_address_is_taken_for_the_page_alone(serve):
    server = serve(token=TOKEN)
    for path in ("/classes", "/health", "/static/app.js", "//"):
        assert server.ask("GET", f"{path}?token={TOKEN}")[0] == 401
    for method in ("POST", "HEAD", "PUT"):
        assert server.ask(method, f"/?token={TOKEN}")[0] == 401
    for wrong in ("", "wrong", f"{TOKEN}x", "%E9", "%00", f"wrong&token=%20{TOKEN}"):
        status, headers, _ = server.ask("GET", f"/?token={wrong}")
        assert (status, headers["Set-Cookie"]) == (401, None)


def test_a_token_becomes_a_cookie_that_opens(serve, sketch):
    server = serve(token=TOKEN)
    status, headers, content = server.ask("GET", f"/?token={TOKEN}")
    assert (status, content.decode()) == (200, FORWARD) and TOKEN not in FORWARD
    name, _, rest = headers["Set-Cookie"].partition("=")
    assert name == f"zscmr_token_{server.port}"
    assert {part.strip().lower() for part in rest.split(";")} == {
        *(TOKEN, "httponly", "path=/", "samesite=strict", "max-age=2592000")
    }
    cookie = {"Cookie": f"other=1; {name}={TOKEN}"}
    for headers in ({"Authorization": f"Bearer {TOKEN}"}, {"Authorization": f"bearer {TOKEN}"}, cookie):
        for path in ("/", "/classes", "/static/app.js", "/favicon.ico"):
            assert server.ask("GET", path, headers=headers)[0] == 200
        assert server.ask("POST", "/search", sketch, {**PNG, **headers})[0] == 200
    tunnel = {"Host": "photos.example:9000", "Cookie": f"zscmr_token_9000={TOKEN}"}
    assert server.ask("GET", "/classes", headers=tunnel)[0] == 200
    assert server.ask("GET", "/classes", headers={**tunnel, "Host": "photos.example"})[0] == 401


def test_a_link_elsewhere_leads_to_the_page_with_its_cookie(serve):
    """The browser sends the cookie only once a page of the server asks; the first answer has nothing else in it."""
    server = serve(token=TOKEN)
    status, _, content = server.ask("GET", "/", headers=CROSS_SITE)
    assert (status, content.decode()) == (401, FORWARD)
    assert server.ask("GET", f"/?token={TOKEN}", headers=CROSS_SITE)[0] == 200
    assert server.ask("GET", "/classes", headers=CROSS_SITE)[0] == 403


def test_a_browser_without_the_token_is_asked_for_it(serve):
    """On the page's address alone; the form has nothing of the page in it and runs no script but its own."""
    server, accepts = serve(token=TOKEN), {"Accept": "text/html,application/xhtml+xml"}
    for path, fault in (("/", False), ("/?token=wrong", True), ("/?token=%3Cscript%3E", True)):
        status, headers, content = server.ask("GET", path, headers=accepts)
        assert (status, headers["Set-Cookie"], headers["Cache-Control"]) == (401, None, "no-store")
        assert b"<form>" in content and b"Draw" not in content
        assert content.count(b"<script>") == 1 and f"<script>{FORM_SCRIPT}</script>".encode() in content
        assert (b"This is not the token" in content) == fault
        assert "default-src 'none'" in headers["Content-Security-Policy"] and headers["WWW-Authenticate"] == "Bearer"
    for method, path in (("GET", "/classes"), ("GET", "//"), ("POST", "/"), ("GET", "/index.html")):
        assert server.ask(method, path, headers=accepts)[1]["Content-Type"] == "application/json"


def test_other_pages_are_refused_with_the_token_too(serve):
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for foreign in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        assert serve(token=TOKEN).ask("GET", "/classes", headers={**headers, **foreign})[0] == 403


def test_tokens_are_compared_whole():
    assert same_token(TOKEN, TOKEN) and not same_token(TOKEN, TOKEN.upper()) and not same_token("", TOKEN)


def test_a_request_that_takes_too_long_is_given_up(serve):
    server, go = serve(request_seconds=0.3), threading.Event()
    server.searcher.counts = lambda *_: go.wait(30)
    assert server.json("GET", "/classes", status=504) == {"error": "not answered within 0.3 s"}
    go.set()
