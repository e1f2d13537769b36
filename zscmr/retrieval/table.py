"""A gallery that grows: pictures and their embeddings in a LanceDB table, in a folder or at a URI.

Each change is one commit of LanceDB: a process that is killed leaves the version before. The id of a picture is the
table's primary key, so that of two writers who bring the same picture one row stays.
"""

import os
import re
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from zscmr.evaluation.distances import PAIR_BYTES
from zscmr.formats.dataset_directory import MODALITIES
from zscmr.inference.windows import NONE
from zscmr.retrieval import updates
from zscmr.retrieval.additions import forget_additions, note_addition, read_additions
from zscmr.retrieval.filters import EVERYTHING, Filter, quoted
from zscmr.retrieval.schema import (
    PICTURE_COLUMNS,
    UNMANAGED,
    Counts,
    File,
    StoredPicture,
    checked_identity,
    colours_field,
    columns_of,
    packed_colours,
    picture_id,
    pictures_of,
    schema_of,
    vectors_of,
)
from zscmr.retrieval.thumbnails import KeptThumbnails
from zscmr.retrieval.updates import BLOCK, DEFAULT_RULES
from zscmr.utils.errors import BadInput, first_line
from zscmr.utils.files import is_uri
from zscmr.utils.processes import missing

TABLE = "pictures"
_BATCH = 2**14  # rows read at once; LanceDB's own 1,024 take five times as long
_SMALL = 64  # fragments that are merged when there are as many
_OLD = timedelta(hours=1)  # how long readers may stay on a version that compaction has replaced
_ID = re.compile("[0-9a-f]{16}")


class Table:
    """The pictures of one `Identity`. Thread-safe: every call opens the newest version for itself."""

    def __init__(self, location, identity, connection):
        self.location, self.identity, self._connection = location, identity, connection
        self.thumbnails = KeptThumbnails(location)

    @classmethod
    def open(cls, location, identity, first=None, mode=None):
        """The gallery in the folder or at the URI `location`, made where there is none.

        A gallery keeps the windows that it was made with.

        Args:
            location: folder or URI.
            identity: an `Identity`, with the windows of a new gallery.
            first: () -> the record batches (`rows`) that a new one begins with; left out: `location` has to be empty or
                a gallery.
            mode: expected windows, a mode of `Windows` or "0"; left out: any.

        Raises BadInput for a table of another identity, mode or format, or one that cannot be read or made.
        """
        location = str(location)
        folder = Path(location)
        if not is_uri(location) and folder.exists() and not is_gallery(folder):
            if not folder.is_dir():
                raise BadInput(f"{location}: expected the folder of a gallery, received a file")
            if first is None and any(folder.iterdir()):
                raise BadInput(f"{location}: expected a gallery or an empty folder, received a folder of other files")
        library = _library()
        with refusal(location):
            table = cls(location, identity, library.connect(location))
            opened = table._existing() or table._created(first)
            table.identity = checked_identity(location, opened.schema, identity)
        windows = table.identity.windows
        if mode is not None and mode != (windows.mode if windows else NONE):
            received = f"{windows.mode} windows" if windows else "no windows"
            raise BadInput(
                f"--windows {mode}: the pictures of {location} have {received}; leave --windows out to add to them, or "
                "begin another --gallery"
            )
        return table

    @classmethod
    def existing(cls, location):
        """The gallery at the folder or URI `location`, of whichever encoder. Raises BadInput where there is none."""
        location = str(location)
        if not is_uri(location) and not is_gallery(location):
            raise BadInput(f"{location}: no gallery there; search --add DIR makes one")
        library = _library()
        with refusal(location):
            table = cls(location, None, library.connect(location))
            if (opened := table._existing()) is None:
                raise BadInput(f"{location}: no gallery there; search --add DIR makes one")
        table.identity = checked_identity(location, opened.schema)
        return table

    def pictures(self, modality):
        """`Pictures` of "photo" or "sketch" in the newest version, in the order of being added."""
        condition = EVERYTHING.condition(modality, ())
        with refusal(self.location):
            table = self.table()
            self.identity = checked_identity(self.location, table.schema, self.identity)  # others may add colours
            return pictures_of(read_rows(table, columns_of(self.identity), condition), self.identity)

    def count(self, modality, filters=EVERYTHING):
        """The number of pictures of "photo" or "sketch" that pass a `Filter`."""
        names = self.class_names() if filters.classes else ()
        condition = filters.condition(modality, names, self.identity.dated)
        with refusal(self.location):
            return self.table().count_rows(condition)

    def stored(self, ids):
        """{id: `StoredPicture`} of those of the `ids` that are in the table."""
        ids = [picture_id for picture_id in ids if _ID.fullmatch(picture_id)]
        if not ids:
            return {}
        columns = [*PICTURE_COLUMNS, "modality", "size", "modified"]
        condition = f"id IN ({', '.join(map(quoted, ids))})"
        with refusal(self.location):
            batches = list(read_rows(self.table(), columns, condition))
            vectors = vectors_of([batch.column("vector") for batch in batches], self.identity)
        pictures, more = {}, columns[6:]
        rows = [row for batch in batches for row in batch.select([*columns[:5], *more]).to_pylist()]
        for row, vector in zip(rows, vectors, strict=True):
            name = row["path"] if row["name"] is None else row["name"]
            texts = row["id"], row["modality"], row["path"], name, row["class"]
            pictures[row["id"]] = StoredPicture(*texts, row["unseen"], row["size"], row["modified"], vector)
        return pictures

    def counts(self, modality):
        """The `Counts` of a modality. Reads no vectors."""
        classes, folders, days = Counter(), Counter(), []
        columns = ["class", "path", *(["taken"] if self.identity.dated else [])]
        with refusal(self.location):
            for batch in read_rows(self.table(), columns, EVERYTHING.condition(modality, ())):
                classes.update(batch.column(0).to_pylist())
                folders.update(os.path.dirname(path) for path in batch.column(1).to_pylist())
                if self.identity.dated:
                    days += _extremes(batch.column(2))
        pictures = classes.total()
        folders.pop("", None)  # where the path is unknown
        taken = (min(days), max(days)) if days else None
        return Counts(pictures, *(dict(sorted(names.items())) for names in (classes, folders)), taken)

    def search_bytes(self, modality):
        """Bytes of memory that an `Index` over `pictures(modality).vectors` needs: for its rows, or for one query."""
        kind = schema_of(self.identity).field("vector").type
        windows = self.identity.windows_of(modality)
        rows = self.count(modality) * (1 + windows.count if windows else 1)
        return rows * max(kind.list_size * kind.value_type.bit_width // 8, 2 * PAIR_BYTES)

    def class_names(self, condition=None):
        """The classes of all pictures, or of those that meet a `Filter.condition`, sorted."""
        with refusal(self.location):
            batches = read_rows(self.table(), ["class"], condition)
            return sorted({name for batch in batches for name in batch.column(0).unique().to_pylist()})

    def version(self):
        """A number that rises with every change."""
        with refusal(self.location):
            return self.table().version

    def update(self, modality, folder, encoder, progress=None, cluster=None, rules=DEFAULT_RULES):
        """Bring the gallery up to date with a folder or URI: `updates.update`."""
        return updates.update(self, modality, folder, encoder, progress, cluster, rules)

    def additions(self):
        """[`Addition`] of the folders that were added, by folder; galleries of before they were recorded have none."""
        with refusal(self.location):
            return read_additions(self._connection)

    def paths(self, modality):
        """The paths of added pictures, in the order of being added."""
        with refusal(self.location):
            condition = f"{EVERYTHING.condition(modality, ())} AND size <> {UNMANAGED}"
            return [
                path for batch in read_rows(self.table(), ["path"], condition) for path in batch["path"].to_pylist()
            ]

    def remove(self, folder):
        """Forget the pictures that were added from a folder or URI and the folders in it; files stay.

        Returns their number.
        """
        root = str(folder).rstrip("/") if is_uri(folder) else Path(folder).resolve()
        listed = {modality: self.listed(modality, root)[0] for modality in MODALITIES}
        self.delete([picture_id(modality, path) for modality, files in listed.items() for path in files])
        with refusal(self.location):
            forget_additions(self._connection, root)
        return sum(map(len, listed.values()))

    def table(self):
        """LanceDB's table, at the newest version."""
        return self._connection.open_table(TABLE)

    def write(self, batch):
        """Add a record batch of `rows`; a row of a picture that is there replaces it."""
        import pyarrow

        with refusal(self.location):
            merge = self.table().merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
            merge.execute(pyarrow.Table.from_batches([batch]))

    def add_colours(self):
        """Add the column of colours, all unknown, to a table of an earlier version."""
        if self.identity.coloured:
            return
        with refusal(self.location):
            try:
                self.table().add_columns(colours_field())
            except (ValueError, RuntimeError, OSError):
                if "colours" not in self.table().schema.names:  # else another process was faster
                    raise
        self.identity = replace(self.identity, coloured=True)

    def without_colours(self, root):
        """[(path, modified in ns)] of the photos added from a folder or URI whose colours are unknown."""
        condition = f"{Filter(folder=root).condition('photo', ())} AND colours IS NULL AND size <> {UNMANAGED}"
        with refusal(self.location):
            batches = read_rows(self.table(), ["path", "modified"], condition)
            return [tuple(row.values()) for batch in batches for row in batch.to_pylist()]

    def write_colours(self, colours):
        """Write {id: colours (12,)} of photos; those that have gone are left out."""
        import pyarrow

        if not colours:
            return
        schema = pyarrow.schema([schema_of(self.identity).field("id"), colours_field()])
        part = pyarrow.table({"id": list(colours), "colours": packed_colours(colours.values())}, schema)
        with refusal(self.location):
            self.table().merge_insert("id").when_matched_update_all().execute(part)

    def _existing(self):
        try:
            return self.table()
        except ValueError as error:
            if "was not found" in str(error):
                return None
            raise

    def _created(self, first):
        import pyarrow

        schema = schema_of(self.identity)
        batches = first() if first else ()
        try:
            reader = pyarrow.RecordBatchReader.from_batches(schema, batches)
            return self._connection.create_table(TABLE, reader, schema=schema)
        except ValueError as error:
            if "already exists" in str(error):  # another process was faster
                return self.table()
            raise

    def listed(self, modality, root):
        """({path: `File`} of added pictures in a folder, paths (set) of the run's own in it)."""
        columns, condition = ["path", "class", "size", "modified"], Filter(folder=root).condition(modality, ())
        with refusal(self.location):
            batches = read_rows(self.table(), columns, condition)
            files = [File(*row.values()) for batch in batches for row in batch.to_pylist()]
        unmanaged = {file.path for file in files if file.size == UNMANAGED}
        return {file.path: file for file in files if file.path not in unmanaged}, unmanaged

    def delete(self, ids):
        """Delete rows and their thumbnails."""
        self.thumbnails.delete(ids)
        with refusal(self.location):
            for start in range(0, len(ids), BLOCK):
                listed = ", ".join(map(quoted, ids[start : start + BLOCK]))
                self.table().delete(f"id IN ({listed})")

    def note(self, root, modality, changed):
        """Record an addition, once more only if it `changed` the gallery."""
        recorded = {(addition.folder, addition.modality) for addition in self.additions()}
        if changed or (str(root), modality) not in recorded:
            with refusal(self.location):
                note_addition(self._connection, root, modality)

    def compact(self):
        """Merge small fragments once they are many. Another writer's commit may cancel that, which costs nothing."""
        with refusal(self.location):
            table = self.table()
            if table.stats()["fragment_stats"]["num_small_fragments"] < _SMALL:
                return
            with suppress(RuntimeError, ValueError, OSError):
                table.optimize(cleanup_older_than=_OLD)


def _extremes(times):
    """The first and the last day of a column of times, as texts; none without times."""
    import pyarrow.compute

    extremes = pyarrow.compute.min_max(times).as_py().values()
    return [time.date().isoformat() for time in extremes if time]


def _library():
    os.environ.setdefault("LANCEDB_LOG", "error")  # its warnings are no lines of ours
    try:
        import lancedb
    except ImportError as error:
        raise missing("LanceDB, which keeps the gallery,", "search", error) from error
    return lancedb


@contextmanager
def refusal(location):
    """Raise BadInput, one line, for what LanceDB raises within the block."""
    try:
        yield
    except (ValueError, RuntimeError, OSError) as error:
        reason = re.sub(r",? (location: |/\S+\.rs:).*", "", first_line(error))[:300]
        raise BadInput(f"{location}: cannot be used as a gallery ({reason})") from error


def is_gallery(folder):
    """Whether a local folder holds a gallery."""
    return (Path(folder) / f"{TABLE}.lance").is_dir()


def read_rows(table, columns, condition=None):
    """Record batches of a table's `columns`, of the rows that meet a `Filter.condition`."""
    query = table.search().select(columns)
    return (query.where(condition) if condition else query).to_batches(batch_size=_BATCH)
