"""Running the interface until Ctrl-C."""

from contextlib import nullcontext, suppress
from functools import partial

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from zscmr.server.app import Api, make_app
from zscmr.server.browser import opened
from zscmr.server.qr_code import qr_text, shows_codes
from zscmr.utils.console import say
from zscmr.utils.errors import BadInput

LEAVE_SECONDS = 10  # for requests in flight to end after Ctrl-C


class Connection(H11Protocol):
    """Closes a connection that for `head_seconds` has sent no whole request head."""

    def __init__(self, head_seconds, **of_uvicorn):
        super().__init__(**of_uvicorn)
        self.head_seconds, self.deadline = head_seconds, None

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
            self.deadline = self.deadline or self.loop.call_later(self.head_seconds, self.transport.abort)
        elif self.deadline:
            self.deadline.cancel()
            self.deadline = None


class Server(uvicorn.Server):
    """Serves an `Api` to those who know `token`; `run` ends on Ctrl-C without raising it again."""

    def __init__(self, api, token):
        limits = api.limits
        config = uvicorn.Config(
            make_app(api, token),
            http=partial(Connection, limits.head_seconds),
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=limits.head_seconds,
            limit_concurrency=limits.connections,
            timeout_graceful_shutdown=LEAVE_SECONDS,
        )
        super().__init__(config)

    def run(self, sockets):
        with suppress(KeyboardInterrupt):
            super().run(sockets)


def serve(searcher, address, add=None, may_add=False, browser=True, watch=False):
    """Serve page and interface until Ctrl-C; requests in flight are answered.

    Args:
        searcher: the `Searcher` that answers.
        address: the `Address` to listen on.
        add: (modality, folder, `AddRules`) to bring the gallery up to date with meanwhile, or None.
        may_add: whether requests may add folders.
        browser: whether to open the page in a browser.
        watch: whether to go on following the folder of `add`.
    """
    listener = address.bind()
    url = address.url(listener)
    api = Api(searcher, may_add, open_url=url if address.is_open else None)
    server = Server(api, address.token)
    _prepare(searcher)
    say(f"{url} (Ctrl-C ends it)")
    if address.is_open:
        _show_code(url)
    if add:
        (api.adding.follow if watch else api.adding.start)(*add)
    try:
        here = address.url(listener, here=True)
        with opened(here, secret=address.token is not None) if browser else nullcontext():
            server.run([listener])
    finally:
        api.close()
    say("stopped")


def _show_code(url):
    """Print the address for the camera of a phone, or how to get it so, where there is a terminal."""
    if shows_codes():
        try:
            say(qr_text(url))
        except BadInput as error:
            say(f"no QR code of the address: {error}")


def _prepare(searcher):
    """Open what the first search needs. What fails here fails there too, and is said there."""
    with suppress(Exception):
        searcher.prepare()
