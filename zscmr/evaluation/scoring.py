"""Retrieval scored query by query: plain arrays or embeddings files, every protocol."""

from dataclasses import dataclass
from functools import partial

import numpy as np

from zscmr.evaluation.distances import MEMORY, check_vectors, query_block
from zscmr.evaluation.embeddings import DIRECTIONS
from zscmr.evaluation.protocols import PROTOCOLS
from zscmr.evaluation.ranking import hit_blocks
from zscmr.evaluation.summaries import summary
from zscmr.utils.console import track
from zscmr.utils.errors import BadInput

ACROSS = ("sketch->image", "image->sketch")  # directions between the modalities


@dataclass(frozen=True)
class Setup:
    """How to rank and to score."""

    protocol: str = "standard"
    distance: str = "euclidean"
    ties: str = "gallery"
    queries: int | None = None  # number of queries to draw; None: all
    top: int | None = None  # ranks scored; None: all
    memory: int = MEMORY  # bytes
    seed: int = 0
    also: tuple[str, ...] = ()  # further metrics
    rerank: bool = False
    progress: bool = False

    @staticmethod
    def of(settings, recorded):
        """From the command line and the distance recorded with the embeddings."""
        hamming = recorded == "hamming"
        if hamming and settings.rerank:
            raise BadInput("--rerank: expected embeddings, received binary codes")
        distance = recorded if hamming else settings.distance or PROTOCOLS[settings.protocol].distance or recorded
        return Setup(
            settings.protocol,
            distance,
            tie_rule(settings.ties, distance, settings.top, settings.protocol),
            settings.queries,
            settings.top,
            int(settings.memory * 1e9),
            settings.seed,
            settings.also,
            settings.rerank,
            progress=True,
        )


def tie_rule(ties, distance, top, protocol):
    """How equal distances count, a key of `TIES`. Raises BadInput where the protocol has no such mean.

    Args:
        ties: the rule chosen; None for the default, tied codes in the mean of their orders, others in gallery order.
        distance: what ranks.
        top: ranks scored, None for all.
        protocol: a key of `PROTOCOLS`.
    """
    ties = ties or ("expected" if distance == "hamming" and not top else "gallery")
    if ties == "expected" and PROTOCOLS[protocol].interpolated:
        raise BadInput(
            f"--protocol {protocol}: interpolated AP has no expected value over ties; "
            "--ties gallery, optimistic or pessimistic, or --protocol standard or sempcyc"
        )
    return ties


@dataclass(frozen=True)
class Scores:
    """One direction, query by query."""

    values: dict[str, np.ndarray]  # metric -> (queries,)
    labels: np.ndarray  # (queries,)
    rows: np.ndarray  # (queries,) row of each query among its modality's
    relevant: np.ndarray  # (queries,) R, the items of the query's class among those it is ranked against
    gallery: int  # items each query is ranked against

    def take(self, chosen):
        """The scores of the chosen queries, a mask or row numbers."""
        values = {name: column[chosen] for name, column in self.values.items()}
        return Scores(values, self.labels[chosen], self.rows[chosen], self.relevant[chosen], self.gallery)


def evaluate(photos, sketches, photo_labels, sketch_labels, *, directions=tuple(DIRECTIONS), **options):
    """Score retrieval between photos and sketches.

    Returns {"protocol", "distance", "ties", "directions": {direction: {metric: mean, "queries", "gallery"}},
    "without_relevant": {"directions": {direction: queries with R = 0}}}, and "reranked" where that is so. "gallery"
    counts the items each query is ranked against: within one modality all but itself.

    Args:
        photos: (photos, dim), or packed codes.
        sketches: (sketches, dim), or packed codes.
        photo_labels: (photos,).
        sketch_labels: (sketches,).
        directions: keys of `DIRECTIONS`.
        options: fields of `Setup`; left out, the distance is the protocol's, else euclidean, and ties count as in
            `tie_rule`.
    """
    check_directions(directions)
    protocol = options.get("protocol", "standard")
    distance = options.pop("distance", None) or PROTOCOLS[protocol].distance or "euclidean"
    ties = tie_rule(options.pop("ties", None), distance, options.get("top"), protocol)
    setup = Setup(distance=distance, ties=ties, **options)
    vectors = {"photo": np.asarray(photos), "sketch": np.asarray(sketches)}
    labels = {"photo": np.ravel(photo_labels), "sketch": np.ravel(sketch_labels)}
    for modality, rows in vectors.items():
        if rows.ndim != 2 or len(rows) != len(labels[modality]):
            expected = f"expected ({len(labels[modality])}, dim) for the labels, received {rows.shape}"
            raise BadInput(f"{modality} embeddings: {expected}")
        check_vectors(rows, f"{modality} embeddings", distance)
    return summary({direction: score(vectors, labels, direction, setup) for direction in directions}, setup)


def score_across(photos, sketches, photo_labels, sketch_labels, distance):
    """mAP@all of embeddings, mean of both directions between the modalities; chooses the epoch."""
    results = evaluate(photos, sketches, photo_labels, sketch_labels, distance=distance, directions=ACROSS)
    return float(np.mean([values["mAP@all"] for values in results["directions"].values()]))


def score_features(path, features, setup, directions=(), scorer=None):
    """Score a file's rows: {direction: Scores}. Errors name the file.

    Args:
        path: the file, for messages.
        features: its `Features`.
        setup: how to rank and score.
        directions: keys of `DIRECTIONS`; left out, all.
        scorer: as in `score`.
    """
    sides = {"photo": features.photo, "sketch": features.sketch}
    if setup.distance != "hamming":
        for items in sides.values():
            check_vectors(items.vectors, f"{path}: {items.key}", setup.distance, items.rows)
    vectors = {modality: items.vectors for modality, items in sides.items()}
    labels = {modality: items.labels for modality, items in sides.items()}
    try:
        return {direction: score(vectors, labels, direction, setup, scorer) for direction in directions or DIRECTIONS}
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error


def score(vectors, labels, direction, setup, scorer=None):
    """Score every query of one direction; return `Scores`.

    Args:
        vectors: {"photo", "sketch"}: (n, dim), or packed codes.
        labels: {"photo", "sketch"}: (n,).
        direction: a key of `DIRECTIONS`.
        setup: how to rank and score.
        scorer: Hits -> {metric: (queries, …)}; left out, the protocol's.
    """
    query_modality, gallery_modality = DIRECTIONS[direction]
    rows = draw_queries(len(vectors[query_modality]), setup.queries, setup.seed)
    own_rows = rows if query_modality == gallery_modality else None
    ranked = len(vectors[gallery_modality]) - (own_rows is not None)
    if len(rows) == 0:
        raise BadInput(f"{direction}: expected at least 1 {query_modality} to query with, received 0")
    if ranked < 1:
        raise BadInput(f"{direction}: the gallery is empty, expected at least 1 {gallery_modality} to retrieve")

    scorer = scorer or partial(PROTOCOLS[setup.protocol].score, top=setup.top, also=setup.also)
    query_labels = labels[query_modality][rows]
    blocks = hit_blocks(
        vectors[query_modality] if len(rows) == len(vectors[query_modality]) else vectors[query_modality][rows],
        vectors[gallery_modality],
        setup.distance,
        query_labels,
        labels[gallery_modality],
        own_rows,
        ties=setup.ties,
        top=setup.top,
        memory=setup.memory,
        rerank=setup.rerank,
    )
    if setup.progress:
        size = query_block(len(vectors[gallery_modality]), setup.memory)
        blocks = track(blocks, direction, total=-(-len(rows) // size))
    scored, relevant = [], []
    for _, parts in blocks:
        scored += [scorer(hits) for hits in parts]
        relevant += [hits.relevant for hits in parts]
    values = {name: np.concatenate([part[name] for part in scored]) for name in scored[0]}
    return Scores(values, query_labels, rows, np.concatenate(relevant), ranked)


def draw_queries(available, count, seed):
    """Row numbers of the queries, ascending: all, or `count` of them drawn without replacement."""
    if count is None or count >= available:
        return np.arange(available)
    return np.sort(np.random.default_rng(seed).choice(available, count, replace=False))


def check_directions(directions):
    """Raise BadInput for a name that is no key of `DIRECTIONS`."""
    for direction in directions:
        if direction not in DIRECTIONS:
            # the shell leaves 'sketch-' of an unquoted sketch->image
            hint = " (put quotes around it, the shell reads > itself)" if direction.endswith("-") else ""
            raise BadInput(f"--directions: expected any of {', '.join(DIRECTIONS)}, received {direction}{hint}")
