"""Whether an address answers."""

import socket

import pytest

from zscmr.utils.sockets import reach


def test_an_address_is_reached_while_something_listens():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"127.0.0.1:{listening.getsockname()[1]}"
        reach(address)
    with pytest.raises(ConnectionRefusedError):
        reach(address, seconds=1)
    with pytest.raises(ValueError):
        reach("127.0.0.1:port")
