"""Where the server listens, and the token that whoever asks has to know."""

import errno
import os
import re
import secrets
import socket
from dataclasses import dataclass, field

from zscmr.utils.errors import BadInput

LOOPBACK = ("127.0.0.1", "localhost", "::1")
EVERY = ("0.0.0.0", "::", "")  # all addresses of this machine
_ELSEWHERE = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}  # addresses that nobody has
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


def network_name(family):
    """This machine's address in its network, of an address family of `socket`, or its name. Sends nothing."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((_ELSEWHERE[family], 9))  # of a datagram socket: looks up the way out alone
            return probe.getsockname()[0]
        except OSError:  # no network
            return socket.gethostname()


@dataclass(frozen=True)
class Address:
    """Where the server listens, and who may ask. Raises BadInput for an open address without a token."""

    host: str = LOOPBACK[0]
    port: int = 8000  # 0: any that is free
    token: str | None = field(default_factory=new_token, repr=False)  # None: whoever reaches the address may ask

    def __post_init__(self):
        if self.token is None and self.is_open:
            raise BadInput(f"--host {self.host}: others can reach this address; it needs a token, not --no-token")

    @property
    def is_open(self):
        """Whether other machines reach it."""
        return self.host not in LOOPBACK

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

    def url(self, listener, here=False):
        """Of the page, with the token; of all addresses that of the network, or with `here` that for this machine."""
        host = self.host
        if host in EVERY:
            host = "localhost" if here else network_name(listener.family)
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{listener.getsockname()[1]}/" + (f"?token={self.token}" if self.token else "")
