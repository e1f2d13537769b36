"""Connections to other processes."""

import socket


def reach(address, seconds=10):
    """Raise OSError unless something listens at HOST:PORT, ValueError if that is no address."""
    host, _, port = address.rpartition(":")
    socket.create_connection((host, int(port)), timeout=seconds).close()
