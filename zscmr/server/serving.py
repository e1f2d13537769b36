"""Binding to an address and running the interface until Ctrl-C."""

import errno
import os
import re
import socket
import sys
import threading
import webbrowser
from contextlib import suppress
from dataclasses import dataclass

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from zscmr.server.app import Adding, Api, make_app
from zscmr.server.guards import LOOPBACK
from zscmr.utils.console import say
from zscmr.utils.errors import BadInput

HEAD_SECONDS = 10  # for the head of a request to arrive, and for the next one on a connection to begin
CONNECTIONS = 256  # at once
LEAVE_SECONDS = 10  # for requests in flight to end after Ctrl-C
TOKEN = re.compile(r"[\w-]{12,}", re.ASCII)


@dataclass(frozen=True)
class Address:
    """Where the server listens, and who may ask. Raises BadInput for an open address without a token."""

    host: str = LOOPBACK[0]
    port: int = 8000  # 0: any that is free
    token: str | None = None

    def __post_init__(self):
        if self.token is None and self.host not in LOOPBACK:
            raise BadInput(f"--host {self.host}: others can reach this address; it needs a --token")
        if self.token is not None and not TOKEN.fullmatch(self.token):
            raise BadInput("--token: expected at least 12 letters, digits, _ or -")

    def bind(self):
        """A listening socket. Raises BadInput for an address that cannot be had."""
        try:
            family, kind, protocol, _, place = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0]
            listener = socket.socket(family, kind, protocol)
        except OSError as error:
            raise BadInput(f"--host {self.host}: {error.strerror}") from error
        if os.name == "posix":  # elsewhere it would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(place)
            listener.listen()
        except OSError as error:
            listener.close()
            wanted = f"--port {self.port}" if error.errno in (errno.EADDRINUSE, errno.EACCES) else f"--host {self.host}"
            raise BadInput(f"{wanted}: {error.strerror}; another one may do") from error
        return listener

    def url(self, listener):
        """Of the page, with the token."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{listener.getsockname()[1]}/" + (f"?token={self.token}" if self.token else "")


class Connection(H11Protocol):
    """Closes a connection that for `HEAD_SECONDS` has sent no whole request head."""

    deadline = None

    def connection_made(self, transport):
        super().connection_made(transport)
        self._watch()

    def data_received(self, data):
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc):
        super().connection_lost(exc)
        if self.deadline:
            self.deadline.cancel()

    def _watch(self):
        if self.cycle is None or self.cycle.response_complete:
            self.deadline = self.deadline or self.loop.call_later(HEAD_SECONDS, self.transport.abort)
        elif self.deadline:
            self.deadline.cancel()
            self.deadline = None


class Server(uvicorn.Server):
    """Serves an `Api`; `run` ends on Ctrl-C without raising it again."""

    def __init__(self, api):
        config = uvicorn.Config(
            make_app(api),
            http=Connection,
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=HEAD_SECONDS,
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=LEAVE_SECONDS,
        )
        super().__init__(config)

    def run(self, sockets):
        with suppress(KeyboardInterrupt):
            super().run(sockets)


def serve(searcher, address, add=None, may_add=False, browser=True):
    """Serve page and interface until Ctrl-C; requests in flight are answered.

    `add`: (modality, folder) to bring the gallery up to date with meanwhile; `may_add`: whether requests may.
    """
    listener = address.bind()
    api = Api(searcher, Adding(searcher), address.token, may_add)
    server = Server(api)
    say(f"{address.url(listener)} (Ctrl-C ends it)")
    threading.Thread(target=_prepare, args=(searcher,), daemon=True).start()
    if add:
        api.adding.start(*add)
    if browser and _has_screen():
        threading.Thread(target=webbrowser.open, args=(address.url(listener),), daemon=True).start()
    try:
        server.run([listener])
    finally:
        api.close()
    say("stopped")


def _prepare(searcher):
    """Open what the first search needs. What fails here fails there too, and is said there."""
    with suppress(Exception):
        searcher.prepare("photo", "sketch")


def _has_screen():
    """Whether a browser has a window to open; one in the terminal would take it over."""
    return not sys.platform.startswith("linux") or any(map(os.environ.get, ("DISPLAY", "WAYLAND_DISPLAY")))
