"""What stands before the interface: who may ask, how much may be sent, how much work may wait."""

import asyncio
import hmac
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse

from zscmr.datasets.pictures import read_header
from zscmr.utils.errors import BadInput
from zscmr.utils.processes import cores

LOOPBACK = ("127.0.0.1", "localhost", "::1")
BODY = 2**24  # bytes of a request's body
PIXELS = 25_000_000  # of a picture that is sent, which decoding may need 12 bytes each for
BODY_SECONDS = 10  # for a body to arrive
REQUEST_SECONDS = 120  # for all of a request
WAITING = 64  # pieces of work that run or wait
COOKIE = "zscmr_token"
FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def refusal(status, why, **headers):
    """The one form of an error answer."""
    return JSONResponse({"error": why}, status, headers)


class Guard:
    """ASGI middleware that lets requests of the server's own page, and of programs, pass.

    A browser sends a page's requests on behalf of whoever wrote the page. So `Origin` has to be the server itself, and
    without a token `Host` a loopback name: a page whose own name was made to point here (DNS rebinding) fails both.
    With a token no name is refused, since a foreign page does not know the token; `open_paths` do without it.
    """

    def __init__(self, app, token=None, open_paths=()):
        self.app, self.token, self.open_paths = app, token, open_paths

    async def __call__(self, scope, receive, send):
        started = False

        async def guarded(message):
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        app = self.refused(scope) or self.app
        try:
            await asyncio.wait_for(app(scope, receive, guarded), REQUEST_SECONDS)
        except asyncio.TimeoutError:
            if not started:
                await refusal(504, f"not answered within {REQUEST_SECONDS} s")(scope, receive, guarded)

    def refused(self, scope):
        """The answer to a request that may not pass, None to one that may."""
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        if self.token is None and _host_name(host) not in LOOPBACK:
            return refusal(403, f"Host: expected {', '.join(LOOPBACK)}, received {host!r}")
        if origin is not None and (_netloc(origin) != host.lower() or not host):
            return refusal(403, f"Origin: expected this server, received {origin!r}")
        # images and scripts of a foreign page have no Origin; to follow a link to the page itself is no such request
        linked = headers.get("sec-fetch-mode") == "navigate" and scope["path"] == "/" and scope["method"] == "GET"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not linked:
            return refusal(403, "Sec-Fetch-Site: a page of another origin asks")
        if self.token is not None and scope["path"] not in self.open_paths and not self._knows_token(scope):
            return refusal(401, "token: missing or wrong", **{"WWW-Authenticate": "Bearer"})
        return None

    def _knows_token(self, scope):
        asked = HTTPConnection(scope)
        scheme, _, word = asked.headers.get("authorization", "").partition(" ")
        words = word if scheme.lower() == "bearer" else "", asked.cookies.get(COOKIE, "")
        return any(same_token(word, self.token) for word in words)


def same_token(one, other):
    """Whether two texts are the same, in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())


def _host_name(host):
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _netloc(origin):
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


async def read_body(request, most=BODY):
    """The body of a request, of at most `most` bytes, that arrives in time."""
    length = request.headers.get("content-length", "0")
    if len(length) > 12 or int(length) > most:  # the protocol has checked that it is a number
        raise HTTPException(413, f"body: expected at most {most:,} bytes, received {length[:20]}")
    try:
        return await asyncio.wait_for(_within(request, most), BODY_SECONDS)
    except asyncio.TimeoutError:
        raise HTTPException(408, f"body: not received within {BODY_SECONDS} s", {"Connection": "close"}) from None


async def _within(request, most):
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise HTTPException(413, f"body: expected at most {most:,} bytes", {"Connection": "close"})
    return bytes(body)


def check_picture(body):
    """Raise BadInput for bytes that are no PNG, JPEG or WebP picture of at most `PIXELS`, by their header alone."""
    try:
        kind, (width, height) = read_header(body)
    except OSError as error:
        raise BadInput(error) from error
    if kind not in FORMATS.values():
        raise BadInput(f"picture: expected {', '.join(FORMATS.values())}, received {kind}")
    if width * height > PIXELS:
        raise HTTPException(413, f"picture: expected at most {PIXELS:,} pixels, received {width} × {height}")


class Desk:
    """Does work in threads, a few pieces at a time; refuses more than `WAITING` pieces at once.

    A piece counts until it ends, even if nobody waits for it any more.
    """

    def __init__(self):
        self._pool = ThreadPoolExecutor(cores(), "work")
        self._pieces = 0

    async def do(self, work, *arguments):
        """work(*arguments), awaited. Raises HTTPException 503 where too much waits."""
        if self._pieces >= WAITING:
            raise HTTPException(503, f"busy: {self._pieces} requests wait already", {"Retry-After": "1"})
        self._pieces += 1
        loop, future = asyncio.get_running_loop(), self._pool.submit(work, *arguments)
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._done))
        return await asyncio.wrap_future(future)

    def _done(self):
        self._pieces -= 1

    def close(self):
        """Wait for what runs, drop what waits."""
        self._pool.shutdown(cancel_futures=True)
