"""Who may ask: the server's own page, and programs that know the token."""

import asyncio
import base64
import hashlib
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
    "img-src 'self' blob:; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# Forwards to the page, with the drawing that the address holds. A redirect would not do: browsers send a
# SameSite=Strict cookie only with requests that a page of this server starts, and a redirect counts for the link, or
# the local file, that led to it.
FORWARD_SCRIPT = 'location.replace("/" + location.hash)'
FORWARD = f"""<!doctype html><meta charset="utf-8"><title>Draw and find</title>
<noscript><meta http-equiv="refresh" content="0; url=/"></noscript><script>{FORWARD_SCRIPT}</script>"""

COOKIE_SECONDS = 30 * 24 * 3600  # a page on a phone's home screen opens again after the phone has closed it
# Asks for the token, and sends it as in the printed address. Its style is in it: without the token nothing else comes.
FORM_SCRIPT = "document.forms[0].action = location.hash"  # kept by the address that the form leads to
TOKEN_FORM = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>Token</title>
<style>body { font: 16px/1.5 system-ui, sans-serif; max-width: 26rem; margin: 12vh auto; padding: 0 1rem }
input, button { font: inherit; padding: .5rem; width: 100%; box-sizing: border-box; margin-top: .5rem }</style>
<main><h1>Token</h1><form><label>FAULTThe token that the server printed, behind <code>token=</code>
<input name="token" required autofocus autocomplete="off" autocapitalize="none" spellcheck="false"></label>
<button>Open the page</button></form></main><script>SCRIPT</script></html>""".replace("SCRIPT", FORM_SCRIPT)


def _only(script, others=""):
    """The header for a page that runs this script and no other."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; script-src 'sha256-{digest}'; {others}base-uri 'none'; frame-ancestors 'none'"
    return {"Content-Security-Policy": policy}


FORWARD_POLICY = _only(FORWARD_SCRIPT, "form-action 'none'; ")
FORM_POLICY = _only(FORM_SCRIPT, "style-src 'unsafe-inline'; form-action 'self'; ")


def error_response(status, why, **headers):
    """The JSON answer of an error."""
    return JSONResponse({"error": why}, status, headers)


class Guard:
    """ASGI middleware that refuses requests without the token, and those of other pages.

    `Origin`, where there is one, has to be the server itself. Without a token `Host` has to be a loopback name: a page
    whose name resolves to this machine (DNS rebinding) has another. With a token any name passes, since a foreign page
    does not know the token. Nothing is answered without it, neither pictures nor the page nor its scripts: one rule
    without exceptions is easier to keep than a list of harmless files.

    Args:
        app: the ASGI application behind it.
        token: what a request has to bring; None: requests of this machine pass.
        seconds: for all of a request.
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

        headers = [pair for pair in scope["headers"] if pair[0] != b"range"]  # files are sent whole
        scope = {**scope, "headers": headers}
        app = self._own_answer(HTTPConnection(scope)) or self.app
        try:
            await asyncio.wait_for(app(scope, receive, guarded), self.seconds)
        except asyncio.TimeoutError:
            if not started:
                await error_response(504, f"not answered within {self.seconds} s")(scope, receive, guarded)

    def _own_answer(self, request):
        """Refuse a request, or forward one whose address has the token to the page; None for one that may pass."""
        headers, path = request.headers, request.scope["path"]
        host, origin = headers.get("host", ""), headers.get("origin")
        if self.token is None and _host_name(host) not in LOOPBACK:
            return error_response(403, f"Host: expected {', '.join(LOOPBACK)}, received {host!r}")
        if origin is not None and (_netloc(origin) != host.lower() or not host):
            return error_response(403, f"Origin: expected this server, received {origin!r}")
        # Requests for images and scripts of a foreign page have no Origin. Following a link to the page is allowed.
        foreign = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        opens_page = path == "/" and request.scope["method"] == "GET"
        linked = foreign and opens_page and headers.get("sec-fetch-mode") == "navigate"
        if foreign and not linked:
            return error_response(403, "Sec-Fetch-Site: a page of another origin asks")
        if self.token is None:
            return None
        if opens_page and same_token(request.query_params.get("token", ""), self.token):
            return self._entrance(request)
        if _knows(request, self.token):
            return None
        if linked:  # the browser sends the cookie with the next request
            return HTMLResponse(FORWARD, 401, FORWARD_POLICY)
        if opens_page and "text/html" in headers.get("accept", ""):
            return _token_form("token" in request.query_params)
        return error_response(401, TOKEN_FAULT, **{"WWW-Authenticate": "Bearer"})

    def _entrance(self, request):
        """Set the token as a cookie, and forward to an address without it."""
        answer = HTMLResponse(FORWARD, headers=FORWARD_POLICY)
        secure = request.scope["scheme"] == "https"
        name, about = cookie_name(request.headers), {"max_age": COOKIE_SECONDS, "httponly": True}
        answer.set_cookie(name, self.token, **about, samesite="strict", secure=secure)
        return answer


def _token_form(wrong):
    """The answer that asks a person for the token; `wrong`: the one that was sent is another."""
    fault = "<strong>This is not the token.</strong> " if wrong else ""
    headers = {"WWW-Authenticate": "Bearer", **FORM_POLICY}
    return HTMLResponse(TOKEN_FORM.replace("FAULT", fault), 401, headers)


def same_token(one, other):
    """Whether two texts are equal, compared in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())


def cookie_name(headers):
    """Name of the cookie, with the port in it, because browsers share cookies among the ports of a host.

    The port is that of `Host`: through a tunnel the browser sees another one than the server's.
    """
    try:
        port = urlsplit(f"//{headers.get('host', '')}").port
    except ValueError:
        port = None
    return f"zscmr_token_{port or 80}"


def _knows(request, token):
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    received = bearer if scheme.lower() == "bearer" else "", request.cookies.get(cookie_name(request.headers), "")
    return any(same_token(text, token) for text in received)


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
