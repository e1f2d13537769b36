"""QR codes of the page's address."""

import io
import itertools
import sys

import numpy as np
import pytest

from zscmr.server.qr_code import qr_svg, qr_text, shows_codes

URL = "http://192.168.1.7:8000/?token=correct-horse_battery_correct-hor"


def test_text_has_the_modules_of_the_code():
    """Two rows a line, light where there is a block, two modules of white around."""
    segno = pytest.importorskip("segno", reason="segno is not installed: QR codes are not tested")
    halves = {" ": (0, 0), "▄": (0, 1), "▀": (1, 0), "█": (1, 1)}
    lines = qr_text(URL).splitlines()
    rows = itertools.chain.from_iterable(zip(*map(halves.get, line), strict=True) for line in lines)
    light = np.array(list(rows))
    dark = np.array([list(row) for row in segno.make(URL, error="l", micro=False).matrix])
    side = len(dark) + 4
    assert light.shape == (side + side % 2, side) and len(lines[0]) < 80
    np.testing.assert_array_equal(light[2 : side - 2, 2:-2], 1 - dark)
    assert light[:2].all() and light[:side, :2].all() and not light[side:].any()
    assert qr_svg(URL).startswith(b"<?xml") and b"<path" in qr_svg(URL)


def test_without_its_package_there_is_a_line(refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "segno", None)
    for make in (qr_svg, qr_text):
        assert refused(make, URL).startswith("segno, which makes QR codes, is not installed: python -m pip install ")


def test_a_file_and_an_old_terminal_get_none():
    class Terminal(io.TextIOWrapper):
        def isatty(self):
            return True

    assert shows_codes(Terminal(io.BytesIO(), "utf-8"))
    assert not shows_codes(Terminal(io.BytesIO(), "cp1252"))
    assert not shows_codes(io.TextIOWrapper(io.BytesIO(), "utf-8"))
