"""Names in every script are drawn without a word of Matplotlib."""

import logging
import warnings

import numpy as np
import pytest
from helpers.toy_features import command_line, features_file

from zscmr.reports import fonts, grid

NAMES = ["猫头鹰", "esc\x1b[31m", "cost $5 $", "\udcff", "😀️", "שלום", "عربى", "e\u0301cole", "a\u202eb", "two\nlines"]


@pytest.fixture
def quiet(caplog, recwarn):
    """Whether neither a warning nor a log line came of what the test does."""
    caplog.set_level(logging.INFO)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        yield
    assert not caplog.records and not [each for each in recwarn if issubclass(each.category, UserWarning)]


def test_what_no_font_has_is_a_box():
    assert fonts.legible("cat é ☃") == "cat é ☃"
    assert fonts.legible("a\x1b\x00\udcff\ue123b\nc") == "a□□□□b\nc"
    assert fonts.legible("a\u202e\u200bb\u3000c") == "ab c"
    assert fonts.families("cat") == [fonts.families("")[0]]


def test_a_family_that_has_the_letter_is_taken(monkeypatch):
    letters = {"Plain": set(map(ord, "cat□")), "Cat Sans": set(map(ord, "猫"))}
    monkeypatch.setattr(fonts, "_default", lambda: "Plain")
    monkeypatch.setattr(fonts, "_families", lambda: dict.fromkeys(letters))
    monkeypatch.setattr(fonts, "_letters", letters.get)
    fonts._family_of.cache_clear()
    try:
        assert fonts.legible("cat猫犬") == "cat猫□"
        assert fonts.families("cat猫") == ["Plain", "Cat Sans"]
    finally:
        fonts._family_of.cache_clear()


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_grid_of_such_names(name, tmp_path, quiet):
    cells = grid.framed_pictures([name, name], [None, None], notes=[name, "0.1"])
    line = grid.Line(name, grid.FramedPicture(None, name, name), cells)
    grid.picture_grid(tmp_path / "g.png", name, f"told of {name}", [line], leaked=name)
    assert (tmp_path / "g.png").stat().st_size > 1000


def test_all_figures_of_an_evaluation(tmp_path, quiet):
    names = {"classes": ["ant", "猫 $x$ $", "cow", "犬\x1b[1m"], "namesx": None, "namesy": None}
    features_file(tmp_path / "f.mat", **names, leaked="網 saw $ all", labelsy=np.repeat(np.arange(4), 3))
    command_line(tmp_path / "f.mat", "--figures", tmp_path / "out", "--bootstrap", "0")
    assert len(list((tmp_path / "out").glob("*.png"))) == 5
