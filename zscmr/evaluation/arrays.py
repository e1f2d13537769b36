"""Retrieval between two plain arrays, scored: what programs call as `zscmr.evaluate`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zscmr.evaluation.distances import check_vectors
from zscmr.evaluation.protocols import PROTOCOLS, TIES
from zscmr.evaluation.ranking import hit_blocks
from zscmr.evaluation.statistics import mean
from zscmr.utils.errors import BadInput


class RetrievalScores(dict[str, float]):
    """Mean of each metric by name. `conventions` is a sentence on how they were measured."""

    conventions: str

    def __init__(self, means: dict[str, float], conventions: str) -> None:
        super().__init__(means)
        self.conventions = conventions


def evaluate_arrays(
    queries: npt.ArrayLike,
    gallery_rows: npt.ArrayLike,
    query_labels: npt.ArrayLike,
    gallery_labels: npt.ArrayLike,
    protocol: str = "standard",
) -> RetrievalScores:
    """Rank the gallery for each query and return the protocol's metrics.

    Queries that equal the gallery, rows and labels, are its own items: each is left out of its own ranking.

    Args:
        queries: (n, dim) embeddings.
        gallery_rows: (m, dim) embeddings.
        query_labels: (n,) class of each query, numbers or names.
        gallery_labels: (m,) class of each gallery row, of the same type.
        protocol: a key of `protocols.PROTOCOLS`. It chooses the distance too; `standard` ranks by Euclidean distance,
            which ranks rows of unit length as cosine does.

    Raises BadInput for an unknown protocol, shapes that do not match, and rows that cannot be ranked.
    """
    if protocol not in PROTOCOLS:
        raise BadInput(f"protocol: expected any of {', '.join(PROTOCOLS)}, received {protocol}")
    rules = PROTOCOLS[protocol]
    distance = rules.distance or "euclidean"
    query_rows, query_classes = _checked("query", queries, query_labels, distance)
    gallery, gallery_classes = _checked("gallery", gallery_rows, gallery_labels, distance)
    if query_rows.shape[1] != gallery.shape[1]:
        raise BadInput(f"query embeddings: expected {gallery.shape[1]}-d as the gallery, received {query_rows.shape}")
    if (query_classes.dtype.kind == "U") != (gallery_classes.dtype.kind == "U"):
        raise BadInput(
            f"query labels: expected {gallery_classes.dtype} as in the gallery, received {query_classes.dtype}"
        )
    own_rows = None
    if np.array_equal(query_rows, gallery) and np.array_equal(query_classes, gallery_classes):
        own_rows = np.arange(len(gallery))
        if len(gallery) == 1:
            raise BadInput("gallery: expected a row beside the query itself, received 1 row")
    blocks = hit_blocks(query_rows, gallery, distance, query_classes, gallery_classes, own_rows)
    scored = [rules.score(hits) for _, parts in blocks for hits in parts]
    means = {
        name: mean(np.concatenate([part[name] for part in scored]), query_classes, rules.class_means)
        for name in scored[0]
    }
    return RetrievalScores(means, f"{rules.conventions(distance)} A query with R = 0 counts 0; {TIES['gallery']}")


def _checked(side: str, rows: npt.ArrayLike, labels: npt.ArrayLike, distance: str) -> tuple[np.ndarray, np.ndarray]:
    """(rows (n, dim), labels (n,)) of one side as arrays. Raises BadInput unless they match and can be ranked."""
    vectors, classes = np.asarray(rows), np.asarray(labels)
    if classes.dtype.kind == "O":
        classes = classes.astype(str)
    if vectors.ndim != 2 or 0 in vectors.shape or vectors.dtype.kind not in "biuf":
        raise BadInput(f"{side} embeddings: expected numbers (rows, dim), received {vectors.dtype} {vectors.shape}")
    if classes.shape not in ((len(vectors),), (len(vectors), 1)):
        raise BadInput(f"{side} labels: expected ({len(vectors)},), one a row, received {classes.shape}")
    check_vectors(vectors, f"{side} embeddings", distance)
    return vectors, classes.ravel()
