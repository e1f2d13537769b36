"""Binary codes: signs, iterative quantisation (Gong and Lazebnik, CVPR 2011), packed bits, Hamming distances.

The peers fit ITQ on the test queries and use the transpose of the rotation (FIDELITY.md). Here PCA and rotation are
fitted on embeddings of seen classes, and the quantisation loss cannot rise.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from zscmr.evaluation.metrics import Hits
from zscmr.utils.errors import BadInput

ITERATIONS = 50  # as the peers


@dataclass(frozen=True)
class ITQ:
    """A rotated PCA whose signs are the bits."""

    mean: np.ndarray  # (dim,)
    projection: np.ndarray  # (dim, bits), PCA times rotation
    losses: tuple[float, ...]  # ‖B − V R‖²_F per row after each iteration, never rising

    def encode(self, vectors):
        """Packed codes (n, bits / 8) uint8 of `vectors` (n, dim)."""
        return pack((np.asarray(vectors, np.float64) - self.mean) @ self.projection)


def fit_itq(vectors, bits, seed=0):
    """ITQ fitted on `vectors` (n, dim), n ≥ bits and dim ≥ bits.

    With V (n, bits) the centred vectors on their leading principal axes, alternately B = sign(V R) and R = the
    rotation that minimises ‖B − V R‖_F: R = U Wᵀ with U S Wᵀ the singular value decomposition of Vᵀ B.
    """
    vectors = np.asarray(vectors, np.float64)
    count, dim = vectors.shape
    if bits > dim:
        raise BadInput(f"--bits: ITQ has at most as many bits as the embedding has dimensions, {dim}; received {bits}")
    if count < bits:
        raise BadInput(f"--bits: ITQ is fitted on at least {bits} embeddings of seen classes, the file has {count}")
    mean = vectors.mean(0)
    _, axes = np.linalg.eigh(np.cov(vectors - mean, rowvar=False, bias=True))  # ascending
    axes = axes[:, ::-1][:, :bits]
    on_axes = (vectors - mean) @ axes
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(bits, bits)))[0]
    losses = []
    for _ in range(ITERATIONS):
        signs = np.where(on_axes @ rotation > 0, 1.0, -1.0)
        left, _, right = np.linalg.svd(on_axes.T @ signs)
        rotation = left @ right
        losses.append(float(((signs - on_axes @ rotation) ** 2).sum() / count))
    return ITQ(mean, axes @ rotation, tuple(losses))


def sign_codes(vectors, bits):
    """Packed codes (n, bits / 8) uint8: the sign of each dimension, so that dim has to be `bits`."""
    if vectors.shape[1] != bits:
        raise BadInput(
            f"--bits: sign codes have as many bits as the embedding has dimensions, {vectors.shape[1]}; received {bits}"
        )
    return pack(vectors)


def pack(values):
    """Codes (n, bits / 8) uint8 of `values` (n, bits): a bit is set where the value is above 0."""
    return np.packbits(np.asarray(values) > 0, axis=1)


def packed(vectors):
    """Codes (n, bytes) uint8 of `vectors` that are codes already, or that hold a sign (n, bits) for each bit."""
    return vectors if vectors.dtype == np.uint8 else pack(vectors)


def hamming(queries, gallery):
    """Number of different bits (queries, gallery) uint16 of packed codes (rows, bytes) uint8."""
    width = next(size for size in (8, 4, 2, 1) if queries.shape[1] % size == 0)  # bytes compared at once
    q, g = (np.ascontiguousarray(side).view(f"u{width}") for side in (queries, gallery))
    total = np.zeros((len(q), len(g)), np.uint16)
    for column in range(q.shape[1]):
        total += _popcount(q[:, column, None] ^ g[:, column])
    return total


def _popcount(values):
    if hasattr(np, "bitwise_count"):
        return np.bitwise_count(values)
    return _set_bits()[values[..., None].view(np.uint8)].sum(axis=-1, dtype=np.uint16)  # NumPy 1


@lru_cache(maxsize=1)
def _set_bits():
    return np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).sum(axis=1, dtype=np.uint8)


def stable_order(distance, own_rows=None):
    """(order (queries, ranked), which items tie with the one before) of distances (queries, gallery), overwritten."""
    if own_rows is not None:
        farthest = np.inf if distance.dtype.kind == "f" else np.iinfo(distance.dtype).max
        distance[np.arange(len(distance)), own_rows] = farthest
    order = np.argsort(distance, axis=1, kind="stable")  # radix sort for 16 bits
    if own_rows is not None:
        order = order[:, :-1]
    ranked = np.take_along_axis(distance, order, axis=1)
    return order, np.pad(ranked[:, 1:] == ranked[:, :-1], ((0, 0), (1, 0)))


def hits_by_distance(distance, relevant, own_rows, largest):
    """Hits from integer distances (queries, gallery), equal ones as runs, counted instead of sorted.

    `relevant` (queries, gallery): whether the item has the query's label. `own_rows`: as in `stable_order`.
    """
    queries, ranked = distance.shape
    bins = int(distance.max(initial=0)) + 2
    if own_rows is not None:
        distance[np.arange(queries), own_rows] = bins - 1  # behind everything, and cut off below
        ranked -= 1
    slot = distance + np.arange(queries)[:, None] * bins
    size = np.bincount(slot.ravel(), minlength=queries * bins).reshape(queries, bins)[:, :-1]
    hits = np.bincount(slot[relevant], minlength=queries * bins).reshape(queries, bins)[:, :-1]
    before = np.cumsum(size, axis=1) - size
    query, run = np.nonzero(hits)
    at = query, run
    return Hits(query, before[at], size[at], hits[at], hits.sum(axis=1), ranked, largest)
