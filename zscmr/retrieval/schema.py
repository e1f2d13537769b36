"""The columns of a gallery's table, and its pictures as record batches and as arrays."""

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from zscmr.datasets.crayons import CRAYONS
from zscmr.evaluation import codes
from zscmr.evaluation.distances import check_vectors
from zscmr.inference.windows import Windows
from zscmr.utils.errors import BadInput, first_line

PICTURE_COLUMNS = ["id", "path", "name", "class", "unseen", "vector"]
FORMAT = 1  # of the table's columns and metadata
UNKNOWN = "unknown"  # class of added pictures that lie in no class folder
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
        coloured: whether it has the colours of photos; `Table.add_colours` adds them to those of earlier versions.
    """

    dim: int
    distance: str
    digest: str
    windows: Windows | None = None
    dated: bool = True
    coloured: bool = True

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
    colours: np.ndarray | None = None  # (n, 12) float32 of `photo_colours`, NaN where unknown; None: all unknown

    def take(self, rows):
        """The pictures of the given rows, without their windows and colours."""
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
class File:
    """A picture of a folder as its row lists it; the defaults are of a run's own picture."""

    path: str
    class_name: str
    size: int = UNMANAGED  # bytes
    modified: int = 0  # ns


def picture_id(modality, path):
    """16 hexadecimal digits that stay with a picture."""
    return hashlib.sha256(f"{modality}\0{path}".encode()).hexdigest()[:16]


def rows(identity, modality, files, unseen, vectors, names=None, optional=None):
    """A record batch of pictures.

    Args:
        identity: of the table.
        modality: "photo" or "sketch".
        files: n `File`.
        unseen: (n,) whether the encoder was not trained on the class.
        vectors: (n, dim), or with windows (n, 1 + count, dim), the whole picture first.
        names: n texts to be shown; one without a path is identified by its name. Left out: the paths.
        optional: {column: n values or None}, "taken" (`datetime`) and "colours" (`packed_colours`); left out: unknown.
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
    unknown = [None] * len(files)
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
        columns["taken"] = unknown
    if identity.coloured:
        columns["colours"] = unknown
    columns |= {name: values for name, values in (optional or {}).items() if name in columns}
    arrays = [pyarrow.array(column, schema.field(name).type) for name, column in columns.items()]
    return pyarrow.record_batch(arrays, schema=schema)


def _lists(vectors):
    """An array of n lists of vectors, of (n, rows, dim)."""
    import pyarrow

    count, rows_each, dim = vectors.shape
    values = pyarrow.array(np.ascontiguousarray(vectors, np.float16).ravel())
    offsets = pyarrow.array(np.arange(count + 1, dtype=np.int32) * rows_each)
    return pyarrow.ListArray.from_arrays(offsets, pyarrow.FixedSizeListArray.from_arrays(values, dim))


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
            *([colours_field()] if identity.coloured else []),
        ],
        {"zscmr": json.dumps({"format": FORMAT, **identity.record()})},
    )


def colours_field():
    """The column of the photos' colours, as the bytes of float16: LanceDB refuses null among vectors."""
    import pyarrow as pa

    return pa.field("colours", pa.binary(2 * len(CRAYONS)))


def packed_colours(colours):
    """The values of that column, of a list of (12,) or None."""
    return [None if one is None else np.asarray(one, np.float16).tobytes() for one in colours]


def columns_of(identity):
    """The columns that `pictures_of` reads."""
    return [
        *PICTURE_COLUMNS,
        *(["windows"] if identity.windows else []),
        *(["taken"] if identity.dated else []),
        *(["colours"] if identity.coloured else []),
    ]


def checked_identity(location, schema, identity=None):
    """The `Identity` of a table with this schema; left out, any. Raises BadInput unless the table belongs to it."""
    try:
        recorded = json.loads((schema.metadata or {})[b"zscmr"])
        version = recorded.pop("format")
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise BadInput(f"{location}: holds a LanceDB table that is no gallery of this project") from error
    if version != FORMAT:
        raise BadInput(f"{location}: expected a gallery of format {FORMAT}, received format {version}")
    for name in ("dim", "distance", "digest") if identity else ():
        value = identity.record()[name]
        if recorded.get(name) != value:
            expected, received = (str(one)[:16] for one in (value, recorded.get(name)))
            raise BadInput(
                f"{location}: the gallery of another run, or of this one before it changed: expected {name} "
                f"{expected}, received {received}; another --gallery begins anew"
            )
    try:
        windows = Windows.from_record(recorded["windows"]) if "windows" in recorded else None
        optional = windows, "taken" in schema.names, "colours" in schema.names
        identity = Identity(recorded["dim"], recorded["distance"], recorded["digest"], *optional)
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{location}: its metadata cannot be read ({first_line(error)})") from error
    expected = schema_of(identity)
    if [(field.name, field.type) for field in schema] != [(field.name, field.type) for field in expected]:
        raise BadInput(f"{location}: expected a gallery with columns {', '.join(expected.names)} of their types")
    return identity


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
        _colours_of(table.column("colours")) if identity.coloured else None,
    )


def _colours_of(column):
    """Colours (n, 12) float32 of the column, NaN where unknown; None if all are."""
    known = column.is_valid().to_numpy()
    if not known.any():
        return None
    colours = np.full((len(column), len(CRAYONS)), np.nan, np.float32)
    values = b"".join(column.drop_null().to_pylist())
    colours[known] = np.frombuffer(values, np.float16).reshape(-1, len(CRAYONS))
    return colours


def _windows_of(chunks, dim):
    """(windows (m, dim) float16, their count for each picture (n,)) of the column's chunks, without whole pictures."""
    counts = [np.diff(chunk.offsets.to_numpy()).astype(np.int64) - 1 for chunk in chunks]
    windows, first = np.empty((sum(map(np.sum, counts)), dim), np.float16), 0
    for chunk, count in zip(chunks, counts, strict=True):
        rows = chunk.flatten().flatten().to_numpy().reshape(-1, dim)
        last = first + int(count.sum())
        if len(count) and (count == count[0]).all():  # a copy of blocks takes a fifth of the time of one row by row
            windows[first:last].reshape(len(count), -1)[:] = rows.reshape(len(count), -1)[:, dim:]
        else:
            is_window = np.ones(len(rows), bool)
            is_window[np.cumsum(count + 1) - count - 1] = False
            windows[first:last] = rows[is_window]
        first = last
    return windows, np.concatenate([np.empty(0, np.int64), *counts])


def vectors_of(chunks, identity):
    """An array (n, dim), or of packed codes (n, bytes), of a vector column's chunks."""
    kind = schema_of(identity).field("vector").type
    vectors = np.empty((sum(map(len, chunks)), kind.list_size), kind.value_type.to_pandas_dtype())
    first = 0
    for chunk in chunks:
        vectors[first : first + len(chunk)] = chunk.flatten().to_numpy().reshape(len(chunk), -1)
        first += len(chunk)
    return vectors
