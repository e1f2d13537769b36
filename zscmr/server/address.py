"""Where the server listens, and the token that whoever asks has to know."""

import errno
import os
import re
import secrets
import socket
from dataclasses import dataclass, field

from zscmr.utils.errors import BadInput

LOOPBACK = ("127.0.0.1", "localhost", "::1")
VARIABLE = "ZSCMR_TOKEN"  # of the environment, which other users cannot read
FORM = re.compile(r"[\w-]{12,}", re.ASCII)


def new_token():
    """192 random bits as 32 letters, digits, - or _."""
    return secrets.token_urlsafe(24)


def choose_token(token=None, no_token=False, environment=os.environ):
    """`token`, or that of ZSCMR_TOKEN, or a new one; None with `no_token`. Raises BadInput for a token too short."""
    if no_token and token is not None:
        raise BadInput("--token and --no-token exclude each other")
    if no_token:
        return None
    name, given = ("--token", token) if token is not None else (VARIABLE, environment.get(VARIABLE) or None)
    if given is None:
        return new_token()
    if not FORM.fullmatch(given):
        raise BadInput(f"{name}: expected at least 12 letters, digits, _ or -")
    return given


@dataclass(frozen=True)
class Address:
    """Where the server listens, and who may ask. Raises BadInput for an open address without a token."""

    host: str = LOOPBACK[0]
    port: int = 8000  # 0: any that is free
    token: str | None = field(default_factory=new_token, repr=False)  # None: whoever reaches the address may ask

    def __post_init__(self):
        if self.token is None and self.host not in LOOPBACK:
            raise BadInput(f"--host {self.host}: others can reach this address; it needs a token, not --no-token")

    def bind(self):
        """A listening socket. Raises BadInput for an address that cannot be had."""
        try:
            family, kind, protocol, _, target = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)[0]
            listener = socket.socket(family, kind, protocol)
        except (OSError, UnicodeError) as error:  # a label of a name that is too long
            raise BadInput(f"--host {self.host}: {getattr(error, 'strerror', None) or 'no such name'}") from error
        if os.name == "posix":  # elsewhere it would let two servers share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(target)
            listener.listen()
        except OSError as error:
            listener.close()
            fault = f"--port {self.port}" if error.errno in (errno.EADDRINUSE, errno.EACCES) else f"--host {self.host}"
            raise BadInput(f"{fault}: {error.strerror}; another one may do") from error
        return listener

    def url(self, listener):
        """Of the page, with the token."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{listener.getsockname()[1]}/" + (f"?token={self.token}" if self.token else "")
