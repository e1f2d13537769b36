"""Filters: the mask of pictures in memory, and the condition of the table."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from zscmr.retrieval.filters import EVERYTHING, Filter, inside, quoted
from zscmr.retrieval.schema import Pictures

PATHS = ("/a/ant/1.jpg", "/a/bee/2.jpg", "/ab/ant/3.jpg", "")
CLASSES = ("Fire Ant", "bee", "Fire Ant", "bee")
UNSEEN = (True, False, True, False)
TAKEN = ("2024-06-30T23:59:59", "2024-07-01T00:00:00", "NaT", "2023-01-01T12:00:00")
JUNE, JULY = date(2024, 6, 30), date(2024, 7, 1)


@pytest.fixture
def pictures():
    texts = (np.array(column, object) for column in (PATHS, PATHS, CLASSES))
    taken = np.array(TAKEN, "M8[s]")
    return Pictures(np.arange(4).astype(str), *texts, np.array(UNSEEN), np.eye(4, dtype=np.float32), taken=taken)


@pytest.mark.parametrize(
    ("filters", "rows"),
    [
        (Filter(), [0, 1, 2, 3]),
        (Filter(classes=("fire_ant",)), [0, 2]),
        (Filter(classes=("BEE", "fire-ant")), [0, 1, 2, 3]),
        (Filter(folder="/a"), [0, 1]),  # not /ab
        (Filter(folder="/a/ant/"), [0]),
        (Filter(unseen=False), [1, 3]),
        (Filter(("bee",), "/a", False), [1]),
        (Filter(("bee",), "/a", True), []),
        (Filter(until=JUNE), [0, 3]),
        (Filter(since=JULY), [1]),
        (Filter(since=JUNE, until=JUNE), [0]),
    ],
)
def test_masks(pictures, filters, rows):
    assert np.flatnonzero(filters.mask(pictures)).tolist() == rows


def test_what_the_gallery_lacks_is_named(pictures, refused):
    assert refused(Filter(classes=("cow",)).mask, pictures) == "the gallery has no class 'cow'"
    assert refused(Filter(folder="/b").mask, pictures) == "folder: no picture of '/b' in the gallery"
    assert refused(Filter(classes=("cow",)).condition, "photo", CLASSES) == "the gallery has no class 'cow'"


def test_conditions():
    names = ("Fire Ant", "Cow's")
    assert EVERYTHING.condition("photo", ()) == "modality = 'photo'"
    filters = Filter(("cow's", "fire_ant"), "s3://photos/a", True)
    classes, folder = "class IN ('Cow''s', 'Fire Ant')", "starts_with(path, 's3://photos/a/')"
    assert filters.condition("sketch", names) == f"modality = 'sketch' AND {classes} AND {folder} AND unseen"
    assert Filter(unseen=False).condition("photo", ()).endswith("AND NOT unseen")
    dates = Filter(since=JUNE, until=JULY)
    sides = "CAST(taken AS DATE) >= date '2024-06-30' AND CAST(taken AS DATE) <= date '2024-07-01'"
    assert dates.condition("photo", ()) == f"modality = 'photo' AND {sides}"


def test_a_gallery_without_dates_has_none_in_a_range(pictures):
    dates = Filter(since=JUNE)
    assert not dates.mask(replace(pictures, taken=None)).any()
    assert dates.condition("photo", (), dated=False) == "modality = 'photo' AND false"


def test_a_filter_of_nothing_is_false():
    assert not Filter() and Filter(unseen=False) and Filter(folder="")


def test_folders_and_quotes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert inside(Path("photos")) == f"{tmp_path.resolve()}/photos/"
    assert inside("/") == "/" and inside("gs://a/b//") == "gs://a/b/"
    assert quoted("it's") == "'it''s'"
