"""The nearest items without a full sort: vectors made ready once, then searched often."""

import numpy as np

from zscmr.evaluation import codes
from zscmr.evaluation.distances import (
    MEMORY,
    check_vectors,
    checked_own_rows,
    pair_keys,
    query_block,
    scaled_rows,
    slices,
)

ROWS = 2**18  # of the gallery, made ready together, fewer where they would take more than a quarter of the memory
GROUP = 64  # keys of which the smallest stands for all


class Index:
    """Exact nearest neighbours among gallery vectors.

    `vectors` (n, dim) of floats, or, under `hamming`, packed codes (n, bytes) uint8 or a sign a bit (n, bits).
    `metric`: euclidean, normalised, cosine, l1 or hamming. Answers are those of `ranking.rank` cut short: items at
    equal distance, in float64 arithmetic on the single pair, keep gallery order. Searching changes nothing, so that
    threads can share an index. `memory`: bytes that ready rows, and likewise a search, may take; where the rows do not
    fit they are made ready anew for each search.

    Raises BadInput for NaN, infinity, or a zero vector that has no direction.
    """

    def __init__(self, vectors, metric="cosine", memory=MEMORY):
        self.metric, self.memory = metric, memory
        if metric == "hamming":
            self.vectors = codes.packed(np.asarray(vectors))
            return
        check_vectors(vectors, "gallery", metric)
        self.vectors = vectors
        self.step = max(1, min(ROWS, int(memory / 4 / (4 * 8 * (vectors.shape[1] + 2)))))  # four arrays of float64
        # Euclidean distances do not change when both sides move: about the middle they lose fewest digits
        self.centre = np.asarray(vectors[: self.step], np.float64).mean(0) if metric == "euclidean" else 0.0
        self.ready = np.empty(vectors.shape, np.float32) if 4 * vectors.size <= memory else None
        self.squares, first = np.empty(len(vectors), np.float32), 0
        for rows, squares in self._made_ready():
            self.squares[first : first + len(rows)] = squares
            if self.ready is not None:
                self.ready[first : first + len(rows)] = rows
            first += len(rows)
        self.longest = float(np.sqrt(self.squares.max()))

    def search(self, queries, top=10, keep=None, own_rows=None):
        """The `top` nearest of each query: (rows (q, k) int64, nearest first; distances (q, k) float64).

        `keep`: which items take part, as a mask (n,) or as row numbers. `own_rows` (q,): the gallery row that is the
        query itself, left out. Raises BadInput for a query that has no place among the vectors.
        """
        if self.metric != "hamming":
            check_vectors(queries, "query", self.metric)
        own_rows = checked_own_rows(own_rows, len(queries))
        kept = np.ones(len(self.vectors), bool)
        if keep is not None:
            kept[:] = False
            kept[np.asarray(keep)] = True  # a mask, or rows
        itself = own_rows is not None and bool(kept[own_rows].any())
        top = min(top, int(np.count_nonzero(kept)) - itself)
        rows, distances = np.empty((len(queries), top), np.int64), np.empty((len(queries), top))
        if not top:
            return rows, distances
        left_out = None if keep is None else np.flatnonzero(~kept)
        for part in slices(len(queries), query_block(len(self.vectors), self.memory)):
            own = None if own_rows is None else own_rows[part]
            rows[part], distances[part] = self._search(queries[part], top, left_out, own)
        return rows, distances

    def _search(self, queries, top, left_out, own_rows):
        if self.metric == "hamming":
            queries = codes.packed(np.asarray(queries))
            keys, doubt = codes.hamming(queries, self.vectors), np.zeros(len(queries), np.uint16)
            keys = keys.astype(np.int32)
            nowhere = np.iinfo(np.int32).max
        else:
            keys, doubt = self._keys(queries)
            nowhere = np.inf
        if left_out is not None:
            keys[:, left_out] = nowhere
        if own_rows is not None:
            keys[np.arange(len(keys)), own_rows] = nowhere
        # every item that may be as near as the K-th: nobody is cut off by rounding
        query, item = _candidates(keys, top, doubt, nowhere)
        if self.metric == "hamming":
            exact = keys[query, item].astype(np.float64)
        else:
            exact = pair_keys(queries, query, self.vectors, item, self.metric)
        order = np.lexsort((item, exact, query))
        first = np.searchsorted(query[order], np.arange(len(keys)))
        chosen = order[first[:, None] + np.arange(top)]
        found = exact[chosen]
        return item[chosen], np.sqrt(found) if self.metric in ("euclidean", "normalised") else found

    def _keys(self, queries):
        """(keys (q, n) float32 that rise with the distance, twice the largest error of each query's (q,))."""
        if self.metric == "l1":
            return self._l1_keys(queries)
        asked = scaled_rows(queries, self.metric) - self.centre
        lengths = np.linalg.norm(asked, axis=1)
        if self.ready is not None:
            keys = self._products(asked, self.ready, self.squares)
        else:
            parts = [self._products(asked, rows, squares) for rows, squares in self._made_ready()]
            keys = np.concatenate(parts, axis=1)
        # a sum of dim products in any order is off by (dim + …) u Σ|terms| at most (Higham, Accuracy, section 3.1)
        terms = (lengths + self.longest) ** 2 if self.metric == "euclidean" else lengths * self.longest
        return keys, 2 * ((self.vectors.shape[1] + 8) * np.finfo(np.float32).eps * terms).astype(np.float32)

    def _products(self, asked, rows, squares):
        keys = (-2 * asked if self.metric == "euclidean" else -asked).astype(np.float32) @ rows.T
        return keys + squares if self.metric == "euclidean" else keys

    def _l1_keys(self, queries):
        asked = np.asarray(queries, np.float64)
        keys = np.empty((len(asked), len(self.vectors)))
        for part in slices(len(self.vectors), 2**12):
            rows = np.asarray(self.vectors[part], np.float64)
            for key, query in zip(keys, asked, strict=True):
                key[part] = np.abs(rows - query).sum(1)
        return keys, 1e-13 * keys.max(axis=1)

    def _made_ready(self):
        """Yield (rows (m, dim), their squared lengths (m,)) of the gallery block by block, float32."""
        for part in slices(len(self.vectors), self.step):
            rows = scaled_rows(self.vectors[part], self.metric) - self.centre
            yield rows.astype(np.float32), (rows**2).sum(1).astype(np.float32)


def _candidates(keys, top, doubt, nowhere):
    """(query, item) of all entries of `keys` (q, n) up to a limit plus `doubt` (q,), the `top` smallest of their row
    among them; entries `nowhere` never are."""
    limit = _limits(keys, top, nowhere) + doubt
    return np.divmod(np.flatnonzero(keys <= limit[:, None]), keys.shape[1])


def _limits(keys, top, nowhere):
    """A limit (q,) below `nowhere` that at least `top` entries of each row of `keys` (q, n) do not exceed.

    Each column of entries GROUP rows deep has a minimum, and `top` columns have one up to the `top`-th smallest
    minimum: at most GROUP × top entries lie there but for ties, and a pass of minima costs a tenth of a partition.
    """
    columns = keys.shape[1] // GROUP
    if columns >= top:
        least = keys[:, : GROUP * columns].reshape(len(keys), GROUP, columns).min(axis=1)
        limit = np.partition(least, top - 1, axis=1)[:, top - 1]
        if (limit < nowhere).all():
            return limit
    return np.partition(keys, top - 1, axis=1)[:, top - 1]


def nearest(queries, gallery, metric, top, own_rows=None, memory=MEMORY):
    """Gallery rows of the `top` nearest items, nearest first, (queries, top): `rank` cut short, without a full sort."""
    return Index(gallery, metric, memory).search(queries, top, own_rows=own_rows)[0]
