"""A gallery that grows: pictures and their embeddings in a LanceDB table, in a folder or at a URI.

Each change is one commit of LanceDB: a process that is killed leaves the version before. The id of a picture is the
table's primary key, so that of two writers who bring the same picture one row stays.
"""

import hashlib
import json
import os
import re
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path

import numpy as np

from zscmr.datasets.classes import class_key
from zscmr.datasets.listing import shown
from zscmr.datasets.pictures import read_date
from zscmr.evaluation import codes
from zscmr.evaluation.distances import PAIR_BYTES, check_vectors
from zscmr.formats.dataset_directory import MODALITIES
from zscmr.inference.windows import NONE, Windows
from zscmr.retrieval.additions import forget_additions, note_addition, read_additions
from zscmr.retrieval.filters import EVERYTHING, Filter, quoted
from zscmr.retrieval.sources import open_source
from zscmr.utils.console import Progress, warn
from zscmr.utils.errors import BadInput, first_line
from zscmr.utils.files import is_uri
from zscmr.utils.processes import missing

TABLE = "pictures"
PICTURE_COLUMNS = ["id", "path", "name", "class", "unseen", "vector"]
FORMAT = 1  # of the table's columns and metadata
UNKNOWN = "unknown"  # class of added pictures that lie in no class folder
BLOCK = 1024  # pictures of a commit; LanceDB compares the ids of concurrent commits by filters for 8,192
_BATCH = 2**14  # rows read at once; LanceDB's own 1,024 take five times as long
_SMALL = 64  # fragments that are merged when there are as many
_KEPT = timedelta(hours=1)  # how long readers may stay on a version that compaction has replaced
_ID = re.compile("[0-9a-f]{16}")
UNMANAGED = -1  # size of a row that no folder keeps up to date: the run's own pictures


@dataclass(frozen=True)
class Identity:
    """Which embeddings a gallery holds.

    Args:
        dim: numbers, or bits under hamming.
        distance: by which they are ranked.
        digest: of the run or encoder.
        windows: with which photos are added; None: whole pictures alone.
        dated: whether the table has the time at which pictures were taken; those of earlier versions have not.
    """

    dim: int
    distance: str
    digest: str
    windows: Windows | None = None
    dated: bool = True

    def record(self):
        """A JSON value. Without windows it has no key for them, as in galleries made by earlier versions."""
        record = {"dim": self.dim, "distance": self.distance, "digest": self.digest}
        return record | ({"windows": self.windows.record()} if self.windows else {})

    def windows_of(self, modality):
        """The windows that pictures of a modality are added with, or None."""
        return self.windows if modality == "photo" else None


@dataclass(frozen=True)
class Pictures:
    """The pictures of one modality, row by row."""

    ids: np.ndarray  # (n,) str, 16 hexadecimal digits each
    paths: np.ndarray  # (n,) str, absolute; empty where unknown
    names: np.ndarray  # (n,) str, to be shown
    classes: np.ndarray  # (n,) str, UNKNOWN where there is none
    unseen: np.ndarray  # (n,) bool, whether nothing was trained on the class
    vectors: np.ndarray  # (n, dim) float32, or packed codes (n, bytes) uint8
    windows: np.ndarray | None = None  # (m, dim) float16, those of a picture in a row
    window_counts: np.ndarray | None = None  # (n,) int64; 0 for a picture without windows
    taken: np.ndarray | None = None  # (n,) datetime64[s] by the camera's clock, NaT where unknown

    def take(self, rows):
        """The pictures of the given rows, without their windows."""
        columns = self.ids, self.paths, self.names, self.classes, self.unseen, self.vectors
        taken = None if self.taken is None else self.taken[rows]
        return Pictures(*(column[rows] for column in columns), taken=taken)

    def parts(self, rows):
        """Vectors (k, 1 + count, dim) of pictures and their windows; (k, 1, dim) unless all have as many windows."""
        whole = self.vectors[rows][:, None]
        counts = np.unique(self.window_counts[rows]) if self.windows is not None else ()
        if len(counts) != 1 or not counts[0]:
            return whole
        ends = np.cumsum(self.window_counts)[rows]
        return np.concatenate([whole, self.windows[ends[:, None] + np.arange(-counts[0], 0)]], axis=1)

    @cached_property
    def class_codes(self):
        """([class name], the position in it of each picture's class (n,)); kept, because each filter needs it."""
        return _coded(self.classes)

    @cached_property
    def folder_codes(self):
        """([folder with its last separator], position (n,)) like `class_codes`; an empty text where unknown."""
        return _coded(path[: max(path.rfind("/"), path.rfind(os.sep)) + 1] for path in self.paths)


def _coded(texts):
    positions = {}
    codes = np.array([positions.setdefault(text, len(positions)) for text in texts], np.int32)
    return list(positions), codes


@dataclass(frozen=True)
class StoredPicture:
    """A row of the table."""

    id: str
    modality: str
    path: str
    name: str
    class_name: str
    unseen: bool
    size: int  # bytes, or UNMANAGED
    modified: int  # ns
    vector: np.ndarray  # (dim,) float32, or packed codes (bytes,) uint8


@dataclass(frozen=True)
class Counts:
    """Pictures of a modality: all, by class, and by the folder that they lie in directly; names sorted."""

    pictures: int
    classes: dict[str, int]
    folders: dict[str, int]
    taken: tuple[str, str] | None = None  # the first and the last day, as 2024-06-30; None without dates


@dataclass(frozen=True)
class Update:
    """What an update did: pictures `added`, `kept` as they were, and `removed`, replaced ones included."""

    added: int
    kept: int
    removed: int


@dataclass(frozen=True)
class File:
    """A picture of a folder as its row lists it; the defaults are of a run's own picture."""

    path: str
    class_name: str
    size: int = UNMANAGED  # bytes
    modified: int = 0  # ns


@dataclass(frozen=True)
class AddRules:
    """How `Table.update` follows a folder.

    Args:
        follow_links: take what links that lead out of the folder point to.
        forget: drop rows even if the folder has gone, or has lost more than half of its pictures.
    """

    follow_links: bool = False
    forget: bool = False


class Table:
    """The pictures of one `Identity`. Thread-safe: every call opens the newest version for itself."""

    def __init__(self, where, identity, connection):
        self.where, self.identity, self._connection = where, identity, connection

    @classmethod
    def open(cls, where, identity, first=None, mode=None):
        """The gallery in the folder or at the URI `where`, made where there is none.

        A gallery keeps the windows that it was made with.

        Args:
            where: folder or URI.
            identity: an `Identity`, with the windows of a new gallery.
            first: () -> the record batches (`rows`) that a new one begins with; left out: `where` has to be empty or a
                gallery.
            mode: expected windows, a mode of `Windows` or "0"; left out: any.

        Raises BadInput for a table of another identity, mode or format, or one that cannot be read or made.
        """
        where = str(where)
        folder = Path(where)
        if not is_uri(where) and folder.exists() and not is_gallery(folder):
            if not folder.is_dir():
                raise BadInput(f"{where}: expected the folder of a gallery, received a file")
            if first is None and any(folder.iterdir()):
                raise BadInput(f"{where}: expected a gallery or an empty folder, received a folder of other files")
        library = _library()
        with refusal(where):
            table = cls(where, identity, library.connect(where))
            opened = table._existing() or table._created(first)
            table.identity = _checked(where, opened.schema, identity)
        windows = table.identity.windows
        if mode is not None and mode != (windows.mode if windows else NONE):
            received = f"{windows.mode} windows" if windows else "no windows"
            raise BadInput(
                f"--windows {mode}: the pictures of {where} have {received}; leave --windows out to add to them, or "
                "begin another --gallery"
            )
        return table

    @classmethod
    def existing(cls, where):
        """The gallery at the folder or URI `where`, of whichever encoder. Raises BadInput where there is none."""
        where = str(where)
        if not is_uri(where) and not is_gallery(where):
            raise BadInput(f"{where}: no gallery there; search --add DIR makes one")
        library = _library()
        with refusal(where):
            table = cls(where, None, library.connect(where))
            if (opened := table._existing()) is None:
                raise BadInput(f"{where}: no gallery there; search --add DIR makes one")
        table.identity = _checked(where, opened.schema)
        return table

    def pictures(self, modality):
        """`Pictures` of "photo" or "sketch" in the newest version, in the order of being added."""
        condition = EVERYTHING.condition(modality, ())
        with refusal(self.where):
            return pictures_of(read_rows(self.table(), columns_of(self.identity), condition), self.identity)

    def count(self, modality, filters=EVERYTHING):
        """The number of pictures of "photo" or "sketch" that pass a `Filter`."""
        names = self.class_names() if filters.classes else ()
        condition = filters.condition(modality, names, self.identity.dated)
        with refusal(self.where):
            return self.table().count_rows(condition)

    def stored(self, ids):
        """{id: `StoredPicture`} of those of the `ids` that are in the table."""
        ids = [one for one in ids if _ID.fullmatch(one)]
        if not ids:
            return {}
        columns = [*PICTURE_COLUMNS, "modality", "size", "modified"]
        condition = f"id IN ({', '.join(map(quoted, ids))})"
        with refusal(self.where):
            batches = list(read_rows(self.table(), columns, condition))
            vectors = vectors_of([batch.column("vector") for batch in batches], self.identity)
        pictures, others = {}, columns[6:]
        rows = [row for batch in batches for row in batch.select([*columns[:5], *others]).to_pylist()]
        for row, vector in zip(rows, vectors, strict=True):
            name = row["path"] if row["name"] is None else row["name"]
            texts = row["id"], row["modality"], row["path"], name, row["class"]
            pictures[row["id"]] = StoredPicture(*texts, row["unseen"], row["size"], row["modified"], vector)
        return pictures

    def counts(self, modality):
        """The `Counts` of a modality. Reads no vectors."""
        classes, folders, days = Counter(), Counter(), []
        columns = ["class", "path", *(["taken"] if self.identity.dated else [])]
        with refusal(self.where):
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
        with refusal(self.where):
            batches = read_rows(self.table(), ["class"], condition)
            return sorted({name for batch in batches for name in batch.column(0).unique().to_pylist()})

    def version(self):
        """A number that rises with every change."""
        with refusal(self.where):
            return self.table().version

    def update(self, modality, folder, encoder, progress=None, cluster=None, rules=AddRules()):
        """Bring the gallery up to date with a folder or URI: embed new and changed pictures, drop those that are gone.

        A row is dropped only if the folder of its file was listed and the file is not in it; `_lost` has the rules.
        A call that was killed is continued by the next. Warns of pictures that cannot be read.

        Args:
            modality: what the pictures are, "photo" or "sketch".
            folder: a folder, or a URI.
            encoder: a `ModalityEncoder`.
            progress: called with (done, total) in place of a progress bar.
            cluster: a `Cluster` that embeds in place of `encoder`.
            rules: an `AddRules`.

        Returns an `Update`. Raises BadInput for a folder without a readable picture.
        """
        source, rows, listed = self._compared(modality, folder, rules.follow_links)
        names = {class_key(name): name for name in self.class_names()}
        files = [_described(file, source.own_name, names) for file in listed]
        kept = {file.path for file in files if rows.get(file.path) == file}
        new = [file for file in files if file.path not in kept]
        missing = rows.keys() - {file.path for file in files}
        lost = self._lost(folder, source, rows, missing, rules.forget)
        with _progress(progress, modality, len(new)) as step:
            embedded = cluster.embedded if cluster else self._embedded
            added = embedded(self, modality, source, new, encoder, step)
        if new and not added and not kept:
            raise BadInput(f"--add {folder}: none of its pictures can be read")
        kept |= missing - lost
        gone = rows.keys() - kept
        self._delete([picture_id(modality, path) for path in gone - added])
        self._note(source.root, modality, changed=bool(added or gone))
        self._compact()
        return Update(len(added), len(kept), len(gone))

    def additions(self):
        """[`Addition`] of the folders that were added, by folder; galleries of before they were recorded have none."""
        with refusal(self.where):
            return read_additions(self._connection)

    def paths(self, modality):
        """The paths of added pictures, in the order of being added."""
        with refusal(self.where):
            condition = f"{EVERYTHING.condition(modality, ())} AND size <> {UNMANAGED}"
            return [
                path for batch in read_rows(self.table(), ["path"], condition) for path in batch["path"].to_pylist()
            ]

    def remove(self, folder):
        """Forget the pictures that were added from a folder or URI and the folders in it; files stay.

        Returns their number.
        """
        root = str(folder).rstrip("/") if is_uri(folder) else Path(folder).resolve()
        listed = {modality: self._listed(modality, root)[0] for modality in MODALITIES}
        self._delete([picture_id(modality, path) for modality, files in listed.items() for path in files])
        with refusal(self.where):
            forget_additions(self._connection, root)
        return sum(map(len, listed.values()))

    def check_source(self, modality, folder):
        """Refuse a folder or URI without pictures, unless some were added from there: raises BadInput."""
        if not open_source(folder).has_pictures():
            self._compared(modality, folder)

    def _compared(self, modality, folder, follow_links=False):
        """(source, {path: file added from it}, [files in it now]), without files that are the run's own."""
        source = open_source(folder, follow_links)
        rows, own = self._listed(modality, source.root)
        listed = [file for file in source.files() if file.path not in own]
        if not listed and not rows and not own:
            raise BadInput(f"--add {folder}: {source.why_empty()}")
        return source, rows, listed

    def _lost(self, folder, source, rows, missing, forget):
        """The paths of rows to be dropped, of those whose files are `missing`; warns of all that stay.

        A row stays where its file may be there all the same (`Folder.doubts`). All stay if the folder is gone, or
        has lost more than half of its pictures, as if a drive were missing; `forget` drops them.
        """
        lost = set(missing)
        for (part, why), paths in source.doubts(missing).items():
            if not forget or why != "is empty":
                hint = " (--forget drops them)" if why == "is empty" else ""
                stay = f"{_pictures(len(paths))} added from there stay{'s' * (len(paths) == 1)} in the gallery"
                warn(f"{shown(part)}: {why}; {stay}{hint}")
                lost -= {*paths}
        if lost and not forget and (not source.exists or 2 * len(lost) > len(rows)):
            state = f"{len(lost)} of its {_pictures(len(rows))} are gone" if source.exists else "no such folder"
            warn(f"--add {folder}: {state}; {_pictures(len(lost))} stay in the gallery (--forget drops them)")
            return set()
        if lost and not source.exists:
            warn(f"--add {folder}: no such folder; {_pictures(len(lost))} added from there leave the gallery")
        return lost

    def embed(self, modality, source, files, encoder, step=None):
        """Embed `files` of a source and write them in one commit; return ([paths written], [faults of others])."""
        paths = [file.path for file in files]
        with source.local(paths) as local:
            windows = self.identity.windows_of(modality)
            embedded = encoder.embed_windows(local, windows, step) if windows else encoder.embed(local, step)
            vectors, readable = embedded
            faults = encoder.faults(local, readable)
            taken = [_taken(file) if good else None for file, good in zip(local, readable, strict=True)]
        bad = [row for row, good in enumerate(readable) if not good]
        faults = [why.replace(local[row], paths[row]) for why, row in zip(faults, bad, strict=True)]
        good = [file for file, good in zip(files, readable, strict=True) if good]
        if good:
            unseen = [class_key(file.class_name) not in encoder.seen for file in good]
            taken = [time for time, good in zip(taken, readable, strict=True) if good]
            self.write(rows(self.identity, modality, good, unseen, vectors[readable], taken=taken))
        return [file.path for file in good], faults

    def table(self):
        """LanceDB's table, at the newest version."""
        return self._connection.open_table(TABLE)

    def write(self, batch):
        """Add a record batch of `rows`; a row of a picture that is there replaces it."""
        import pyarrow

        with refusal(self.where):
            merge = self.table().merge_insert("id").when_matched_update_all().when_not_matched_insert_all()
            merge.execute(pyarrow.Table.from_batches([batch]))

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

    def _listed(self, modality, root):
        """({path: `File`} of added pictures in a folder, paths (set) of the run's own in it)."""
        columns, condition = ["path", "class", "size", "modified"], Filter(folder=root).condition(modality, ())
        with refusal(self.where):
            batches = read_rows(self.table(), columns, condition)
            files = [File(*row.values()) for batch in batches for row in batch.to_pylist()]
        own = {file.path for file in files if file.size == UNMANAGED}
        return {file.path: file for file in files if file.path not in own}, own

    @staticmethod
    def _embedded(table, modality, source, new, encoder, step):
        """Embed and write the files `new`, a commit a block; return the paths of those that can be read."""
        added = set()
        for start in range(0, len(new), BLOCK):
            block = new[start : start + BLOCK]
            paths, faults = table.embed(modality, source, block, encoder, lambda done, start=start: step(start + done))
            for why in faults:
                warn(f"{why}, skipped")
            added |= {*paths}
        return added

    def _delete(self, ids):
        with refusal(self.where):
            for start in range(0, len(ids), BLOCK):
                listed = ", ".join(map(quoted, ids[start : start + BLOCK]))
                self.table().delete(f"id IN ({listed})")

    def _note(self, root, modality, changed):
        """Record an addition, once more only if it `changed` the gallery."""
        recorded = {(one.folder, one.modality) for one in self.additions()}
        if changed or (str(root), modality) not in recorded:
            with refusal(self.where):
                note_addition(self._connection, root, modality)

    def _compact(self):
        """Merge small fragments once they are many. Another writer's commit may cancel that, which costs nothing."""
        with refusal(self.where):
            table = self.table()
            if table.stats()["fragment_stats"]["num_small_fragments"] < _SMALL:
                return
            with suppress(RuntimeError, ValueError, OSError):
                table.optimize(cleanup_older_than=_KEPT)


def _taken(path):
    """When a picture was taken, or None."""
    try:
        return read_date(path)
    except OSError:
        return None


def _extremes(times):
    """The first and the last day of a column of times, as texts; none without times."""
    import pyarrow.compute

    found = pyarrow.compute.min_max(times).as_py().values()
    return [time.date().isoformat() for time in found if time]


def _pictures(count):
    return "1 picture" if count == 1 else f"{count} pictures"


def picture_id(modality, path):
    """16 hexadecimal digits that stay with a picture."""
    return hashlib.sha256(f"{modality}\0{path}".encode()).hexdigest()[:16]


def rows(identity, modality, files, unseen, vectors, names=None, taken=None):
    """A record batch of pictures.

    Args:
        identity: of the table.
        modality: "photo" or "sketch".
        files: n `File`.
        unseen: (n,) whether the encoder was not trained on the class.
        vectors: (n, dim), or with windows (n, 1 + count, dim), the whole picture first.
        names: n texts to be shown; one without a path is identified by its name. Left out: the paths.
        taken: n `datetime` or None, when the pictures were taken; left out: unknown.
    """
    import pyarrow

    names = [file.path for file in files] if names is None else names
    vectors = np.asarray(vectors)
    every_row = vectors if vectors.ndim == 3 else vectors[:, None]
    check_vectors(every_row.reshape(-1, vectors.shape[-1]), "gallery", identity.distance)
    vectors = every_row[:, 0]
    vectors = codes.packed(vectors) if identity.distance == "hamming" else np.asarray(vectors, np.float32)
    schema = schema_of(identity)
    kind = schema.field("vector").type
    values = pyarrow.array(np.ascontiguousarray(vectors).ravel())
    columns = {
        "id": [picture_id(modality, file.path or name) for file, name in zip(files, names, strict=True)],
        "modality": [modality] * len(files),
        "path": [file.path for file in files],
        "name": [None if name == file.path else name for file, name in zip(files, names, strict=True)],
        "class": [file.class_name for file in files],
        "unseen": np.asarray(unseen, bool),
        "size": [file.size for file in files],
        "modified": [file.modified for file in files],
        "vector": pyarrow.FixedSizeListArray.from_arrays(values, kind.list_size),
    }
    if identity.windows:
        columns["windows"] = _lists(every_row)
    if identity.dated:
        columns["taken"] = taken or [None] * len(files)
    arrays = [pyarrow.array(column, schema.field(name).type) for name, column in columns.items()]
    return pyarrow.record_batch(arrays, schema=schema)


def _lists(vectors):
    """An array of n lists of vectors, of (n, rows, dim)."""
    import pyarrow

    count, rows_each, dim = vectors.shape
    values = pyarrow.array(np.ascontiguousarray(vectors, np.float16).ravel())
    offsets = pyarrow.array(np.arange(count + 1, dtype=np.int32) * rows_each)
    return pyarrow.ListArray.from_arrays(offsets, pyarrow.FixedSizeListArray.from_arrays(values, dim))


def _library():
    os.environ.setdefault("LANCEDB_LOG", "error")  # its warnings are no lines of ours
    try:
        import lancedb
    except ImportError as error:
        raise missing("LanceDB, which keeps the gallery,", "search", error) from error
    return lancedb


@contextmanager
def refusal(where):
    """Raise BadInput, one line, for what LanceDB raises within the block."""
    try:
        yield
    except (ValueError, RuntimeError, OSError) as error:
        reason = re.sub(r",? (location: |/\S+\.rs:).*", "", first_line(error))[:300]
        raise BadInput(f"{where}: cannot be used as a gallery ({reason})") from error


def schema_of(identity):
    import pyarrow as pa

    key = {"lance-schema:unenforced-primary-key": "true"}  # concurrent commits of the same ids conflict
    packed = identity.distance == "hamming"
    vector = pa.list_(pa.uint8(), -(-identity.dim // 8)) if packed else pa.list_(pa.float32(), identity.dim)
    # whole picture first, so that one index holds all that a search compares; half precision is enough for windows
    windows = [pa.field("windows", pa.list_(pa.list_(pa.float16(), identity.dim)), False)] if identity.windows else []
    return pa.schema(
        [
            pa.field("id", pa.string(), False, key),
            pa.field("modality", pa.string(), False),
            pa.field("path", pa.string(), False),
            pa.field("name", pa.string()),  # where it is not the path
            pa.field("class", pa.string(), False),
            pa.field("unseen", pa.bool_(), False),
            pa.field("size", pa.int64(), False),
            pa.field("modified", pa.int64(), False),
            pa.field("vector", vector, False),
            *windows,
            *([pa.field("taken", pa.timestamp("s"))] if identity.dated else []),
        ],
        {"zscmr": json.dumps({"format": FORMAT, **identity.record()})},
    )


def columns_of(identity):
    """The columns that `pictures_of` reads."""
    return [
        *PICTURE_COLUMNS,
        *(["windows"] if identity.windows else []),
        *(["taken"] if identity.dated else []),
    ]


def is_gallery(folder):
    """Whether a local folder holds a gallery."""
    return (Path(folder) / f"{TABLE}.lance").is_dir()


def _checked(where, schema, identity=None):
    """The `Identity` of a table with this schema; left out, any. Raises BadInput unless the table belongs to it."""
    try:
        recorded = json.loads((schema.metadata or {})[b"zscmr"])
        version = recorded.pop("format")
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise BadInput(f"{where}: holds a LanceDB table that is no gallery of this project") from error
    if version != FORMAT:
        raise BadInput(f"{where}: expected a gallery of format {FORMAT}, received format {version}")
    for name in ("dim", "distance", "digest") if identity else ():
        value = identity.record()[name]
        if recorded.get(name) != value:
            expected, received = (str(one)[:16] for one in (value, recorded.get(name)))
            raise BadInput(
                f"{where}: the gallery of another run, or of this one before it changed: expected {name} {expected}, "
                f"received {received}; another --gallery begins anew"
            )
    try:
        windows = Windows.from_record(recorded["windows"]) if "windows" in recorded else None
        dated = "taken" in schema.names
        identity = Identity(recorded["dim"], recorded["distance"], recorded["digest"], windows, dated)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{where}: its metadata cannot be read ({first_line(error)})") from error
    expected = schema_of(identity)
    if [(field.name, field.type) for field in schema] != [(field.name, field.type) for field in expected]:
        raise BadInput(f"{where}: expected a gallery with columns {', '.join(expected.names)} of their types")
    return identity


def read_rows(table, columns, condition=None):
    """Record batches of a table's `columns`, of the rows that meet a `Filter.condition`."""
    query = table.search().select(columns)
    return (query.where(condition) if condition else query).to_batches(batch_size=_BATCH)


def pictures_of(batches, identity):
    """`Pictures` of record batches with the columns `columns_of`."""
    import pyarrow as pa

    schema, columns = schema_of(identity), columns_of(identity)
    batches = [batch.select(columns) for batch in batches]
    kinds = pa.schema([schema.field(name) for name in columns]).remove_metadata()
    table = pa.Table.from_batches([batch.cast(kinds) for batch in batches], kinds)
    paths, names = (table.column(name).to_numpy() for name in ("path", "name"))
    classes = table.column("class").combine_chunks().dictionary_encode()
    return Pictures(
        table.column("id").to_numpy(),
        paths,
        np.where(names == None, paths, names),  # noqa: E711  element by element
        np.array(classes.dictionary.to_pylist(), object)[classes.indices.to_numpy()],
        table.column("unseen").to_numpy(),
        vectors_of(table.column("vector").chunks, identity),
        *(_windows_of(table.column("windows").chunks, identity.dim) if identity.windows else (None, None)),
        table.column("taken").to_numpy() if identity.dated else None,
    )


def _windows_of(chunks, dim):
    """(windows (m, dim) float16, their count for each picture (n,)) of the column's chunks, without whole pictures."""
    lengths = [np.diff(chunk.offsets.to_numpy()).astype(np.int64) for chunk in chunks]
    values = [chunk.flatten().flatten().to_numpy().reshape(-1, dim) for chunk in chunks]
    lengths = np.concatenate([np.empty(0, np.int64), *lengths])
    windows = np.concatenate([np.empty((0, dim), np.float16), *values])
    is_window = np.ones(len(windows), bool)
    is_window[np.cumsum(lengths) - lengths] = False
    return windows[is_window], lengths - 1


def vectors_of(chunks, identity):
    """An array (n, dim), or of packed codes (n, bytes), of a vector column's chunks."""
    kind = schema_of(identity).field("vector").type
    vectors = np.empty((sum(map(len, chunks)), kind.list_size), kind.value_type.to_pandas_dtype())
    first = 0
    for chunk in chunks:
        vectors[first : first + len(chunk)] = chunk.flatten().to_numpy().reshape(len(chunk), -1)
        first += len(chunk)
    return vectors


@contextmanager
def _progress(progress, label, total):
    """Yield a function of how many are done."""
    if progress:
        yield lambda done: progress(done, total)
        return
    with Progress(f"{label}: embeddings", total) as bar:
        yield bar.update


def _described(file, own_name, names):
    """A picture as the gallery lists it.

    Its class is the folder it lies in, if that is not the source's own, or names a class of `names` {key: class name}.
    """
    folder = file.folder or own_name
    key = class_key(folder)
    named = file.folder or key in names
    return File(file.path, names.setdefault(key, folder) if named else UNKNOWN, file.size, file.modified)
