"""Near duplicates among the hits of an answer: copies of a picture in another size or quality, and shots of a burst."""

import numpy as np

#: cosine distance of embeddings; most grocery photos that are stored anew as JPEG of quality 70 stay within it
NEAR = 0.008


def originals(vectors, distance, near=NEAR):
    """For each hit the position of the first that it nearly repeats; its own where there is none before it.

    Args:
        vectors: embeddings (k, dim), or packed codes (k, bytes) under hamming, nearest to the query first.
        distance: by which the gallery is ranked.
        near: cosine distance, 0 to 2, up to which two embeddings are of the same picture; for codes that of ±1.

    Returns (k,) int64. Hits are compared only with those that repeat no other, so that a chain does not drift.
    """
    if distance == "hamming":
        vectors = 2.0 * np.unpackbits(vectors, axis=1) - 1
    vectors = np.asarray(vectors, np.float32)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1)
    similar = unit @ unit.T >= 1 - near
    first = np.arange(len(vectors))
    for hit in range(1, len(first)):
        earlier = np.flatnonzero(similar[hit, :hit] & (first[:hit] == np.arange(hit)))
        if len(earlier):
            first[hit] = earlier[0]
    return first
