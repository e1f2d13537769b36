"""Fine-grained retrieval: the rank of the photo that a sketch was drawn from, among those of its class and among all.

The file's `pairs` give the photo, or file names do as in Sketchy: `zebra/n02391049_12-3.png` draws
`zebra/n02391049_12.jpg`.
"""

from dataclasses import dataclass

import numpy as np

from zscmr.evaluation import statistics
from zscmr.evaluation.distances import check_vectors
from zscmr.evaluation.embeddings import drawn_photo, stems
from zscmr.evaluation.ranking import rank_blocks
from zscmr.evaluation.scoring import draw_queries
from zscmr.utils.errors import BadInput

DEPTHS = (1, 5, 10)
AMONG = ("photos of its class", "all photos")


@dataclass(frozen=True)
class Pairs:
    """Sketches of unseen classes with the photos they were drawn from, as rows of a `Features`."""

    sketches: np.ndarray  # (pairs,) rows
    photos: np.ndarray  # (pairs,) rows
    without: int  # sketches of unseen classes whose photo is not there, or not known
    source: str  # "file names" or "pairs"


def find_pairs(path, features):
    """`Pairs` of the rows of `features`. A photo listed twice counts where it is listed first.

    Raises BadInput if there is none, or if a pair is of two classes.
    """
    rows = np.flatnonzero(np.isin(features.sketch.labels, features.unseen))
    if features.pairs is not None:
        position_of = {row: position for position, row in enumerate(features.photo.rows.tolist())}
        drawn, source = features.pairs[features.sketch.rows[rows]].tolist(), "pairs"
    else:
        position_of, source = {}, "file names"
        for position, identity in enumerate(stems(features.photo)):
            position_of.setdefault(identity, position)
        drawn = [drawn_photo(*identity) for identity in stems(features.sketch.take(rows))]
    photos = np.array([position_of.get(which, -1) for which in drawn], np.int64)
    paired = photos >= 0
    if not paired.any():
        raise BadInput(
            f"{path}: --instances: no sketch with a photo it was drawn from; expected names such as n1_2-1.png of "
            "n1_2.jpg, or the variable pairs, the row of featuresx for each row of featuresy"
        )
    sketches, photos = rows[paired], photos[paired]
    for sketch, photo in zip(sketches, photos, strict=True):
        of = features.sketch.labels[sketch], features.photo.labels[photo]
        if of[0] != of[1]:
            row, (drawn, shown) = features.sketch.rows[sketch], map(features.class_name, of)
            raise BadInput(f"{path}: pairs row {row} (counted from 0): a sketch of {drawn}, a photo of {shown}")
    return Pairs(sketches, photos, int((~paired).sum()), source)


def photo_ranks(queries, gallery, photo_rows, labels, metric, memory, rerank=False):
    """Ranks (2, queries) of the gallery rows `photo_rows` (queries,), from 1: among rows of its label, and among all.

    `labels` (gallery,). Equal distances keep gallery order.
    """
    ranks = np.empty((2, len(queries)), np.int64)
    for rows, order in rank_blocks(queries, gallery, metric, memory=memory, rerank=rerank):
        position = np.argmax(order == photo_rows[rows, None], axis=1)
        alike = labels[order] == labels[photo_rows[rows], None]
        ranks[0, rows] = 1 + (alike & (np.arange(order.shape[1]) < position[:, None])).sum(axis=1)
        ranks[1, rows] = position + 1
    return ranks


def score_instances(path, features, setup, draws=0):
    """Summarise the rank of each sketch's own photo, over sketches that have one.

    Returns {"distance", "source", "without", "directions": {of `AMONG`: {"acc@1", "acc@5", "acc@10": share of sketches
    whose own photo is among the first k, "mean rank", "queries", "gallery": mean number of photos ranked}},
    "intervals": {of `AMONG`: {metric: (low, high)}} over `draws` resamplings}.
    """
    if setup.distance == "hamming":
        raise BadInput(f"{path}: --instances: expected embeddings, received binary codes, which tie")
    pairs = find_pairs(path, features)
    drawn = draw_queries(len(pairs.sketches), setup.queries, setup.seed)
    photo_rows, labels = pairs.photos[drawn], features.photo.labels
    for items in (features.sketch, features.photo):
        check_vectors(items.vectors, f"{path}: {items.key}", setup.distance, items.rows)
    queries, photos = features.sketch.vectors[pairs.sketches[drawn]], features.photo.vectors
    ranks = photo_ranks(queries, photos, photo_rows, labels, setup.distance, setup.memory, setup.rerank)
    _, which, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    galleries = sizes[which[photo_rows]], np.full(len(photo_rows), len(labels))
    results = {"distance": setup.distance, "source": pairs.source, "without": pairs.without, "directions": {}}
    results |= {"reranked": True} if setup.rerank else {}
    results |= {"intervals": {}} if draws else {}
    for among, column, gallery in zip(AMONG, ranks, galleries, strict=True):
        values = {f"acc@{k}": (column <= k).astype(float) for k in DEPTHS} | {"mean rank": column.astype(float)}
        means = {name: float(value.mean()) for name, value in values.items()}
        results["directions"][among] = means | {"queries": len(photo_rows), "gallery": float(gallery.mean())}
        if draws:
            results["intervals"][among] = statistics.intervals(values, labels[photo_rows], False, draws, setup.seed)
    return results
