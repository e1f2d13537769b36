"""Exact rankings, in blocks of bounded memory.

Everything takes plain arrays. Items at exactly equal distance keep the order of the gallery, or are marked as tied
where `hit_blocks` is asked to. "Exact" means by float64 arithmetic on the single pair, which does not depend on where
a row lies: copies of a row always tie.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from zscmr.evaluation import codes
from zscmr.evaluation.distances import (
    CHUNK_ENTRIES,
    CORES,
    MEMORY,
    PAIR_BYTES,
    checked_own_rows,
    pair_keys,
    query_block,
    slices,
)
from zscmr.evaluation.metrics import Hits
from zscmr.evaluation.nearest import Index, nearest
from zscmr.evaluation.rerank import Reranking


def rank(queries, gallery, metric, own_rows=None, rerank=False):
    """Gallery rows nearest first, (queries, ranked); see `rank_blocks`, which spares holding all of it at once."""
    return np.concatenate([order for _, order in rank_blocks(queries, gallery, metric, own_rows, rerank=rerank)])


def first_ranks(queries, gallery, metric, top, own_rows=None, rerank=False):
    """Gallery rows at the first `top` ranks, (queries, top): of `nearest`, or of `rank_blocks` re-ranked."""
    if not rerank:
        return nearest(queries, gallery, metric, top, own_rows)
    blocks = rank_blocks(queries, gallery, metric, own_rows, rerank=True)
    return np.concatenate([order[:, :top] for _, order in blocks])


def rank_blocks(queries, gallery, metric, own_rows=None, block=None, memory=MEMORY, rerank=False):
    """Yield (slice of queries, order) block by block: order (block, ranked) holds gallery rows, nearest first.

    Ties keep the order of the gallery. `own_rows` (queries,): the gallery row that is the query itself (−1: none),
    always left out; either every query has one or none. `block`: queries per block, by default what `memory` bytes
    allow. `rerank`: by the neighbourhoods in the gallery, see `rerank.py`; not for codes.
    """

    own_rows = checked_own_rows(own_rows, len(queries))

    def whole(ordering, rows, keys):
        return ordering.order(keys, rows)[0]

    for rows, orders in _in_blocks(queries, gallery, metric, own_rows, whole, block, memory, rerank):
        yield rows, np.concatenate(orders)


def hit_blocks(
    queries,
    gallery,
    metric,
    query_labels,
    gallery_labels,
    own_rows=None,
    ties="gallery",
    top=None,
    block=None,
    memory=MEMORY,
    rerank=False,
):
    """Yield (slice of queries, [Hits]) block by block: where the items with the query's label stand.

    The Hits of a block follow each other. `ties`: `gallery` ranks equal items by gallery row; `expected` keeps them
    together, so that every metric is its mean over their orders; `optimistic`, `pessimistic` put the relevant ones
    first, last. `top`: the first ranks only, by `nearest`, in gallery order where they tie. `rerank`: as in
    `rank_blocks`, without `top`.
    """
    _, codes_of_labels = np.unique(np.r_[np.ravel(query_labels), np.ravel(gallery_labels)], return_inverse=True)
    asked, there = np.split(codes_of_labels.astype(np.int32), [len(query_labels)])
    relevant = np.bincount(there, minlength=codes_of_labels.max(initial=0) + 1)[asked]
    own_rows = checked_own_rows(own_rows, len(queries))
    if own_rows is not None:
        relevant = relevant - (there[own_rows] == asked)
    largest = int(relevant.max(initial=0))

    if top is not None:
        index = Index(gallery, metric, memory)
        for rows in slices(len(queries), query_block(len(gallery), memory)):
            own = None if own_rows is None else own_rows[rows]
            order, _ = index.search(queries[rows], top, own_rows=own)
            ranked = len(gallery) - (own is not None)
            yield rows, [Hits.of(there[order] == asked[rows, None], None, relevant[rows], ranked, largest)]
        return

    def scored(ordering, rows, keys):
        relevant = there == asked[rows, None]
        if metric == "hamming" and ties != "gallery":
            hits = codes.hits_by_distance(keys, relevant, ordering.own(rows), largest)
        else:
            hits, tied = ordering.hits(keys, rows, relevant)
            hits = Hits.of(hits, tied if ties != "gallery" else None, largest=largest)
        return hits if ties in ("gallery", "expected") else hits.resolved(first=ties == "optimistic")

    yield from _in_blocks(queries, gallery, metric, own_rows, scored, block, memory, rerank)


def _in_blocks(queries, gallery, metric, own_rows, work, block, memory, rerank):
    """Yield (slice of queries, [work(ordering, rows, keys) of consecutive chunks of it])."""
    block = block or query_block(len(gallery), memory)
    kind = Reranking if rerank else _CodeOrdering if metric == "hamming" else _Ordering
    ordering = kind(queries, gallery, metric, memory, own_rows)
    threads = max(1, min(CORES, int(memory / 2 / (PAIR_BYTES * len(gallery)))))
    chunk = max(1, min(-(-block // threads), CHUNK_ENTRIES // len(gallery)))
    with ThreadPoolExecutor(threads) as pool:
        for rows in slices(len(queries), block):
            keys = ordering.keys(rows, pool.map)
            chunks = [slice(part.start + rows.start, part.stop + rows.start) for part in slices(len(keys), chunk)]
            parts = np.split(keys, range(chunk, len(keys), chunk))
            yield rows, list(pool.map(lambda rows, keys: work(ordering, rows, keys), chunks, parts))


class _CodeOrdering:
    """Orders by Hamming distance."""

    def __init__(self, queries, gallery, metric, memory, own_rows):
        self.queries, self.gallery, self.own_rows = codes.packed(queries), codes.packed(gallery), own_rows

    def own(self, rows):
        return None if self.own_rows is None else self.own_rows[rows]

    def keys(self, rows, each):
        return codes.hamming(self.queries[rows], self.gallery)

    def order(self, keys, rows):
        return codes.stable_order(keys, self.own(rows))

    def hits(self, keys, rows, relevant):
        order, tied = self.order(keys, rows)
        return np.take_along_axis(relevant, order, axis=1), tied


class _Ordering:
    """Orders by real-valued distance: one sort of 8-byte integers, a third of the time of argsort.

    A float64 key keeps its order when read as an integer, and its lowest bits have room for what has to be known of
    the item afterwards. Neighbours that the key, short of those bits and with the error of its matrix product, cannot
    tell apart are ordered again by their exact distances. Negative keys, zero but for that error, sort backwards, but
    are such neighbours. Both methods overwrite `keys`.
    """

    def __init__(self, queries, gallery, metric, memory, own_rows):
        self.queries, self.gallery, self.metric, self.own_rows = queries, gallery, metric, own_rows
        self.index = Index(gallery, metric, memory / 8, np.float64)
        self.error = self.index.error(queries)

    def keys(self, rows, each=map):
        """Keys (rows, gallery) of the queries `rows`, a slice or numbers."""
        return self.index.keys(self.queries[rows], each)

    def order(self, keys, rows, relevant=None):
        """(gallery rows nearest first (rows, ranked), which tie with the one before, or None if none does).

        The lowest bits hold the gallery row. With `relevant` (rows, gallery) doubt is only resolved where a relevant
        and an irrelevant item might change places.
        """
        width = keys.shape[1].bit_length()
        bits = self._sorted(keys, rows, width, np.arange(keys.shape[1]))
        order = bits & ((1 << width) - 1)
        bits &= -1 << width
        values = bits.view(np.float64)
        near = values[:, 1:] - values[:, :-1] <= self._doubt(values, rows, width)[:, None]
        doubtful = near
        if relevant is not None:
            hits = np.take_along_axis(relevant, order, axis=1)
            doubtful = near & (hits[:, 1:] != hits[:, :-1])
        lines = np.flatnonzero(doubtful.any(axis=1))
        if len(lines) == 0:
            return order, None
        tied = np.zeros(order.shape, bool)
        queries = np.arange(len(self.queries))[rows][lines]
        order[lines], tied[lines] = self._reordered(order[lines], near[lines], doubtful[lines], queries)
        return order, tied

    def hits(self, keys, rows, relevant):
        """(whether the item at each rank is relevant (rows, ranked), ties as in `order`).

        The lowest bit holds whether an item is relevant: all that scores depend on.
        """
        bits = self._sorted(keys, rows, 1, relevant)
        hits = (bits & 1).astype(bool)
        values, last = bits.view(np.float64), hits.shape[1] - 1
        if last < 1:
            return hits, None
        line, place = np.divmod(np.flatnonzero(hits), last + 1)
        doubt, own = self._doubt(values, rows, 1)[line], values[line, place]
        doubtful = np.zeros(len(line), bool)
        for beside in (np.maximum(place - 1, 0), np.minimum(place + 1, last)):
            doubtful |= ~hits[line, beside] & (np.abs(values[line, beside] - own) <= doubt)
        if not doubtful.any():
            return hits, None
        lines = np.unique(line[doubtful])
        again = np.arange(len(self.queries))[rows][lines]
        order, tied_there = self.order(self.keys(again), again, relevant[lines])
        hits[lines] = np.take_along_axis(relevant[lines], order, axis=1)
        tied = np.zeros(hits.shape, bool)
        if tied_there is not None:
            tied[lines] = tied_there
        return hits, tied

    def _sorted(self, keys, rows, width, low_bits):
        """Keys as sorted integers, their `width` lowest bits replaced; (rows, ranked), the query itself left out."""
        bits = keys.view(np.int64)
        bits &= -1 << width
        bits |= low_bits
        if self.own_rows is not None:
            bits[np.arange(len(bits)), self.own_rows[rows]] = np.iinfo(np.int64).max
        bits.sort(axis=1)
        return bits if self.own_rows is None else bits[:, :-1]

    def _doubt(self, values, rows, width):
        """Largest difference (rows,) at which two values of a row may be in the wrong order."""
        farthest = values[:, -1] if values.shape[1] else 0.0
        return 2 * self.error[rows] + farthest * 2.0 ** (width - 51)

    def _reordered(self, order, near, doubtful, queries):
        """`order` with each cluster of near items that holds a doubtful pair in exact order, and what ties in it."""
        cluster = np.cumsum(np.pad(~near, ((0, 0), (1, 0)), constant_values=True), axis=1)
        cluster += (np.arange(len(order)) * (order.shape[1] + 1))[:, None]
        wanted = np.zeros(cluster.max() + 1, bool)
        wanted[cluster[:, 1:][doubtful]] = True
        line, place = np.nonzero(wanted[cluster])
        item, cluster = order[line, place], cluster[line, place]
        exact = pair_keys(self.queries, queries[line], self.gallery, item, self.metric)
        by_distance = np.lexsort((item, exact, cluster))
        order[line, place] = item[by_distance]
        exact = exact[by_distance]
        tied = np.zeros(order.shape, bool)
        tied[line[1:], place[1:]] = (cluster[1:] == cluster[:-1]) & (exact[1:] == exact[:-1])
        return order, tied
