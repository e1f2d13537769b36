"""How much may be sent, and how much work may wait."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from starlette.exceptions import HTTPException

from zscmr.datasets.pictures import read_header
from zscmr.utils.errors import BadInput
from zscmr.utils.processes import cores

FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}


@dataclass(frozen=True)
class Limits:
    """What one request, and all of them together, may take."""

    body: int = 2**24  # bytes of a picture that is sent
    json: int = 2**12  # bytes of a JSON body
    pixels: int = 25_000_000  # of a picture that is sent; decoding may need 12 bytes for each
    head_seconds: float = 10  # for the head of a request to arrive, also of the next one on a connection
    body_seconds: float = 10  # for a body to arrive
    request_seconds: float = 120  # for all of a request
    waiting: int = 64  # pieces of work that run or wait
    connections: int = 256  # at once
    top: int = 1000  # nearest pictures of an answer
    zipped: int = 200  # pictures of a zip
    thumbnails: int = 2**25  # bytes that stay in memory


LIMITS = Limits()


async def read_body(request, most, seconds):
    """The body of a request, of at most `most` bytes, that arrives within `seconds`. Raises HTTPException."""
    length = request.headers.get("content-length", "0")
    if len(length) > 12 or int(length) > most:  # the protocol has checked that it is a number
        raise HTTPException(413, f"body: expected at most {most:,} bytes, received {length[:20]}")
    try:
        return await asyncio.wait_for(_within(request, most), seconds)
    except asyncio.TimeoutError:
        raise HTTPException(408, f"body: not received within {seconds} s", {"Connection": "close"}) from None


async def _within(request, most):
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise HTTPException(413, f"body: expected at most {most:,} bytes", {"Connection": "close"})
    return bytes(body)


def check_picture(body, most):
    """Raise BadInput for bytes that are no PNG, JPEG or WebP picture, HTTPException for one of more pixels than `most`.

    Its header alone is read.
    """
    try:
        kind, (width, height) = read_header(body)
    except OSError as error:
        raise BadInput(error) from error
    if kind not in FORMATS.values():
        raise BadInput(f"picture: expected {', '.join(FORMATS.values())}, received {kind}")
    if width * height > most:
        raise HTTPException(413, f"picture: expected at most {most:,} pixels, received {width} × {height}")


class WorkPool:
    """Work in threads, one for each core; refuses more than `waiting` pieces at once.

    A piece counts until it ends, even if nobody waits for it any more.
    """

    def __init__(self, waiting):
        self._pool = ThreadPoolExecutor(cores(), "work")
        self._pieces, self._most = 0, waiting

    async def do(self, work, *arguments):
        """work(*arguments), awaited. Raises HTTPException 503 where too much waits."""
        if self._pieces >= self._most:
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
