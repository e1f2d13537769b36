"""Distances of vectors and codes, and the blocks in which they are computed."""

import numpy as np

from zscmr.evaluation import codes
from zscmr.utils.errors import BadInput
from zscmr.utils.processes import cores

REAL_DISTANCES = ("euclidean", "normalised", "cosine", "l1")

DISTANCE_NAMES = (*REAL_DISTANCES, "hamming")

MEMORY = 10**9  # bytes; the default of --memory

BLOCK_ENTRIES = 2**20  # query-gallery pairs at once: larger blocks are no faster

CHUNK_ENTRIES = 2**17  # pairs a thread works on at once, so that its temporaries stay in its cache

PAIR_BYTES = 64  # of all temporaries of one query-gallery pair in a thread

CORES = cores()


def distances(queries, gallery, metric):
    """Distances (queries, gallery) of `queries` (queries, dim) to `gallery` (gallery, dim), float64.

    euclidean: ‖q − g‖₂. normalised: ‖q/‖q‖ − g/‖g‖‖₂. cosine: 1 − q·g / ‖q‖‖g‖. l1: Σ|q − g|. hamming: different
    signs, or bits of packed codes (rows, bytes) uint8. Euclidean ones come from a matrix product, exact to 1e-15 of
    ‖q‖² + ‖g‖².
    """
    if metric == "hamming":
        return codes.hamming(*map(codes.packed, (queries, gallery))).astype(np.float64)
    space = Space(queries, gallery, metric, MEMORY)
    keys = np.maximum(space.keys(slice(0, len(queries)), map), 0)
    return np.sqrt(keys) if metric in ("euclidean", "normalised") else keys


def pair_keys(queries, query, gallery, item, metric):
    """Squared distance, 1 − cosine, or L1 (pairs,) of rows `query` and rows `item`, each pair by itself in float64.

    Vectors are not moved: differences of whole numbers stay whole, so that equal distances are found equal.
    """
    keys = np.empty(len(query))
    for part in slices(len(query), max(1, 2**22 // gallery.shape[1])):
        q, g = (scaled_rows(side[rows[part]], metric) for side, rows in ((queries, query), (gallery, item)))
        if metric == "cosine":
            keys[part] = 1 - (q * g).sum(1)
        else:
            keys[part] = np.abs(q - g).sum(1) if metric == "l1" else ((q - g) ** 2).sum(1)
    return keys


def scaled_rows(vectors, metric):
    """Vectors (n, dim) as float64, of unit length for normalised and cosine."""
    vectors = np.asarray(vectors, np.float64)
    if metric in ("normalised", "cosine"):
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


class Space:
    """The rows of both sides, made ready so that one matrix product gives a key that rises with the distance."""

    def __init__(self, queries, gallery, metric, memory):
        self.queries, self.gallery, self.metric = queries, gallery, metric
        dim = gallery.shape[1]
        self.step = max(1, int(memory / 8 / (8 * 4 * (dim + 2))))  # gallery rows made ready at once
        # Euclidean distances do not change when both sides move: about the gallery's middle they lose fewest digits
        self.centre = np.asarray(gallery[: self.step], np.float64).mean(0) if metric == "euclidean" else 0.0
        self.whole = self._as_columns(gallery) if len(gallery) <= self.step else None
        largest = max((self._norms(gallery[part]).max() for part in self._parts()), default=0.0)
        reach = np.concatenate([self._norms(queries[part]) for part in slices(len(queries), self.step)]) + largest
        # a sum of dim products in any order is off by (dim + …) u Σ|terms| at most (Higham, Accuracy, section 3.1)
        terms = np.sqrt(dim) * reach if metric == "l1" else reach**2
        self.error = (dim + 8) * float(np.finfo(np.float64).eps) * terms

    def _parts(self):
        return slices(len(self.gallery), self.step)

    def _ready(self, vectors):
        return scaled_rows(vectors, self.metric) - self.centre

    def _norms(self, vectors):
        return np.linalg.norm(self._ready(vectors), axis=1)

    def _as_rows(self, queries):
        q = self._ready(queries)
        one = np.ones((len(q), 1))
        if self.metric == "cosine":
            return np.hstack([-q, one])
        if self.metric == "l1":
            return q
        return np.hstack([-2 * q, (q**2).sum(1, keepdims=True), one])

    def _as_columns(self, gallery):
        g = self._ready(gallery)
        one = np.ones((len(g), 1))
        if self.metric == "cosine":
            return np.vstack([g.T, one.T])
        if self.metric == "l1":
            return np.ascontiguousarray(g.T)
        return np.vstack([g.T, one.T, (g**2).sum(1)])

    def keys(self, rows, each):
        """Keys (rows, gallery): squared distance, 1 − cosine, or L1; a copy of the query may come out at −1e-16.

        `each` maps a function over a sequence, perhaps in threads.
        """
        asked = self._as_rows(self.queries[rows])
        keys = np.empty((len(asked), len(self.gallery)))
        for part in self._parts():
            columns = self.whole if self.whole is not None else self._as_columns(self.gallery[part])
            if self.metric != "l1":
                keys[:, part] = asked @ columns if self.whole is None else np.matmul(asked, columns, out=keys)
                continue
            for _ in each(lambda row: _add_l1(asked[row], columns, keys[row, part]), range(len(asked))):  # noqa: B023
                pass
        return keys

    def exact(self, query, item):
        """Keys (pairs,) of single pairs of a query row and a gallery row, each by itself in float64."""
        return pair_keys(self.queries, query, self.gallery, item, self.metric)


def _add_l1(query, columns, total):
    total[:] = 0
    for value, column in zip(query, columns, strict=True):
        total += np.abs(column - value)


def checked_own_rows(own_rows, queries):
    if own_rows is None or (np.asarray(own_rows) < 0).all():
        return None
    own_rows = np.asarray(own_rows)
    if len(own_rows) != queries or (own_rows < 0).any():
        raise ValueError("own_rows: every query or none is in the gallery itself")
    return own_rows


def query_block(gallery, memory):
    """How many queries a block holds so that keys and the threads' temporaries stay within `memory` bytes."""
    one = PAIR_BYTES * gallery
    if one > memory / 2:
        raise BadInput(
            f"--memory: one query against {gallery} items takes {2 * one / 1e9:.3g} GB, received {memory / 1e9:.3g}"
        )
    return max(1, min(int(memory / 4 / (8 * gallery)), BLOCK_ENTRIES // gallery))


def slices(count, step):
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def check_vectors(vectors, source, distance=None, rows=None):
    """Raise BadInput that names the first row of `vectors` (n, dim) that cannot be ranked.

    NaN and infinity never can, a zero vector cannot where rows are normalised. `rows` (n,): their numbers in `source`.
    """
    step = max(1, 2**22 // max(1, vectors.shape[1]))  # a memory map is looked through in pieces
    for start in range(0, len(vectors), step):
        piece = np.asarray(vectors[start : start + step])
        faults = [("holds NaN or infinity", ~np.isfinite(piece).all(axis=1))]
        if distance in ("cosine", "normalised"):
            faults.append(("is a zero vector, which has no direction", ~piece.any(axis=1)))
        for fault, bad in faults:
            if bad.any():
                first = start + np.flatnonzero(bad)[0]
                raise BadInput(f"{source} row {first if rows is None else rows[first]} (counted from 0) {fault}")
