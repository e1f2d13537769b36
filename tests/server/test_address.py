"""Where the server listens, and the token that is asked for."""

import re
import socket

import pytest

from zscmr.server import address
from zscmr.server.address import Address, choose_token

TOKEN = "correct-horse_battery"


def test_a_token_is_made_unless_one_is_given():
    made = {choose_token(environment={}) for _ in range(20)}
    assert len(made) == 20 and all(re.fullmatch(r"[\w-]{32}", token) for token in made)
    assert len({Address().token for _ in range(20)}) == 20
    environment = {"ZSCMR_TOKEN": TOKEN}
    assert choose_token(environment=environment) == TOKEN
    assert choose_token("another-good-one", environment=environment) == "another-good-one"
    assert choose_token(no_token=True, environment=environment) is None
    assert choose_token(environment={"ZSCMR_TOKEN": ""}) is not None


@pytest.mark.parametrize(
    "token", ["", "short", "with spaces in it", "nonascii-é-token", "a;b=c;d=e;f=g", "line-line\n12"]
)
def test_tokens_that_are_none_are_refused(refused, token):
    expected = "expected at least 12 letters, digits, _ or -"
    assert refused(choose_token, token) == f"--token: {expected}"
    if token:
        assert refused(choose_token, environment={"ZSCMR_TOKEN": token}) == f"ZSCMR_TOKEN: {expected}"


def test_token_and_no_token_exclude_each_other(refused):
    assert refused(choose_token, TOKEN, no_token=True) == "--token and --no-token exclude each other"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
def test_an_open_address_needs_a_token(refused, host):
    assert refused(Address, host, 0, None).startswith(f"--host {host}: others can reach this address; it needs a token")
    assert Address(host).token


def test_the_address_has_the_token():
    with Address(port=0, token=TOKEN).bind() as listener:
        port = listener.getsockname()[1]
        assert Address(token=TOKEN).url(listener) == f"http://127.0.0.1:{port}/?token={TOKEN}"
        assert Address(token=None).url(listener) == f"http://127.0.0.1:{port}/"
        assert Address("::1", token=None).url(listener) == f"http://[::1]:{port}/"
    assert TOKEN not in repr(Address(token=TOKEN))


def test_the_address_of_an_open_server_is_that_in_the_network(monkeypatch):
    """For a browser of this machine it stays local, where browsers allow pages more."""
    monkeypatch.setattr(address, "network_name", lambda family: "192.168.1.7")
    everywhere = Address("0.0.0.0", 0, TOKEN)
    with everywhere.bind() as listener:
        port = listener.getsockname()[1]
        assert everywhere.url(listener) == f"http://192.168.1.7:{port}/?token={TOKEN}"
        assert everywhere.url(listener, here=True) == f"http://localhost:{port}/?token={TOKEN}"
        assert Address("192.168.1.9", 0, TOKEN).url(listener) == f"http://192.168.1.9:{port}/?token={TOKEN}"
    assert everywhere.is_open and Address("", 0).is_open and not Address().is_open


def test_the_name_in_the_network_is_a_name(monkeypatch):
    """An address of this machine, or without a network the machine's name."""
    assert socket.getaddrinfo(address.network_name(socket.AF_INET), 80)

    monkeypatch.setattr(address.socket, "socket", lambda *_: Unconnected())
    assert address.network_name(socket.AF_INET6) == socket.gethostname()


class Unconnected:
    """A socket of a machine without a network."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def connect(self, where):
        raise OSError("Network is unreachable")


def test_an_address_that_cannot_be_had_is_said(refused):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert refused(Address(port=port).bind).startswith(f"--port {port}: ")
    for host in ("192.0.2.1", "a" * 80, "no.such.name.invalid"):
        assert refused(Address(host, 0).bind).startswith(f"--host {host}: ")
