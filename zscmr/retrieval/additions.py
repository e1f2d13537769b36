"""What was added to a gallery and when: a second table beside that of the pictures."""

import time
from dataclasses import dataclass

from zscmr.retrieval.filters import inside, quoted

TABLE = "additions"
_COLUMNS = ("id", "folder", "modality", "first", "last")


@dataclass(frozen=True)
class Addition:
    """A folder that was added.

    Args:
        folder: absolute path, or URI.
        modality: what its pictures are, "photo" or "sketch".
        first: when it was added for the first time, in seconds since 1970.
        last: when it last changed the gallery.
    """

    folder: str
    modality: str
    first: int
    last: int


def read_additions(connection):
    """[`Addition`] of a LanceDB connection, by folder; none in a gallery of before they were recorded."""
    table = _existing(connection)
    rows = table.search().select(list(_COLUMNS)).to_arrow().to_pylist() if table else []
    return sorted((Addition(*(row[name] for name in _COLUMNS[1:])) for row in rows), key=lambda row: row.folder)


def note_addition(connection, folder, modality, now=None):
    """Record that a folder or URI was added, at `now` seconds since 1970; left out: the time of the call."""
    import pyarrow

    folder, now = str(folder), round(time.time() if now is None else now)
    before = [row for row in read_additions(connection) if (row.folder, row.modality) == (folder, modality)]
    first = before[0].first if before else now
    row = dict(zip(_COLUMNS, (f"{modality}\0{folder}", folder, modality, first, now), strict=True))
    merge = (_existing(connection) or _created(connection)).merge_insert("id")
    merge.when_matched_update_all().when_not_matched_insert_all().execute(pyarrow.Table.from_pylist([row], _schema()))


def forget_additions(connection, folder):
    """Delete the records of a folder and of the folders in it."""
    if table := _existing(connection):
        table.delete(f"folder = {quoted(str(folder))} OR starts_with(folder, {quoted(inside(str(folder)))})")


def _existing(connection):
    try:
        return connection.open_table(TABLE)
    except ValueError as error:
        if "was not found" in str(error):
            return None
        raise


def _created(connection):
    try:
        return connection.create_table(TABLE, schema=_schema())
    except ValueError as error:
        if "already exists" in str(error):  # another process was faster
            return connection.open_table(TABLE)
        raise


def _schema():
    import pyarrow as pa

    key = {"lance-schema:unenforced-primary-key": "true"}  # concurrent commits of the same ids conflict
    texts = [pa.field("id", pa.string(), False, key), *(pa.field(name, pa.string(), False) for name in _COLUMNS[1:3])]
    return pa.schema([*texts, *(pa.field(name, pa.int64(), False) for name in _COLUMNS[3:])])
