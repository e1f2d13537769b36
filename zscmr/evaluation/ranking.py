"""Exact rankings, in blocks of bounded memory.

Everything takes plain arrays. Items at exactly equal distance keep the order of the gallery, or are marked as tied
where `hit_blocks` is asked to. "Exact" means by float64 arithmetic on the single pair, which does not depend on where
a row lies: copies of a row always tie.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from zscmr.evaluation import codes
from zscmr.evaluation.distances import (
    CHUNK_ENTRIES,
    CORES,
    MEMORY,
    PAIR_BYTES,
    checked_own_rows,
    query_block,
    slices,
)
from zscmr.evaluation.metrics import Hits
from zscmr.evaluation.nearest import Index, nearest
from zscmr.evaluation.orderings import CodeOrdering, KeyOrdering
from zscmr.evaluation.rerank import Reranking


def rank(queries, gallery, metric, own_rows=None, rerank=False):
    """Gallery rows nearest first, (queries, ranked), all at once; arguments as in `rank_blocks`."""
    return np.concatenate([order for _, order in rank_blocks(queries, gallery, metric, own_rows, rerank=rerank)])


def first_ranks(queries, gallery, metric, top, own_rows=None, rerank=False):
    """Gallery rows at the first `top` ranks, (queries, top); the other arguments as in `rank_blocks`."""
    if not rerank:
        return nearest(queries, gallery, metric, top, own_rows)
    blocks = rank_blocks(queries, gallery, metric, own_rows, rerank=True)
    return np.concatenate([order[:, :top] for _, order in blocks])


def rank_blocks(queries, gallery, metric, own_rows=None, block=None, memory=MEMORY, rerank=False):
    """Yield (slice of queries, order) block by block: order (block, ranked) holds gallery rows, nearest first.

    Args:
        queries: (n, dim), or codes.
        gallery: (m, dim), or codes.
        metric: one of `DISTANCE_NAMES`.
        own_rows: (n,) gallery row that is the query itself, which is left out; −1 for none, and then for all.
        block: queries per block; left out, what `memory` allows.
        memory: bytes.
        rerank: whether to order by the neighbourhoods in the gallery (`rerank.py`); not for codes.
    """
    own_rows = checked_own_rows(own_rows, len(queries))
    ordering = _ordering(queries, gallery, metric, own_rows, memory, rerank)
    for rows, orders in _in_blocks(ordering, _order_of, block, memory):
        yield rows, np.concatenate(orders)


@dataclass(frozen=True)
class HitOptions:
    """How `hit_blocks` ranks and counts."""

    # gallery: equal items keep gallery order. expected: they stay together, so that every metric is its mean over their
    # orders. optimistic, pessimistic: of equal items the relevant ones come first, last
    ties: str = "gallery"
    top: int | None = None  # ranks to score, equal items in gallery order; None: all
    block: int | None = None  # queries per block; None: what `memory` allows
    memory: int = MEMORY  # bytes
    rerank: bool = False  # as in `rank_blocks`; not with `top`


def hit_blocks(queries, gallery, metric, query_labels, gallery_labels, own_rows=None, **options):
    """Yield (slice of queries, [Hits]) block by block: the ranks of the items with the query's label.

    The Hits of a block follow each other.

    Args:
        queries: (n, dim), or codes.
        gallery: (m, dim), or codes.
        metric: one of `DISTANCE_NAMES`.
        query_labels: (n,).
        gallery_labels: (m,).
        own_rows: as in `rank_blocks`.
        options: fields of `HitOptions`.
    """
    options = HitOptions(**options)
    own_rows = checked_own_rows(own_rows, len(queries))
    labels = _Labels.of(query_labels, gallery_labels, own_rows)
    if options.top is not None:
        yield from _first_hits(Index(gallery, metric, options.memory), queries, labels, own_rows, options.top)
        return
    ordering = _ordering(queries, gallery, metric, own_rows, options.memory, options.rerank)
    yield from _in_blocks(ordering, partial(_hits_of, labels, options.ties), options.block, options.memory)


@dataclass(frozen=True)
class _Labels:
    """Labels as numbers from 0, and the number of relevant items of each query."""

    queries: np.ndarray  # (n,) int32
    gallery: np.ndarray  # (m,) int32
    relevant: np.ndarray  # (n,) R
    largest: int  # R of any query

    @staticmethod
    def of(query_labels, gallery_labels, own_rows):
        _, numbers = np.unique(np.r_[np.ravel(query_labels), np.ravel(gallery_labels)], return_inverse=True)
        queries, gallery = np.split(numbers.astype(np.int32), [len(query_labels)])
        relevant = np.bincount(gallery, minlength=numbers.max(initial=0) + 1)[queries]
        if own_rows is not None:
            relevant = relevant - (gallery[own_rows] == queries)
        return _Labels(queries, gallery, relevant, int(relevant.max(initial=0)))


def _first_hits(index, queries, labels, own_rows, top):
    for rows in slices(len(queries), query_block(len(index.vectors), index.memory)):
        part_own_rows = None if own_rows is None else own_rows[rows]
        order, _ = index.search(queries[rows], top, own_rows=part_own_rows)
        ranked = len(index.vectors) - (part_own_rows is not None)
        hits = labels.gallery[order] == labels.queries[rows, None]
        yield rows, [Hits.of(hits, None, labels.relevant[rows], ranked, labels.largest)]


def _order_of(ordering, rows, keys):
    return ordering.order(keys, rows)[0]


def _hits_of(labels, ties, ordering, rows, keys):
    relevant = labels.gallery == labels.queries[rows, None]
    if isinstance(ordering, CodeOrdering) and ties != "gallery":
        hits = codes.hits_by_distance(keys, relevant, ordering.own_rows_of(rows), labels.largest)
    else:
        hits, tied = ordering.hits(keys, rows, relevant)
        hits = Hits.of(hits, tied if ties != "gallery" else None, largest=labels.largest)
    return hits if ties in ("gallery", "expected") else hits.resolved(first=ties == "optimistic")


def _ordering(queries, gallery, metric, own_rows, memory, rerank):
    if rerank:
        return Reranking(queries, gallery, metric, memory, own_rows)
    if metric == "hamming":
        return CodeOrdering(queries, gallery, own_rows)
    return KeyOrdering(queries, gallery, metric, memory, own_rows)


def _in_blocks(ordering, work, block, memory):
    """Yield (slice of queries, [work(ordering, rows, keys) of consecutive chunks of it])."""
    queries, gallery = ordering.shape
    block = block or query_block(gallery, memory)
    threads = max(1, min(CORES, int(memory / 2 / (PAIR_BYTES * gallery))))
    chunk = max(1, min(-(-block // threads), CHUNK_ENTRIES // gallery))
    with ThreadPoolExecutor(threads) as pool:
        for rows in slices(queries, block):
            keys = ordering.keys(rows, pool.map)
            chunks = [slice(part.start + rows.start, part.stop + rows.start) for part in slices(len(keys), chunk)]
            parts = np.split(keys, range(chunk, len(keys), chunk))
            yield rows, list(pool.map(partial(work, ordering), chunks, parts))
