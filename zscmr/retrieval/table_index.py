"""Search among more pictures than memory holds: LanceDB's vector index, or a scan of the whole table."""

import json
from datetime import timedelta

import numpy as np

from zscmr.evaluation.distances import check_vectors, pair_keys
from zscmr.evaluation.nearest import Index
from zscmr.retrieval.filters import EVERYTHING
from zscmr.retrieval.gallery import PICTURE_COLUMNS, pictures_of, refusal, vectors_of
from zscmr.utils.console import Progress, say

DISTANCES = {"euclidean": "l2", "cosine": "cosine", "normalised": "cosine"}  # LanceDB's names; others are scanned
RECALL, NEAREST = 0.96, 10  # share of the ten nearest that the index is set to find
SAMPLE = 64  # queries that measure it
PROBES = (16, 32, 64, 128, 256, 512, 1024)  # partitions read of each query, tried in this order
REFINED = 30  # times as many candidates as pictures wanted are compared by their own vectors
LEAST = 10_000  # rows that an index is worth building for
STALE = 0.2  # share of rows outside the index at which it is built anew
_NAME, _MEASURED = "vector_idx", "zscmr-recall"
_SCANNED = 2**16  # rows ranked together in a scan


class TableIndex:
    """Nearest pictures of a modality, of those that are `wanted`, read from the table. Thread-safe.

    `recall`: the share of the ten nearest that was found when the index was built; 1 where every row is compared,
    which `exact` forces, and l1 and hamming always do. Distances are those of the vectors themselves.
    """

    def __init__(self, gallery, modality, wanted=EVERYTHING, exact=False):
        """Build the index where there is none, or where a fifth of the rows are not in it."""
        self.gallery, self.distance = gallery, gallery.identity.distance
        self.condition = wanted.condition(modality, gallery.class_names() if wanted.classes else ())
        self.recall, self._probes = 1.0, None
        with refusal(gallery.where):
            self._table = gallery.table()
            self._everything = self._table.count_rows(self.condition) == self._table.count_rows()
            if exact or self.distance not in DISTANCES or self._table.count_rows() < LEAST:
                return
            if not _current(self._table):
                build(gallery, modality)
                self._table = gallery.table()
            measured = _measured(self._table)
            self.recall, self._probes = measured["recall"], measured["probes"]

    def search(self, queries, top=10):
        """([`Pictures`], [distances (k,)]) of the `top` nearest of each query (q, dim), nearest first."""
        check_vectors(queries, "query", self.distance if self.distance != "hamming" else None)
        condition = None if self._everything else self.condition
        with refusal(self.gallery.where):
            if self._probes is None:
                return self._scanned(queries, top, condition)
            found = [self._nearest(query, top, condition, self._probes) for query in queries]
        return [pictures for pictures, _ in found], [distances for _, distances in found]

    def _nearest(self, query, top, condition, probes):
        """(`Pictures`, distances (k,)) by the index, ordered by the vectors themselves."""
        request = _request(self._table, query, self.distance, top, condition, probes)
        pictures = pictures_of(
            request.select([*PICTURE_COLUMNS, "_distance"]).to_arrow().to_batches(), self.gallery.identity
        )
        rows = np.arange(len(pictures.ids))
        keys = pair_keys(query[None], np.zeros_like(rows), pictures.vectors, rows, self.distance)
        order = np.argsort(keys, kind="stable")
        return pictures.take(order), np.sqrt(keys[order]) if self.distance != "cosine" else keys[order]

    def _scanned(self, queries, top, condition):
        rows, distances = scan(self._table, self.gallery.identity, queries, top, condition)
        columns = [*PICTURE_COLUMNS, "_rowid"]
        wanted = np.unique(rows)
        table = self._table.take_row_ids(wanted.tolist()).select(columns[:-1]).with_row_id().to_arrow()
        place = {row: number for number, row in enumerate(table.column("_rowid").to_pylist())}
        pictures = pictures_of(table.to_batches(), self.gallery.identity)
        return [pictures.take([place[row] for row in found]) for found in rows.tolist()], list(distances)


def build(gallery, modality):
    """Build the table's vector index, measure its recall, and record both in the table.

    Recall is measured on embeddings of the other modality where the gallery has some, else on its own, each without
    itself. The fewest partitions that reach RECALL are read from then on.
    """
    from lancedb.index import IvfPq

    table, distance = gallery.table(), gallery.identity.distance
    say(f"{gallery.where}: building the index of {table.count_rows():,} vectors")
    parts = next(part for part in (4, 2, 1) if gallery.identity.dim % part == 0)  # dimensions coded by a byte
    config = IvfPq(distance_type=DISTANCES[distance], num_sub_vectors=gallery.identity.dim // parts)
    table.create_index("vector", config=config, name=_NAME, replace=True, wait_timeout=timedelta(days=7))
    table = gallery.table()
    condition = EVERYTHING.condition(modality, ())
    queries, own = _sample(table, gallery.identity, modality)
    nearest, _ = scan(table, gallery.identity, queries, NEAREST + 1, condition)
    nearest = [
        [row for row in found if row != itself][:NEAREST] for found, itself in zip(nearest.tolist(), own, strict=True)
    ]
    condition = None if table.count_rows(condition) == table.count_rows() else condition
    with Progress("recall", len(PROBES)) as bar:
        for done, probes in enumerate(PROBES):
            bar.update(done)
            recall = _recall(table, distance, queries, own, nearest, condition, probes)
            if recall >= RECALL:
                break
    measured = json.dumps({"recall": round(recall, 3), "probes": probes, "rows": table.count_rows()})
    table.update_field_metadata({"path": "vector", "metadata": {_MEASURED: measured}})
    say(f"{gallery.where}: the index finds {recall:.1%} of the {NEAREST} nearest")


def scan(table, identity, queries, top, condition=None):
    """(row ids (q, top) int64, distances (q, top)) of the exact nearest, by reading all vectors once, in blocks."""
    rows, distances = np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0))
    for block, vectors in _blocks(table, identity, condition):
        found, apart = Index(vectors, identity.distance).search(queries, top)
        rows, distances = np.hstack([rows, block[found]]), np.hstack([distances, apart])
        order = np.argsort(distances, axis=1, kind="stable")[:, :top]
        rows, distances = (np.take_along_axis(part, order, 1) for part in (rows, distances))
    return rows, distances


def _blocks(table, identity, condition):
    """Yield (row ids (m,) int64, vectors (m, dim)) of the rows that meet the condition, _SCANNED or fewer at once."""
    request = table.search().select(["vector"]).with_row_id(True)
    request = request.where(condition) if condition else request
    for batch in request.to_batches(batch_size=_SCANNED):
        if len(batch):
            yield batch.column("_rowid").to_numpy().astype(np.int64), vectors_of([batch.column("vector")], identity)


def _request(table, query, distance, top, condition, probes):
    request = table.search(np.asarray(query, np.float32), vector_column_name="vector")
    request = request.distance_type(DISTANCES[distance]).refine_factor(REFINED).limit(top)
    request = request.minimum_nprobes(probes).maximum_nprobes(
        probes if condition is None else 0
    )  # 0: until `top` are found
    return request.where(condition, prefilter=True) if condition else request


def _recall(table, distance, queries, own, nearest, condition, probes):
    """The mean share of the rows `nearest` that the index finds, each query without the row that it is itself."""
    shares = []
    for query, itself, expected in zip(queries, own, nearest, strict=True):
        request = _request(table, query, distance, NEAREST + 1, condition, probes)
        found = request.select(["_distance"]).with_row_id(True).to_arrow().column("_rowid").to_pylist()
        kept = [row for row in found if row != itself][:NEAREST]
        shares.append(len({*kept} & {*expected}) / len(expected))
    return float(np.mean(shares))


def _sample(table, identity, modality):
    """(vectors (q, dim), the row id of each, −1 where it is not of `modality`) drawn from the table."""
    count = table.count_rows()
    offsets = np.sort(np.random.default_rng(0).choice(count, min(count, 50 * SAMPLE), replace=False))
    rows = table.take_offsets(offsets.tolist()).select(["modality", "vector"]).with_row_id().to_arrow()
    own = np.array([kind == modality for kind in rows.column("modality").to_pylist()])
    chosen = np.flatnonzero(~own if (~own).sum() >= SAMPLE else own)
    chosen = np.random.default_rng(1).permutation(chosen)[:SAMPLE]
    ids = np.where(own, rows.column("_rowid").to_numpy().astype(np.int64), -1)
    return vectors_of(rows.column("vector").chunks, identity)[chosen], ids[chosen].tolist()


def _measured(table):
    try:
        measured = json.loads(table.schema.field("vector").metadata[_MEASURED.encode()])
        return {name: kind(measured[name]) for name, kind in (("recall", float), ("probes", int), ("rows", int))}
    except (KeyError, TypeError, ValueError):
        return None


def _current(table):
    """Whether there is an index whose recall was measured, with most rows in it."""
    statistics = table.index_stats(_NAME) if _measured(table) else None
    return statistics is not None and statistics.num_unindexed_rows <= STALE * table.count_rows()
