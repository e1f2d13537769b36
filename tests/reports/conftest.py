"""What `--figures` draws, kept instead of written."""

import contextlib

import pytest
from helpers.toy_features import command_line, features_file

from zscmr.reports import grid, plots
from zscmr.reports import page as report


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """{file name: Figure} of everything that `--figures` draws of a file with these variables."""

    def draw(*flags, **variables):
        kept = {}

        def keep_grid(path, title, subtitle, lines, leaked=""):
            kept.update({path.name: lines, "subtitle": subtitle})
            return 0, 0

        monkeypatch.setattr(plots, "save_figure", lambda figure, path: kept.update({path.name: figure}))
        monkeypatch.setattr(grid, "picture_grid", keep_grid)
        monkeypatch.setattr(report, "whole_file", lambda path: contextlib.nullcontext(tmp_path / "page"))
        monkeypatch.setattr(report, "base64_of", lambda path: "")
        features_file(tmp_path / "f.mat", **variables)
        command_line(tmp_path / "f.mat", "--figures", tmp_path / "out", *flags)
        return kept

    return draw
