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
    signs, or bits of packed codes (rows, bytes) uint8.
    """
    if metric == "hamming":
        return codes.hamming(*map(codes.packed, (queries, gallery))).astype(np.float64)
    from scipy.spatial.distance import cdist  # imported here: it takes 0.2 s

    q, g = scaled_rows(queries, metric), scaled_rows(gallery, metric)
    if metric == "cosine":
        return np.maximum(1 - q @ g.T, 0)
    return cdist(q, g, "cityblock" if metric == "l1" else "euclidean")


def pair_keys(queries, query, gallery, item, metric):
    """Squared distance, 1 − cosine, or L1 (pairs,) of rows `query` and rows `item`, each pair by itself in float64.

    Vectors are not centred: differences of whole numbers stay whole, so that equal distances compare equal.
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


def checked_own_rows(own_rows, queries):
    """`own_rows` as an array (queries,), or None if all are −1; ValueError if only some are in the gallery."""
    if own_rows is None or (np.asarray(own_rows) < 0).all():
        return None
    own_rows = np.asarray(own_rows)
    if len(own_rows) != queries or (own_rows < 0).any():
        raise ValueError("own_rows: every query or none is in the gallery itself")
    return own_rows


def query_block(gallery, memory):
    """How many queries a block holds so that keys and the threads' temporaries stay within `memory` bytes."""
    size = PAIR_BYTES * gallery
    if size > memory / 2:
        raise BadInput(
            f"--memory: one query against {gallery} items takes {2 * size / 1e9:.3g} GB, received {memory / 1e9:.3g}"
        )
    return max(1, min(int(memory / 4 / (8 * gallery)), BLOCK_ENTRIES // gallery))


def slices(count, step):
    """Consecutive slices of at most `step` rows that cover `count` rows."""
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]


def check_vectors(vectors, source, distance=None, rows=None):
    """Raise BadInput that names the first row of `vectors` (n, dim) that cannot be ranked.

    NaN and infinity never can, a zero vector cannot where rows are normalised. `rows` (n,): their numbers in `source`.
    """
    step = max(1, 2**22 // max(1, vectors.shape[1]))  # in pieces: a memory map may be larger than memory
    for start in range(0, len(vectors), step):
        piece = np.asarray(vectors[start : start + step])
        faults = [("holds NaN or infinity", ~np.isfinite(piece).all(axis=1))]
        if distance in ("cosine", "normalised"):
            faults.append(("is a zero vector, which has no direction", ~piece.any(axis=1)))
        for fault, bad in faults:
            if bad.any():
                first = start + np.flatnonzero(bad)[0]
                raise BadInput(f"{source} row {first if rows is None else rows[first]} (counted from 0) {fault}")
