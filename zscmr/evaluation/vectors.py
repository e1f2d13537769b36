"""Vectors that can be ranked."""

import numpy as np

from zscmr.errors import BadInput


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
