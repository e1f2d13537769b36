"""Exact distances from matrix products: the gallery is prepared once, then searched often."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from zscmr.evaluation import codes
from zscmr.evaluation.distances import (
    CORES,
    MEMORY,
    check_vectors,
    checked_own_rows,
    pair_keys,
    query_block,
    scaled_rows,
    slices,
)

ROWS = 2**12  # gallery rows prepared together, in the processor's cache; fewer where a quarter of the memory is less
GROUP = 64  # keys that are replaced by their minimum in a first pass


class Index:
    """Exact distances to gallery vectors: keys that rise with the distance, and the nearest by them.

    Keys come from a matrix product and are off by `error` at most; items closer than that have to be compared by
    `pair_keys`, in float64 on the single pair. Answers of `search` are those of `ranking.rank` cut short: items
    at equal distance keep gallery order. Searching changes nothing, so that threads can share an index.

    Args:
        vectors: (n, dim) floats, or, under hamming, packed codes (n, bytes) uint8 or a sign a bit (n, bits).
        metric: euclidean, normalised, cosine, l1 or hamming.
        memory: bytes for the prepared rows, and again for a search; rows that do not fit are prepared in each search.
        dtype: of the matrix product, float32 for few nearest items or float64 for whole rankings.

    Raises BadInput for NaN, infinity, or a zero vector that has no direction.
    """

    def __init__(self, vectors, metric="cosine", memory=MEMORY, dtype=np.float32):
        self.metric, self.memory, self.dtype = metric, memory, np.float64 if metric == "l1" else dtype
        if metric == "hamming":
            self.vectors = codes.packed(np.asarray(vectors))
            return
        check_vectors(vectors, "gallery", metric)
        self.vectors = vectors
        width = vectors.shape[1] + 2
        self.step = max(1, min(ROWS, int(memory / 4 / CORES / (4 * 8 * width))))  # four arrays of float64 in a thread
        # Euclidean distances do not change when both sides are shifted: about the mean they lose fewest digits
        shifted = metric == "euclidean" and len(vectors)
        sample = vectors[:: -(-len(vectors) // self.step)] if shifted else ()
        self.centre = np.asarray(sample, np.float64).mean(0) if shifted else 0.0
        fits = np.dtype(self.dtype).itemsize * width * len(vectors) <= memory
        self.ready = np.empty((self._height(), len(vectors)), self.dtype) if fits and metric != "l1" else None
        with ThreadPoolExecutor(CORES) as pool:
            self.longest = max(pool.map(self._prepare, slices(len(vectors), self.step)), default=0.0)

    def _prepare(self, part):
        """Prepare a slice of the rows, and return the greatest of their lengths."""
        rows = self._centred(self.vectors[part])
        if self.ready is not None:
            with np.errstate(over="ignore"):  # `search` compares such rows pair by pair
                self.ready[:, part] = self._gallery_factor(rows)
        return float(np.linalg.norm(rows, axis=1).max())

    def search(self, queries, top=10, keep=None, own_rows=None):
        """The `top` nearest of each query: (rows (q, k) int64, nearest first; distances (q, k) float64).

        `keep`: which items take part, as a mask (n,) or as row numbers. `own_rows` (q,): the gallery row that is the
        query itself, left out. Raises BadInput for a query that cannot be ranked.
        """
        if self.metric != "hamming":
            check_vectors(queries, "query", self.metric)
        own_rows = checked_own_rows(own_rows, len(queries))
        mask = np.ones(len(self.vectors), bool)
        if keep is not None:
            mask[:] = False
            mask[np.asarray(keep)] = True  # a mask, or rows
        own_ranked = own_rows is not None and bool(mask[own_rows].any())
        top = min(top, int(np.count_nonzero(mask)) - own_ranked)
        rows, distances = np.empty((len(queries), top), np.int64), np.empty((len(queries), top))
        if not top:
            return rows, distances
        left_out = None if keep is None else np.flatnonzero(~mask)
        for part in slices(len(queries), query_block(len(self.vectors), self.memory)):
            part_own_rows = None if own_rows is None else own_rows[part]
            rows[part], distances[part] = self._search(queries[part], top, left_out, part_own_rows)
        return rows, distances

    def _search(self, queries, top, left_out, own_rows):
        if self.metric == "hamming":
            queries = codes.packed(np.asarray(queries))
            keys, doubt = codes.hamming(queries, self.vectors), np.zeros(len(queries), np.uint16)
            keys = keys.astype(np.int32)
            excluded = np.iinfo(np.int32).max
        else:
            doubt, excluded = 2 * self.error(queries), np.inf
            if doubt.max(initial=0) < np.finfo(self.dtype).max * np.finfo(self.dtype).eps:
                keys = self.keys(queries)
            else:  # squares of such numbers overflow
                keys, doubt = self._all_pairs(queries), np.zeros(len(queries))
        if left_out is not None:
            keys[:, left_out] = excluded
        if own_rows is not None:
            keys[np.arange(len(keys)), own_rows] = excluded
        # every item that may be as near as the K-th: rounding cuts none off
        query, item = _candidates(keys, top, doubt, excluded)
        if self.metric == "hamming":
            exact = keys[query, item].astype(np.float64)
        else:
            exact = pair_keys(queries, query, self.vectors, item, self.metric)
        order = np.lexsort((item, exact, query))
        first = np.searchsorted(query[order], np.arange(len(keys)))
        chosen = order[first[:, None] + np.arange(top)]
        keys_of_nearest = exact[chosen]
        return item[chosen], np.sqrt(keys_of_nearest) if self.metric in ("euclidean", "normalised") else keys_of_nearest

    def keys(self, queries, each=map):
        """Keys (q, n): squared distance, 1 − cosine (under normalised too), or L1; zero may come out below zero.

        `each` maps a function over a sequence, perhaps in threads.
        """
        if self.metric == "l1":
            return np.concatenate(list(each(self._l1_keys, np.array_split(queries, max(1, min(CORES, len(queries)))))))
        factor = self._query_factor(self._centred(queries))
        if self.ready is not None:
            return factor @ self.ready
        keys = np.empty((len(queries), len(self.vectors)), self.dtype)
        for part in slices(len(self.vectors), self.step):
            keys[:, part] = factor @ self._gallery_factor(self._centred(self.vectors[part]))
        return keys

    def error(self, queries):
        """Bound on the rounding error of each query's keys, (q,)."""
        parts = slices(len(queries), self.step)
        lengths = np.concatenate([np.linalg.norm(self._centred(queries[part]), axis=1) for part in parts])
        dim = self.vectors.shape[1]
        if self.metric == "l1":
            terms = np.sqrt(dim) * (lengths + self.longest)
        else:
            terms = (lengths + self.longest) ** 2 if self.metric == "euclidean" else lengths * self.longest + 1
        # a sum of dim products in any order is off by (dim + …) u Σ|terms| at most (Higham, Accuracy, section 3.1)
        return (dim + 8) * float(np.finfo(self.dtype).eps) * terms

    def _all_pairs(self, queries):
        shape = len(queries), len(self.vectors)
        query, item = np.divmod(np.arange(shape[0] * shape[1]), shape[1])
        return pair_keys(queries, query, self.vectors, item, self.metric).reshape(shape)

    def _centred(self, vectors):
        return scaled_rows(vectors, self.metric) - self.centre

    def _height(self):
        return self.vectors.shape[1] + (2 if self.metric == "euclidean" else 1)

    def _query_factor(self, rows):
        """Rows whose product with `_gallery_factor` is the key: ‖q‖² − 2 q·g + ‖g‖², or 1 − q·g."""
        ones = np.ones((len(rows), 1))
        parts = [-2 * rows, (rows**2).sum(1, keepdims=True), ones] if self.metric == "euclidean" else [-rows, ones]
        return np.hstack(parts).astype(self.dtype, copy=False)

    def _gallery_factor(self, rows):
        """Gallery rows as columns: one query is multiplied faster by columns than by rows."""
        ones = np.ones((1, len(rows)))
        squares = [(rows**2).sum(1)[None]] if self.metric == "euclidean" else []
        return np.vstack([rows.T, ones, *squares]).astype(self.dtype, copy=False)

    def _l1_keys(self, queries):
        from scipy.spatial.distance import cdist  # imported here: it takes 0.2 s

        queries = np.asarray(queries, np.float64)
        parts = slices(len(self.vectors), 2**12)  # in float64 they stay in the processor's cache
        return np.hstack([cdist(queries, np.asarray(self.vectors[part], np.float64), "cityblock") for part in parts])


class WindowIndex:
    """Nearest pictures, each by the best of its rows: the whole picture, or a window at `penalty` more.

    The distance of a picture is min(1 − q·whole, min over windows of 1 − q·window + penalty), cosine. Items at equal
    distance keep gallery order; a window as near as the whole gives way to it. Searching changes nothing.

    Args:
        vectors: (n, dim) of whole pictures.
        windows: (m, dim) of their windows, those of a picture in a row, pictures in gallery order; m ≥ 1.
        counts: (n,) windows of each picture; 0 for one without.
        penalty: ≥ 0.
        memory: bytes, as of `Index`.
    """

    def __init__(self, vectors, windows, counts, penalty, memory=MEMORY):
        self.pictures, self.windows = Index(vectors, "cosine", memory), Index(windows, "cosine", memory)
        self.counts, self.starts = counts, np.cumsum(counts) - counts
        self.penalty, self.memory = penalty, memory

    def search(self, queries, top=10, keep=None):
        """(rows (q, k) int64, nearest first; distances (q, k) float64; best rows (q, k) int64).

        A best row is 0 for the whole picture, else the number of its window, from 1. `keep`: mask (n,) of the pictures
        that take part.
        """
        check_vectors(queries, "query", "cosine")
        left_out = None if keep is None else np.flatnonzero(~keep)
        top = min(top, len(self.counts) - (0 if left_out is None else len(left_out)))
        rows, best = (np.empty((len(queries), top), np.int64) for _ in range(2))
        distances = np.empty((len(queries), top))
        for part in slices(len(queries), query_block(len(self.counts) + int(self.counts.sum()), self.memory)):
            if top:
                rows[part], distances[part], best[part] = self._search(queries[part], top, left_out)
        return rows, distances, best

    def _search(self, queries, top, left_out):
        keys, any_window = self.pictures.keys(queries), np.flatnonzero(self.counts)
        nearest = np.minimum.reduceat(self.windows.keys(queries), self.starts[any_window], axis=1)
        keys[:, any_window] = np.minimum(keys[:, any_window], nearest + np.float32(self.penalty))
        if left_out is not None:
            keys[:, left_out] = np.inf
        doubt = 2 * np.maximum(self.pictures.error(queries), self.windows.error(queries)) + 1e-6  # rounding of the sum
        query, item = _candidates(keys, top, doubt, np.inf)
        exact, best = self.exact(queries, query, item)
        order = np.lexsort((item, exact, query))
        first = np.searchsorted(query[order], np.arange(len(keys)))
        chosen = order[first[:, None] + np.arange(top)]
        return item[chosen], exact[chosen], best[chosen]

    def exact(self, queries, query, item):
        """(distances (pairs,) float64, best rows (pairs,)) of queries `query` and pictures `item`."""
        exact, best = pair_keys(queries, query, self.pictures.vectors, item, "cosine"), np.zeros(len(item), np.int64)
        counts = self.counts[item]
        pair = np.repeat(np.arange(len(item)), counts)
        number = np.arange(len(pair)) - np.repeat(np.cumsum(counts) - counts, counts)
        window = self.starts[item][pair] + number
        apart = pair_keys(queries, query[pair], self.windows.vectors, window, "cosine") + self.penalty
        order = np.lexsort((number, apart, pair))
        order = order[np.unique(pair[order], return_index=True)[1]]  # the nearest window of each pair that has some
        nearer = order[apart[order] < exact[pair[order]]]
        exact[pair[nearer]], best[pair[nearer]] = apart[nearer], 1 + number[nearer]
        return exact, best


def _candidates(keys, top, doubt, excluded):
    """(query, item) of all entries of `keys` (q, n) up to a limit plus `doubt` (q,), the `top` smallest of their row
    among them, without entries equal to `excluded`."""
    limit = _limits(keys, top, excluded) + doubt
    return np.divmod(np.flatnonzero(keys <= limit[:, None]), keys.shape[1])


def _limits(keys, top, excluded):
    """Return limits (q,) below `excluded` that at least `top` entries of each row of `keys` (q, n) do not exceed.

    Each column of entries GROUP rows deep has a minimum, and `top` columns have one up to the `top`-th smallest
    minimum: at most GROUP × top entries lie there but for ties, and a pass of minima costs a tenth of a partition.
    """
    columns = keys.shape[1] // GROUP
    if columns >= top:
        least = keys[:, : GROUP * columns].reshape(len(keys), GROUP, columns).min(axis=1)
        limit = np.partition(least, top - 1, axis=1)[:, top - 1]
        if (limit < excluded).all():
            return limit
    return np.partition(keys, top - 1, axis=1)[:, top - 1]


def nearest(queries, gallery, metric, top, own_rows=None, memory=MEMORY):
    """Gallery rows of the `top` nearest items, nearest first, (queries, top): `rank` cut short, without a full sort."""
    return Index(gallery, metric, memory).search(queries, top, own_rows=own_rows)[0]
