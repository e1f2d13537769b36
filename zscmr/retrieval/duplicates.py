"""Near duplicates among the hits of an answer: a picture stored anew, shots of a burst.

Among 648 grocery photos and 17 of them stored anew as JPEG, with 9 windows each: 13 of the 17 pairs are within NEAR,
and of the 210,000 other pairs one, which shows the same apples. By the whole pictures alone no constant tells them
apart as well, so that NEAR_WHOLE takes little but exact copies.
"""

import numpy as np

from zscmr.inference.units import units

NEAR = 0.025  # mean cosine distance of pictures and of their windows, place by place
NEAR_WHOLE = 0.004  # cosine distance of pictures without windows


def originals(parts, distance, near=None):
    """For each hit the position of the first that it nearly repeats; its own where there is none before it.

    Hits are compared only with those that repeat no other, so that a chain does not drift.

    Args:
        parts: vectors (k, n, dim) of the hits and their windows, or packed codes (k, n, bytes) under hamming.
        distance: by which the gallery is ranked.
        near: mean cosine distance, 0 to 2, up to which two are the same picture; of codes that of ±1. Left out: NEAR
            or NEAR_WHOLE.

    Returns (k,) int64.
    """
    if distance == "hamming":
        parts = 2.0 * np.unpackbits(parts, axis=2) - 1
    parts = np.asarray(parts, np.float32)
    count, rows, dim = parts.shape
    near = (NEAR if rows > 1 else NEAR_WHOLE) if near is None else near
    directions = units(parts).reshape(count, rows * dim)
    similar = directions @ directions.T / rows >= 1 - near
    first = np.arange(count)
    for hit in range(1, count):
        earlier = np.flatnonzero(similar[hit, :hit] & (first[:hit] == np.arange(hit)))
        if len(earlier):
            first[hit] = earlier[0]
    return first
