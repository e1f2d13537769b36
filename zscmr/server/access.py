"""Who may ask: the server's own page, and programs that know the token."""

import asyncio
import hmac
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, JSONResponse

from zscmr.server.address import LOOPBACK
from zscmr.server.limits import Limits

TOKEN_FAULT = "token: missing or wrong; the server printed the address that has it"
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# Leads on to the page itself. A redirect would not do: a browser sends a SameSite=Strict cookie only with requests that
# a page of this server began, and neither a link elsewhere nor the file that opens the browser is one.
FORWARD = (
    '<!doctype html><meta charset="utf-8"><title>Draw and find</title><meta http-equiv="refresh" content="0; url=/">'
)


def refusal(status, why, **headers):
    """The one form of an error answer."""
    return JSONResponse({"error": why}, status, headers)


class Guard:
    """ASGI middleware that lets requests of the server's own page, and of programs, pass.

    A browser sends a page's requests on behalf of whoever wrote the page. So `Origin` has to be the server itself, and
    without a token `Host` a loopback name: a page whose own name was made to point here (DNS rebinding) fails both.
    With a token no name is refused, since a foreign page does not know the token, and nothing is answered without it:
    neither pictures nor the page nor its scripts.
    """

    def __init__(self, app, token=None, seconds=Limits.request_seconds):
        self.app, self.token, self.seconds = app, token, seconds

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

        scope = {**scope, "headers": [pair for pair in scope["headers"] if pair[0] != b"range"]}  # all or nothing
        app = self._own_answer(HTTPConnection(scope)) or self.app
        try:
            await asyncio.wait_for(app(scope, receive, guarded), self.seconds)
        except asyncio.TimeoutError:
            if not started:
                await refusal(504, f"not answered within {self.seconds} s")(scope, receive, guarded)

    def _own_answer(self, request):
        """The answer to a request that may not pass, or that brings the token; None to one that passes."""
        headers, path = request.headers, request.scope["path"]
        host, origin = headers.get("host", ""), headers.get("origin")
        if self.token is None and _host_name(host) not in LOOPBACK:
            return refusal(403, f"Host: expected {', '.join(LOOPBACK)}, received {host!r}")
        if origin is not None and (_netloc(origin) != host.lower() or not host):
            return refusal(403, f"Origin: expected this server, received {origin!r}")
        # images and scripts of a foreign page have no Origin; to follow a link to the page itself is no such request
        foreign = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        opens_page = path == "/" and request.scope["method"] == "GET"
        linked = foreign and opens_page and headers.get("sec-fetch-mode") == "navigate"
        if foreign and not linked:
            return refusal(403, "Sec-Fetch-Site: a page of another origin asks")
        if self.token is None:
            return None
        if opens_page and (word := request.query_params.get("token")) and same_token(word, self.token):
            return self._entrance(request)
        if _knows(request, self.token):
            return None
        if linked:  # the browser holds the cookie back until a page of this server asks
            return HTMLResponse(FORWARD, 401)
        return refusal(401, TOKEN_FAULT, **{"WWW-Authenticate": "Bearer"})

    def _entrance(self, request):
        """Makes the token of the address a cookie, and leads to the page under an address without it."""
        answer = HTMLResponse(FORWARD)
        secure = request.scope["scheme"] == "https"
        answer.set_cookie(cookie_name(request.headers), self.token, httponly=True, samesite="strict", secure=secure)
        return answer


def same_token(one, other):
    """Whether two texts are the same, in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode(), other.encode())


def cookie_name(headers):
    """Name of the cookie of a server. Browsers share cookies among the ports of a host, so it has the port in it, the
    one that the browser sees: a tunnel has another than the server."""
    try:
        port = urlsplit(f"//{headers.get('host', '')}").port
    except ValueError:
        port = None
    return f"zscmr_token_{port or 80}"


def _knows(request, token):
    scheme, _, word = request.headers.get("authorization", "").partition(" ")
    words = word if scheme.lower() == "bearer" else "", request.cookies.get(cookie_name(request.headers), "")
    return any(same_token(word, token) for word in words)


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
