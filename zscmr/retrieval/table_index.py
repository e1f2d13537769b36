"""Search among more pictures than memory holds: LanceDB's vector index, or a scan of the whole table."""

import json
import threading
from datetime import timedelta
from functools import cached_property

import numpy as np

from zscmr.evaluation.distances import check_vectors
from zscmr.evaluation.nearest import Index, WindowIndex
from zscmr.formats.dataset_directory import MODALITIES
from zscmr.retrieval.filters import EVERYTHING, Filter, quoted
from zscmr.retrieval.hits import answers, noted
from zscmr.retrieval.schema import columns_of, pictures_of, vectors_of
from zscmr.retrieval.table import refusal
from zscmr.utils.console import Progress, say

DISTANCES = {"euclidean": "l2", "cosine": "cosine", "normalised": "cosine"}  # LanceDB's names; others are scanned
RECALL, NEAREST = 0.96, 10  # share of the ten nearest that the index is set to find
SAMPLE = 64  # queries that measure it
PROBES = (16, 32, 64, 128, 256, 512, 1024)  # partitions read of each query, tried in this order
REFINED = 30  # candidates compared by their own vectors, for each picture to be found
LEAST = 10_000  # pictures of a modality that an index is worth building for
STALE = 0.2  # share of rows outside the index at which it is built anew
_MEASURED = "zscmr-recall"
SCANNED = 2**16  # rows ranked together in a scan
NOT_WEIGHED = "colours not weighed: the gallery is larger than --memory"


class TableIndex:
    """Nearest pictures of one modality, read from the table as it was when this was made. Thread-safe.

    Distances are those of the vectors themselves, whichever way the candidates were found.
    """

    def __init__(self, table, modality, least=LEAST):
        """`least`: pictures of the modality from which on an index is used, and built where there is none."""
        self.table, self.modality, self.least, self.distance = table, modality, least, table.identity.distance
        self._lock, self._measured = threading.Lock(), None
        with refusal(table.location):
            self._rows = table.table()
            self._all = self._rows.count_rows()
            self.count = self._rows.count_rows(EVERYTHING.condition(modality, ()))

    @cached_property
    def class_names(self):
        """The classes of the table, sorted."""
        return self.table.class_names()

    @property
    def scanned(self):
        """Whether every search compares all rows: for l1 and hamming, and for fewer than `least` pictures."""
        return self.distance not in DISTANCES or self.count < self.least

    def recall(self):
        """The share of the ten nearest pictures of the modality that a search finds.

        1 if all rows are compared, else as measured and kept in the table. Builds and measures the index where that
        was not done.
        """
        if self.scanned:
            return 1.0
        with self._lock, refusal(self.table.location):
            if self._measured is None:
                if not _current(self._rows, self.table.identity):
                    build(self.table)
                    self._rows = self.table.table()
                recorded = _measured(self._rows).get(self.modality)
                self._measured = recorded or measure(self.table, self.modality)
        return self._measured["recall"]

    def search(self, vectors, top=10, filters=EVERYTHING, but=None, exact=False, colours=None):
        """An `Answer` for each query.

        Args:
            vectors: queries (q, dim), or packed codes.
            top: number of hits.
            filters: a `Filter`. Raises BadInput if it names a class or folder that the gallery lacks.
            but: id of a picture to leave out.
            exact: compare every row.
            colours: as of `Queries`; not weighed here, which the answers say.
        """
        check_vectors(vectors, "query", self.distance if self.distance != "hamming" else None)
        exact = exact or self.scanned
        how = "every picture compared" if exact else f"by an index that finds {self.recall():.1%} of the nearest"
        condition = self._condition(filters)
        if but is not None:
            condition += f" AND id != {quoted(but)}"
        with refusal(self.table.location):
            limited = filters or but is not None  # to count the rows of a condition, LanceDB reads a column of all
            searched = self._rows.count_rows(condition) if limited else self.count
            if not searched:
                self._check_folder(filters)
            condition = None if searched == self._all else condition
            if not searched:
                nearest = [(pictures_of([], self.table.identity), (), ())] * len(vectors)
            elif exact:
                nearest = self._scanned(vectors, top, condition)
            else:
                nearest = [self._nearest(vector, top, condition) for vector in vectors]
        pictures, distances, best = zip(*nearest, strict=True) if nearest else ((), (), ())
        boxes = [boxes_of(self.table.identity.windows, rows) for rows in best]
        nearest = answers(pictures, distances, searched, self.count, how, boxes)
        return noted(nearest, colours, NOT_WEIGHED)

    def classes(self, filters=EVERYTHING):
        """The classes of the pictures that pass a filter, sorted."""
        return self.table.class_names(self._condition(filters))

    def _condition(self, filters):
        names = self.class_names if filters.classes else ()
        return filters.condition(self.modality, names, self.table.identity.dated)

    def _check_folder(self, filters):
        if filters.folder is not None:
            below = Filter(folder=filters.folder).condition(self.modality, ())
            if not self._rows.count_rows(below):
                raise filters.no_such_folder()

    def _nearest(self, vector, top, condition):
        """(`Pictures`, distances (k,), best rows (k,)) by the index, ordered by the vectors themselves."""
        probes = self._measured["probes"]
        pictures, _, distances, best = _indexed(self._rows, self.table.identity, vector, top, condition, probes)
        return pictures, distances, best

    def _scanned(self, vectors, top, condition):
        """[(`Pictures`, distances (k,), best rows (k,))] of all queries, by reading all vectors."""
        identity = self.table.identity
        rows, distances, best = scan(self._rows, identity, vectors, top, condition)
        columns = columns_of(identity)
        table = self._rows.take_row_ids(np.unique(rows).tolist()).select(columns).with_row_id().to_arrow()
        positions = {row: number for number, row in enumerate(table.column("_rowid").to_pylist())}
        pictures = pictures_of(table.to_batches(), identity)
        per_query = [pictures.take([positions[row] for row in nearest]) for nearest in rows.tolist()]
        return list(zip(per_query, distances, best, strict=True))


def boxes_of(windows, best):
    """[(left, top, right, bottom) as shares of the picture] of best rows (k,), None for the whole picture."""
    if windows is None:
        return [None] * len(best)
    boxes = [None, *(tuple(box) for box in windows.boxes().tolist())]
    return [boxes[row] for row in best]


def build(table):
    """Build the table's vector index, of both modalities, in place of one that is there."""
    from lancedb.index import IvfPq

    rows, identity = table.table(), table.identity
    say(f"{table.location}: building the index of {rows.count_rows():,} vectors")
    parts = next(part for part in (4, 2, 1) if identity.dim % part == 0)  # dimensions coded by a byte
    config = IvfPq(distance_type=DISTANCES[identity.distance], num_sub_vectors=identity.dim // parts)
    column = _searched(identity)
    rows.create_index(column, config=config, name=f"{column}_idx", replace=True, wait_timeout=timedelta(days=7))
    _record(table, {})  # what was measured is of the index before


def measure(table, modality):
    """Measure the recall of the index for searches of one modality, record it in the table, and return it.

    Queries are embeddings of the other modality where the gallery has some, else pictures of its own, each without
    itself. The fewest partitions that reach RECALL are read from then on.
    """
    rows, identity = table.table(), table.identity
    condition = EVERYTHING.condition(modality, ())
    queries, query_ids = _sample(rows, identity, modality)
    nearest, _, _ = scan(rows, identity, queries, NEAREST + 1, condition)
    nearest = [
        [row for row in rows_found if row != itself][:NEAREST]
        for rows_found, itself in zip(nearest.tolist(), query_ids, strict=True)
    ]
    condition = None if rows.count_rows(condition) == rows.count_rows() else condition
    with Progress("recall", len(PROBES)) as bar:
        for done, probes in enumerate(PROBES):
            bar.update(done)
            recall = _recall(rows, identity, queries, query_ids, nearest, condition, probes)
            if recall >= RECALL:
                break
    measured = {"recall": round(recall, 3), "probes": probes}
    _record(table, _measured(rows) | {modality: measured})
    say(f"{table.location}: the index finds {recall:.1%} of the {NEAREST} nearest {modality} pictures")
    return measured


def scan(table, identity, queries, top, condition=None, block=SCANNED):
    """(row ids (q, top) int64, distances (q, top), best rows (q, top)) of the exact nearest; reads `block` at once.

    Best rows are those of `WindowIndex.search`.
    """
    rows, distances, best = (np.empty((len(queries), 0), kind) for kind in (np.int64, np.float64, np.int64))
    for ids, pictures in _blocks(table, identity, condition, block):
        positions, apart, row = nearest_pictures(index_over(pictures, identity), queries, top)
        parts = (rows, ids[positions]), (distances, apart), (best, row)
        rows, distances, best = (np.hstack(both) for both in parts)
        order = np.argsort(distances, axis=1, kind="stable")[:, :top]
        rows, distances, best = (np.take_along_axis(part, order, 1) for part in (rows, distances, best))
    return rows, distances, best


def nearest_pictures(index, queries, top, keep=None):
    """(rows (q, k), distances (q, k), best rows (q, k)) as of `WindowIndex.search`, of either kind of index."""
    if isinstance(index, WindowIndex):
        return index.search(queries, top, keep)
    rows, distances = index.search(queries, top, keep)
    return rows, distances, np.zeros_like(rows)


def index_over(pictures, identity, **options):
    """The `Index` over `Pictures`, or the `WindowIndex` where they have windows; `options`: memory."""
    if pictures.windows is None or not len(pictures.windows):
        return Index(pictures.vectors, identity.distance, **options)
    windows, counts = pictures.windows, pictures.window_counts
    return WindowIndex(pictures.vectors, windows, counts, identity.windows.penalty, **options)


def _blocks(table, identity, condition, block):
    """Yield (row ids (m,) int64, `Pictures`) of the rows that meet the condition, about `block` vectors at once."""
    columns = columns_of(identity)
    if identity.windows:
        block = max(block // (identity.windows.count + 1), 1)
    request = table.search().select(columns).with_row_id(True)
    request = request.where(condition) if condition else request
    for batch in request.to_batches(batch_size=block):
        if len(batch):
            yield batch.column("_rowid").to_numpy().astype(np.int64), pictures_of([batch], identity)


def _searched(identity):
    """The column with all vectors that a search compares."""
    return "windows" if identity.windows else "vector"


def _indexed(table, identity, query, top, condition, probes):
    """(`Pictures`, row ids (k,), distances (k,), best rows (k,)) of the nearest by the index, exactly ordered.

    LanceDB ranks a picture by its nearest row without the penalty of windows. Rows are read until no other can be
    nearer than the last one returned.
    """
    limit, penalty = top, identity.windows.penalty if identity.windows else 0.0
    while True:
        request = _request(table, query, identity, limit, condition, probes).select(
            [*columns_of(identity), "_distance"]
        )
        rows = request.with_row_id(True).to_arrow()
        pictures = pictures_of(rows.to_batches(), identity)
        nearest = nearest_pictures(index_over(pictures, identity), query[None], top)
        positions, distances, best = (part[0] for part in nearest)
        farthest = max(rows.column("_distance").to_pylist(), default=np.inf)
        if not penalty or len(rows) < limit or distances[-1] <= farthest:
            ids = rows.column("_rowid").to_numpy().astype(np.int64)
            return pictures.take(positions), ids[positions], distances, best
        limit *= 2


def _request(table, query, identity, top, condition, probes):
    request = table.search(np.asarray(query, np.float32), vector_column_name=_searched(identity))
    request = request.distance_type(DISTANCES[identity.distance]).refine_factor(REFINED).limit(top)
    request = request.minimum_nprobes(probes).maximum_nprobes(
        probes if condition is None else 0
    )  # 0: until `top` are found
    return request.where(condition, prefilter=True) if condition else request


def _recall(table, identity, queries, query_ids, nearest, condition, probes):
    """The mean share of the rows `nearest` that the index finds, each query without the row that it is itself."""
    shares = []
    for query, itself, expected in zip(queries, query_ids, nearest, strict=True):
        _, row_ids, _, _ = _indexed(table, identity, query, NEAREST + 1, condition, probes)
        found_rows = [row for row in row_ids.tolist() if row != itself][:NEAREST]
        shares.append(len({*found_rows} & {*expected}) / len(expected))
    return float(np.mean(shares))


def _sample(table, identity, modality):
    """(vectors (q, dim), the row id of each, −1 where it is not of `modality`) drawn from the table."""
    count = table.count_rows()
    offsets = np.sort(np.random.default_rng(0).choice(count, min(count, 50 * SAMPLE), replace=False))
    rows = table.take_offsets(offsets.tolist()).select(["modality", "vector"]).with_row_id().to_arrow()
    of_modality = np.array([kind == modality for kind in rows.column("modality").to_pylist()])
    chosen = np.flatnonzero(~of_modality if (~of_modality).sum() >= SAMPLE else of_modality)
    chosen = np.random.default_rng(1).permutation(chosen)[:SAMPLE]
    ids = np.where(of_modality, rows.column("_rowid").to_numpy().astype(np.int64), -1)
    return vectors_of(rows.column("vector").chunks, identity)[chosen], ids[chosen].tolist()


def _record(table, measured):
    """Write what was measured, {modality: {"recall", "probes"}}, into the table."""
    table.table().update_field_metadata({"path": "vector", "metadata": {_MEASURED: json.dumps(measured)}})


def _measured(rows):
    """What `_record` wrote; empty where nothing readable is recorded, or by an earlier version for both modalities."""
    try:
        recorded = json.loads(rows.schema.field("vector").metadata[_MEASURED.encode()])
        return {
            modality: {"recall": float(recorded[modality]["recall"]), "probes": int(recorded[modality]["probes"])}
            for modality in MODALITIES
            if modality in recorded
        }
    except (KeyError, TypeError, ValueError):
        return {}


def _current(rows, identity):
    """Whether there is an index with most rows in it."""
    statistics = rows.index_stats(f"{_searched(identity)}_idx")
    return statistics is not None and statistics.num_unindexed_rows <= STALE * rows.count_rows()
