"""Names of modules before 0.2 import the modules that they became."""

import importlib
import sys

import pytest

from zscmr.utils import moved


@pytest.mark.parametrize("old", moved.MOVED)
def test_old_name_is_the_module_that_it_became(old, monkeypatch):
    monkeypatch.delitem(sys.modules, f"zscmr.{old}", raising=False)
    with pytest.warns(DeprecationWarning, match=rf"^zscmr\.{old} is zscmr\.{moved.MOVED[old]} now$"):
        module = importlib.import_module(f"zscmr.{old}")
    assert module is importlib.import_module(f"zscmr.{moved.MOVED[old]}")


def test_other_names_are_not_there():
    with pytest.raises(ModuleNotFoundError, match=r"zscmr\.nonsense"):
        importlib.import_module("zscmr.nonsense")


def test_finder_is_installed_once():
    moved.install()
    assert sum(isinstance(finder, moved.Finder) for finder in sys.meta_path) == 1
