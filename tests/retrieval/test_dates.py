"""Dates of pictures: read when they are added, searched by, missing in galleries of earlier versions."""

from dataclasses import replace
from datetime import date
from functools import partial

import numpy as np
import pytest
from helpers.toy_gallery import IDENTITY, ToyEncoder, vector_of
from PIL import Image

from zscmr.retrieval import Filter, Searcher
from zscmr.retrieval import searcher as module
from zscmr.retrieval.table import Table

DAYS = {"a": "2023:12:31 23:59:59", "b": "2024:01:01 00:00:00", "c": None}


@pytest.fixture
def folder(tmp_path):
    for number, (name, taken) in enumerate(DAYS.items()):
        exif = Image.Exif()
        if taken:
            exif.get_ifd(0x8769)[0x9003] = taken  # DateTimeOriginal
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / f"in/{name}.jpg", exif=exif)
    return tmp_path / "in"


def found(searcher, filters):
    (answer,) = searcher.search_vectors(vector_of(b"query")[None], filters=filters)
    return {hit.name[-5]: hit.taken for hit in answer}


@pytest.mark.parametrize("memory", [module.MEMORY, 0])
def test_searches_by_date(tmp_path, folder, memory):
    """In memory, and in the table."""
    table = Table.open(tmp_path / "g", IDENTITY)
    table.update("photo", folder, ToyEncoder())
    searcher = Searcher(table, lambda modality: ToyEncoder(), memory)
    search = partial(found, searcher)
    old, new = {"a": "2023-12-31T23:59:59"}, {"b": "2024-01-01T00:00:00"}
    assert search(Filter()) == {**old, **new, "c": None}
    assert search(Filter(until=date(2023, 12, 31))) == old and search(Filter(since=date(2024, 1, 1))) == new
    assert search(Filter(since=date(2025, 1, 1))) == {}
    assert table.counts("photo").taken == ("2023-12-31", "2024-01-01")
    assert table.count("photo", Filter(since=date(2024, 1, 1))) == 1


@pytest.mark.parametrize("memory", [module.MEMORY, 0])
def test_a_gallery_of_an_earlier_version_has_no_dates(tmp_path, folder, memory):
    Table.open(tmp_path / "g", replace(IDENTITY, dated=False)).update("photo", folder, ToyEncoder())
    table = Table.open(tmp_path / "g", IDENTITY)
    assert not table.identity.dated and table.counts("photo").taken is None
    Image.fromarray(np.full((8, 8, 3), 9, np.uint8)).save(folder / "d.jpg")
    assert table.update("photo", folder, ToyEncoder()).added == 1
    searcher = Searcher(table, lambda modality: ToyEncoder(), memory)
    assert found(searcher, Filter()) == dict.fromkeys("abcd")
    assert found(searcher, Filter(since=date(2000, 1, 1))) == {}
