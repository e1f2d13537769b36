"""Who stands where: distances, exact rankings in blocks of bounded memory, the nearest K without a full sort.

Everything takes plain arrays. Items at exactly equal distance keep the order of the gallery, or are told apart as
tied where `hit_blocks` is asked to. "Exact" means by float64 arithmetic on the single pair, which does not depend on
where a row lies: copies of a row always tie.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from cli import BadInput
from evaluation import codes
from evaluation.metrics import Hits

REAL_METRICS = ("euclidean", "normalised", "cosine", "l1")
METRICS = (*REAL_METRICS, "hamming")
MEMORY = 10**9  # bytes; the default of --memory
BLOCK_ENTRIES = 2**20  # query-gallery pairs at once: a larger block is no faster, whatever the memory
CHUNK_ENTRIES = 2**17  # pairs a thread works on at once, so that its temporaries stay in its cache
PAIR_BYTES = 64  # of all temporaries of one query-gallery pair in a thread
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def distances(queries, gallery, metric):
    """Distances (queries, gallery) of `queries` (queries, dim) to `gallery` (gallery, dim), float64.

    euclidean: ‖q − g‖₂. normalised: ‖q/‖q‖ − g/‖g‖‖₂. cosine: 1 − q·g / ‖q‖‖g‖. l1: Σ|q − g|. hamming: different
    signs, or bits of packed codes (rows, bytes) uint8. Euclidean ones come from a matrix product, exact to 1e-15 of
    ‖q‖² + ‖g‖².
    """
    if metric == "hamming":
        return codes.hamming(*map(codes.packed, (queries, gallery))).astype(np.float64)
    space = _Space(queries, gallery, metric, MEMORY)
    keys = np.maximum(space.keys(slice(0, len(queries)), map), 0)
    return np.sqrt(keys) if metric in ("euclidean", "normalised") else keys


def rank(queries, gallery, metric, own_rows=None):
    """Gallery rows nearest first, (queries, ranked); see `rank_blocks`, which spares holding all of it at once."""
    return np.concatenate([order for _, order in rank_blocks(queries, gallery, metric, own_rows)])


def rank_blocks(queries, gallery, metric, own_rows=None, block=None, memory=MEMORY):
    """Yields (slice of queries, order) block by block: order (block, ranked) holds gallery rows, nearest first.

    Ties keep the order of the gallery. `own_rows` (queries,): the gallery row that is the query itself (−1: none),
    left out of its order whatever its distance; either every query has one or none has. `block`: queries per block;
    left out, what `memory` bytes allow.
    """

    def whole(ordering, rows, keys):
        return ordering.order(keys, rows)[0]

    for rows, orders in _in_blocks(queries, gallery, metric, own_rows, whole, block, memory):
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
):
    """Yields (slice of queries, [Hits]) block by block: where the items with the query's label stand.

    The Hits of a block follow each other. `ties`: `gallery` ranks equal items by gallery row; `expected` keeps them
    together, so that every metric is its mean over their orders; `optimistic`, `pessimistic` put the relevant ones
    first, last. `top`: the first ranks only, by `nearest`, in gallery order where they tie.
    """
    _, codes_of_labels = np.unique(np.r_[np.ravel(query_labels), np.ravel(gallery_labels)], return_inverse=True)
    asked, there = np.split(codes_of_labels.astype(np.int32), [len(query_labels)])
    relevant = np.bincount(there, minlength=codes_of_labels.max(initial=0) + 1)[asked]
    if own_rows is not None:
        relevant = relevant - ((own_rows >= 0) & (there[own_rows] == asked))
    largest = int(relevant.max(initial=0))

    if top is not None:
        for rows in _slices(len(queries), query_block(len(gallery), memory)):
            own = None if own_rows is None else own_rows[rows]
            order = nearest(queries[rows], gallery, metric, top, own, memory)
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

    yield from _in_blocks(queries, gallery, metric, own_rows, scored, block, memory)


def nearest(queries, gallery, metric, top, own_rows=None, memory=MEMORY):
    """Gallery rows of the `top` nearest items, nearest first, (queries, top): `rank` cut short, without a full sort.

    A float32 product finds the candidates: all items up to the K-th smallest distance plus twice the largest error
    that float32 can have made. Only they are ranked exactly.
    """
    own_rows = _own_rows(own_rows, len(queries))
    top = min(top, len(gallery) - (own_rows is not None))
    if metric in ("l1", "hamming"):
        blocks = rank_blocks(queries, gallery, metric, own_rows, memory=memory)
        return np.concatenate([order[:, :top] for _, order in blocks])
    space = _Space(queries, gallery, metric, memory, np.float32)
    found = np.empty((len(queries), top), np.int64)
    for rows in _slices(len(queries), query_block(len(gallery), memory)):
        keys = space.keys(rows, map)
        if own_rows is not None:
            keys[np.arange(len(keys)), own_rows[rows]] = np.inf
        # the K-th smallest value and every item that may be as near: argpartition, but with nobody cut off by rounding
        limit = np.partition(keys, top - 1, axis=1)[:, top - 1] + 2 * space.error[rows]
        query, item = np.nonzero(keys <= limit[:, None])
        exact = space.exact(query + rows.start, item)
        ordered = np.lexsort((item, exact, query))
        first = np.searchsorted(query[ordered], np.arange(len(keys)))
        found[rows] = item[ordered[first[:, None] + np.arange(top)]]
    return found


class _Space:
    """The rows of both sides, made ready so that one matrix product gives a key that rises with the distance."""

    def __init__(self, queries, gallery, metric, memory, dtype=np.float64):
        self.queries, self.gallery, self.metric, self.dtype = queries, gallery, metric, dtype
        dim = gallery.shape[1]
        self.step = max(1, int(memory / 8 / (8 * 4 * (dim + 2))))  # gallery rows made ready at once
        # Euclidean distances do not change when both sides move: about the gallery's middle they lose fewest digits
        self.centre = np.asarray(gallery[: self.step], np.float64).mean(0) if metric == "euclidean" else 0.0
        self.whole = self._as_columns(gallery) if len(gallery) <= self.step else None
        largest = max((self._norms(gallery[part]).max() for part in self._parts()), default=0.0)
        reach = np.concatenate([self._norms(queries[part]) for part in _slices(len(queries), self.step)]) + largest
        # a sum of dim products in any order is off by (dim + …) u Σ|terms| at most (Higham, Accuracy, section 3.1)
        terms = np.sqrt(dim) * reach if metric == "l1" else reach**2
        self.error = (dim + 8) * float(np.finfo(dtype).eps) * terms

    def _parts(self):
        return _slices(len(self.gallery), self.step)

    def _scaled(self, vectors):
        """(n, dim) float64, of unit length for normalised and cosine."""
        vectors = np.asarray(vectors, np.float64)
        if self.metric in ("normalised", "cosine"):
            return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def _ready(self, vectors):
        return self._scaled(vectors) - self.centre

    def _norms(self, vectors):
        return np.linalg.norm(self._ready(vectors), axis=1)

    def _as_rows(self, queries):
        q = self._ready(queries)
        one = np.ones((len(q), 1))
        if self.metric == "cosine":
            return np.hstack([-q, one]).astype(self.dtype)
        if self.metric == "l1":
            return q
        return np.hstack([-2 * q, (q**2).sum(1, keepdims=True), one]).astype(self.dtype)

    def _as_columns(self, gallery):
        g = self._ready(gallery)
        one = np.ones((len(g), 1))
        if self.metric == "cosine":
            return np.vstack([g.T, one.T]).astype(self.dtype)
        if self.metric == "l1":
            return np.ascontiguousarray(g.T)
        return np.vstack([g.T, one.T, (g**2).sum(1)]).astype(self.dtype)

    def keys(self, rows, each):
        """Keys (rows, gallery): squared distance, 1 − cosine, or L1; a copy of the query may come out at −1e-16.

        `each` maps a function over a sequence, perhaps in threads.
        """
        asked = self._as_rows(self.queries[rows])
        keys = np.empty((len(asked), len(self.gallery)), self.dtype)
        for part in self._parts():
            columns = self.whole if self.whole is not None else self._as_columns(self.gallery[part])
            if self.metric != "l1":
                keys[:, part] = asked @ columns if self.whole is None else np.matmul(asked, columns, out=keys)
                continue
            for _ in each(lambda row: _add_l1(asked[row], columns, keys[row, part]), range(len(asked))):  # noqa: B023
                pass
        return keys

    def exact(self, query, item):
        """Keys (pairs,) of single pairs of a query row and a gallery row, each by itself in float64."""
        exact = np.empty(len(query))
        for part in _slices(len(query), max(1, 2**22 // self.gallery.shape[1])):
            # not moved: differences of whole numbers stay whole, so that equal distances are found equal
            q, g = self._scaled(self.queries[query[part]]), self._scaled(self.gallery[item[part]])
            if self.metric == "cosine":
                exact[part] = 1 - (q * g).sum(1)
            else:
                exact[part] = np.abs(q - g).sum(1) if self.metric == "l1" else ((q - g) ** 2).sum(1)
        return exact


def _add_l1(query, columns, total):
    total[:] = 0
    for value, column in zip(query, columns, strict=True):
        total += np.abs(column - value)


def _in_blocks(queries, gallery, metric, own_rows, work, block, memory):
    """Yields (slice of queries, [work(ordering, rows, keys) of consecutive chunks of it])."""
    block = block or query_block(len(gallery), memory)
    kind = _CodeOrdering if metric == "hamming" else _Ordering
    ordering = kind(queries, gallery, metric, memory, _own_rows(own_rows, len(queries)))
    threads = max(1, min(CORES, int(memory / 2 / (PAIR_BYTES * len(gallery)))))
    chunk = max(1, min(-(-block // threads), CHUNK_ENTRIES // len(gallery)))
    with ThreadPoolExecutor(threads) as pool:
        for rows in _slices(len(queries), block):
            keys = ordering.keys(rows, pool.map)
            chunks = [slice(part.start + rows.start, part.stop + rows.start) for part in _slices(len(keys), chunk)]
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
        self.space, self.own_rows = _Space(queries, gallery, metric, memory), own_rows
        self.keys = self.space.keys

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
        queries = np.arange(len(self.space.queries))[rows][lines]
        order[lines], tied[lines] = _reordered(order[lines], near[lines], doubtful[lines], queries, self.space)
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
        again = np.arange(len(self.space.queries))[rows][lines]
        order, tied_there = self.order(self.keys(again, map), again, relevant[lines])
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
        """Up to which difference two values of a row may stand in the wrong order, (rows,)."""
        farthest = values[:, -1] if values.shape[1] else 0.0
        return 2 * self.space.error[rows] + farthest * 2.0 ** (width - 51)


def _reordered(order, near, doubtful, queries, space):
    """`order` with each cluster of near neighbours that holds a doubtful pair in exact order, and what ties in it."""
    cluster = np.cumsum(np.pad(~near, ((0, 0), (1, 0)), constant_values=True), axis=1)
    cluster += (np.arange(len(order)) * (order.shape[1] + 1))[:, None]
    wanted = np.zeros(cluster.max() + 1, bool)
    wanted[cluster[:, 1:][doubtful]] = True
    line, place = np.nonzero(wanted[cluster])
    item, cluster = order[line, place], cluster[line, place]
    exact = space.exact(queries[line], item)
    by_distance = np.lexsort((item, exact, cluster))
    order[line, place] = item[by_distance]
    exact = exact[by_distance]
    tied = np.zeros(order.shape, bool)
    tied[line[1:], place[1:]] = (cluster[1:] == cluster[:-1]) & (exact[1:] == exact[:-1])
    return order, tied


def _own_rows(own_rows, queries):
    if own_rows is None or (np.asarray(own_rows) < 0).all():
        return None
    own_rows = np.asarray(own_rows)
    if len(own_rows) != queries or (own_rows < 0).any():
        raise ValueError("own_rows: every query or none is in the gallery itself")
    return own_rows


def query_block(gallery, memory):
    """How many queries a block holds so that keys and the threads' temporaries stay within `memory` bytes."""
    one = PAIR_BYTES * gallery
    if one > memory / 2:
        raise BadInput(
            f"--memory: one query against {gallery} items takes {2 * one / 1e9:.3g} GB, received {memory / 1e9:.3g}"
        )
    return max(1, min(int(memory / 4 / (8 * gallery)), BLOCK_ENTRIES // gallery))


def _slices(count, step):
    return [slice(start, min(start + step, count)) for start in range(0, count, step)]
