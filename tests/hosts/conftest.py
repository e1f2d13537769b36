"""Fixture: several hosts on this machine."""

import contextlib

import pytest
from helpers.hosts import Hosts, why_not


@pytest.fixture
def hosts():
    """Lays out hosts of the names given; skips without the rights."""
    if reason := why_not():
        pytest.skip(f"{reason}: no test of several hosts")
    with contextlib.ExitStack() as stack:
        yield lambda *names: stack.enter_context(Hosts(*names))
