"""Exact orders of a gallery for blocks of queries, by real-valued distances and by codes.

An ordering has `shape`, (queries, gallery). `keys(rows, each)` gives a block's keys; `order(keys, rows)` and
`hits(keys, rows, relevant)` turn a chunk of them into ranks, and may overwrite them.
"""

import numpy as np

from zscmr.evaluation import codes
from zscmr.evaluation.distances import pair_keys
from zscmr.evaluation.nearest import Index


class StableOrdering:
    """Order by keys as they are, equal items in gallery order. A subclass computes the keys.

    Args:
        shape: (queries, gallery).
        own_rows: (queries,) gallery row that is the query itself, or None.
    """

    def __init__(self, shape, own_rows):
        self.shape, self.own_rows = shape, own_rows

    def own_rows_of(self, rows):
        """The gallery rows of the queries `rows` themselves, or None."""
        return None if self.own_rows is None else self.own_rows[rows]

    def order(self, keys, rows):
        """(gallery rows nearest first (rows, ranked), which tie with the one before)."""
        return codes.stable_order(keys, self.own_rows_of(rows))

    def hits(self, keys, rows, relevant):
        """(whether the item at each rank is relevant (rows, ranked), ties as in `order`)."""
        order, tied = self.order(keys, rows)
        return np.take_along_axis(relevant, order, axis=1), tied


class CodeOrdering(StableOrdering):
    """Order by Hamming distance."""

    def __init__(self, queries, gallery, own_rows):
        super().__init__((len(queries), len(gallery)), own_rows)
        self.queries, self.gallery = codes.packed(queries), codes.packed(gallery)

    def keys(self, rows, each):
        """Hamming distances (rows, gallery) uint16."""
        return codes.hamming(self.queries[rows], self.gallery)


class KeyOrdering:
    """Order by real-valued distance: one sort of 8-byte integers, a third of the time of argsort.

    A float64 key keeps its order when read as an integer, and its lowest bits have room for the item's row or
    relevance. Neighbours that the key, short of those bits and with the error of its matrix product, cannot
    tell apart are sorted again by their exact distances. Negative keys, zero but for that error, sort backwards, but
    are such neighbours. Both methods overwrite `keys`.
    """

    def __init__(self, queries, gallery, metric, memory, own_rows):
        self.shape = len(queries), len(gallery)
        self.queries, self.gallery, self.metric, self.own_rows = queries, gallery, metric, own_rows
        self.index = Index(gallery, metric, memory / 8, np.float64)
        self.error = self.index.error(queries)

    def keys(self, rows, each=map):
        """Keys (rows, gallery) of the queries `rows`, a slice or numbers."""
        return self.index.keys(self.queries[rows], each)

    def order(self, keys, rows, relevant=None):
        """(gallery rows nearest first (rows, ranked), which tie with the one before, or None if none does).

        The lowest bits hold the gallery row. With `relevant` (rows, gallery) doubt is only resolved where a relevant
        and an irrelevant item might change places.
        """
        width = keys.shape[1].bit_length()
        bits = self._sorted(keys, rows, width, np.arange(keys.shape[1]))
        order = bits & ((1 << width) - 1)
        bits &= -1 << width
        values = bits.view(np.float64)
        near = values[:, 1:] - values[:, :-1] <= self._doubt(values, rows, width)[:, None]
        doubtful = near
        if relevant is not None:
            hits = np.take_along_axis(relevant, order, axis=1)
            doubtful = near & (hits[:, 1:] != hits[:, :-1])
        lines = np.flatnonzero(doubtful.any(axis=1))
        if len(lines) == 0:
            return order, None
        tied = np.zeros(order.shape, bool)
        queries = np.arange(len(self.queries))[rows][lines]
        order[lines], tied[lines] = self._reordered(order[lines], near[lines], doubtful[lines], queries)
        return order, tied

    def hits(self, keys, rows, relevant):
        """(whether the item at each rank is relevant (rows, ranked), ties as in `order`).

        The lowest bit holds whether an item is relevant: all that scores depend on.
        """
        bits = self._sorted(keys, rows, 1, relevant)
        hits = (bits & 1).astype(bool)
        values, last = bits.view(np.float64), hits.shape[1] - 1
        if last < 1:
            return hits, None
        line, column = np.divmod(np.flatnonzero(hits), last + 1)
        doubt, key = self._doubt(values, rows, 1)[line], values[line, column]
        doubtful = np.zeros(len(line), bool)
        for neighbour in (np.maximum(column - 1, 0), np.minimum(column + 1, last)):
            doubtful |= ~hits[line, neighbour] & (np.abs(values[line, neighbour] - key) <= doubt)
        if not doubtful.any():
            return hits, None
        lines = np.unique(line[doubtful])
        queries = np.arange(len(self.queries))[rows][lines]
        order, tied_again = self.order(self.keys(queries), queries, relevant[lines])
        hits[lines] = np.take_along_axis(relevant[lines], order, axis=1)
        tied = np.zeros(hits.shape, bool)
        if tied_again is not None:
            tied[lines] = tied_again
        return hits, tied

    def _sorted(self, keys, rows, width, low_bits):
        """Keys as sorted integers, their `width` lowest bits replaced; (rows, ranked), the query itself left out."""
        bits = keys.view(np.int64)
        bits &= -1 << width
        bits |= low_bits
        if self.own_rows is not None:
            bits[np.arange(len(bits)), self.own_rows[rows]] = np.iinfo(np.int64).max
        bits.sort(axis=1)
        return bits if self.own_rows is None else bits[:, :-1]

    def _doubt(self, values, rows, width):
        """Largest difference (rows,) at which two values of a row may be in the wrong order."""
        farthest = values[:, -1] if values.shape[1] else 0.0
        return 2 * self.error[rows] + farthest * 2.0 ** (width - 51)

    def _reordered(self, order, near, doubtful, queries):
        """`order` with each cluster of near items that holds a doubtful pair in exact order, and what ties in it."""
        cluster = np.cumsum(np.pad(~near, ((0, 0), (1, 0)), constant_values=True), axis=1)
        cluster += (np.arange(len(order)) * (order.shape[1] + 1))[:, None]
        mask = np.zeros(cluster.max() + 1, bool)
        mask[cluster[:, 1:][doubtful]] = True
        line, column = np.nonzero(mask[cluster])
        item, cluster = order[line, column], cluster[line, column]
        exact = pair_keys(self.queries, queries[line], self.gallery, item, self.metric)
        by_distance = np.lexsort((item, exact, cluster))
        order[line, column] = item[by_distance]
        exact = exact[by_distance]
        tied = np.zeros(order.shape, bool)
        tied[line[1:], column[1:]] = (cluster[1:] == cluster[:-1]) & (exact[1:] == exact[:-1])
        return order, tied
