"""Folders that were added are recorded with their times, each once, and forgotten with the folders in them."""

import pytest

from zscmr.retrieval.additions import Addition, forget_additions, note_addition, read_additions

lancedb = pytest.importorskip("lancedb", reason="LanceDB is not installed: galleries are not tested")


def test_the_first_and_the_last_time_are_kept(tmp_path):
    connection = lancedb.connect(tmp_path)
    assert read_additions(connection) == []
    for folder, modality, now in (("/b", "photo", 1000), ("/a", "photo", 1500), ("/b", "photo", 2000.4)):
        note_addition(connection, folder, modality, now)
    note_addition(connection, "/b", "sketch", 3000)
    assert read_additions(lancedb.connect(tmp_path)) == [
        Addition("/a", "photo", 1500, 1500),
        Addition("/b", "photo", 1000, 2000),
        Addition("/b", "sketch", 3000, 3000),
    ]


def test_a_folder_is_forgotten_with_those_in_it(tmp_path):
    """Names that only begin alike stay, and quotes in a name are no SQL."""
    connection = lancedb.connect(tmp_path)
    forget_additions(connection, "/a")
    for folder in ("/a", "/a/b", "/ab", "/it's"):
        note_addition(connection, folder, "photo", 1)
    forget_additions(connection, "/a")
    assert [addition.folder for addition in read_additions(connection)] == ["/ab", "/it's"]
    forget_additions(connection, "/it's")
    assert [addition.folder for addition in read_additions(connection)] == ["/ab"]
