"""Scores of rankings, in every convention of the field.

Each metric takes a boolean array `hits` (queries, ranked): whether the item at that rank is of the query's class, over
the whole gallery; or a `Hits`. It returns one number per query. R is the number of relevant items in the gallery. In a
`Hits`, tied items form one run, and every metric is its mean over all orders of the tied items (McSherry and Najork,
ECIR 2008).
"""

from dataclasses import dataclass, replace
from functools import lru_cache, partial

import numpy as np


@dataclass(frozen=True)
class Hits:
    """Runs of equally distant items that hold a relevant one, query by query and nearest first; without ties every
    run is a single item."""

    query: np.ndarray  # (runs,) row of the query
    before: np.ndarray  # (runs,) items ranked before the run
    size: np.ndarray  # (runs,) items in it
    hits: np.ndarray  # (runs,) relevant ones among them
    relevant: np.ndarray  # (queries,) R
    ranked: int  # items that each query ranks
    largest: int  # the largest R of all queries, beyond those here; ANMRR needs it

    @staticmethod
    def of(hits, tied=None, relevant=None, ranked=None, largest=None):
        """From a boolean array (queries, ranked). `tied`, of the same shape: whether an item ties with the one before
        it. `relevant` and `ranked` have to be given where `hits` holds the first ranks only."""
        if isinstance(hits, Hits):
            return hits
        if tied is None:
            query, before = np.divmod(np.flatnonzero(hits), hits.shape[1])  # np.nonzero is slow in two dimensions
            size = count = np.ones(len(query), np.int64)
        else:
            starts = np.flatnonzero(~np.pad(tied[:, 1:], ((0, 0), (1, 0))))
            count = np.add.reduceat(hits.ravel().astype(np.int64), starts) if len(starts) else starts
            size = np.diff(np.append(starts, hits.size))
            with_hits = count > 0
            count, size = count[with_hits], size[with_hits]
            query, before = np.divmod(starts[with_hits], hits.shape[1])
        if relevant is None:
            relevant = np.count_nonzero(hits, axis=1)
        ranked = hits.shape[1] if ranked is None else ranked
        largest = int(np.max(relevant, initial=0)) if largest is None else largest
        return Hits(query, before, size, count, relevant, ranked, largest)

    def resolved(self, first):
        """The ranking in which the relevant items of each run come first, or last."""
        start = self.before if first else self.before + self.size - self.hits
        within = np.arange(self.hits.sum()) - np.repeat(np.cumsum(self.hits) - self.hits, self.hits)
        ones = np.ones(len(within), np.int64)
        positions = np.repeat(start, self.hits) + within
        return replace(self, query=np.repeat(self.query, self.hits), before=positions, size=ones, hits=ones)

    def total(self, values):
        """Sum of `values` (runs,) per query, (queries,)."""
        return np.bincount(self.query, values, minlength=len(self.relevant))

    def within(self, k):
        """How many items of each run stand in the first k, (runs,)."""
        return np.clip(k - self.before, 0, self.size)

    def earlier(self):
        """Relevant items of the query in earlier runs, (runs,)."""
        running = np.cumsum(self.hits) - self.hits
        first = np.searchsorted(self.query, np.arange(len(self.relevant)))
        return running - np.append(running, 0)[first][self.query]


def average_precision(hits, k=None, divide="R", interpolated=False):
    """Average precision of each query, (queries,), over all ranks or, as AP@k, over the first k.

    AP@k = (1 / D) Σ_{r ≤ k} hit(r) · (hits in the first r) / r. `divide`, which a protocol chooses, says what D is:
    `R`, for every k, so that AP@k stays below 1 where R > k; `min(k, R)`; or `hits`, those in the first k.
    `interpolated`: each precision is replaced by the largest at that or any later rank up to k (PASCAL VOC); its mean
    over ties has no closed form, so that `hits` must have none. A query with D = 0 counts 0.
    """
    hits = Hits.of(hits)
    k = hits.ranked if k is None else k
    if interpolated and (hits.size > 1).any():
        raise ValueError("interpolated average precision is not defined over ties")
    terms = _precision_sums(hits, hits.within(k), interpolated)
    if divide == "R":
        return hits.total(terms) / np.maximum(hits.relevant, 1)
    if divide == "min(k, R)":
        return hits.total(terms) / np.clip(hits.relevant, 1, max(k, 1))
    if divide != "hits":
        raise ValueError(f"divide: expected R, min(k, R) or hits, received {divide}")
    precision = hits.total(terms) / np.maximum(hits_at(hits, k), 1)
    cut = (hits.within(k) > 0) & (hits.within(k) < hits.size)  # at most one run of a query
    for run in np.flatnonzero(cut):
        query = hits.query[run]
        before = terms[:run][hits.query[:run] == query].sum()
        precision[query] = _precision_over_cut_run(hits, run, k, before)
    return precision


def _precision_sums(hits, depth, interpolated=False):
    """Σ hit(r) · precision(r) over the first `depth` items of each run, (runs,), in the mean over its orders.

    A run of n items, h of them relevant, lies behind s items, H of them relevant. Item i of the run is relevant with
    probability h/n, and then (i − 1)(h − 1)/(n − 1) relevant items of the run are expected before it. The sum is
    Σ_i h/n · (H + 1 + (i − 1) c) / (s + i) with c = (h − 1)/(n − 1). Since (i − 1) = (s + i) − (s + 1), it is a
    difference of harmonic numbers.
    """
    before, size, earlier = hits.before, hits.size, hits.earlier()
    if (size == 1).all():
        precision = np.where(depth > 0, (earlier + 1) / (before + 1), 0.0)
        return _largest_later(precision, hits.query, len(hits.relevant)) if interpolated else precision
    return _expected_sum(before, size, hits.hits, depth, earlier, _harmonic(hits.ranked))


def _expected_sum(before, size, relevant, depth, earlier, harmonic):
    c = (relevant - 1) / np.maximum(size - 1, 1)
    inverse = np.where(depth == 1, 1 / (before + 1), harmonic[before + depth] - harmonic[before])
    return relevant / size * (c * depth + (earlier + 1 - c * (before + 1)) * inverse)


def _largest_later(precision, query, queries):
    """Each precision, (hits,) query by query, or the largest at a later rank of the same query."""
    shift = 2.0 * (queries - query)  # no running maximum leaks into the next query: precisions are at most 1
    return np.maximum.accumulate((precision + shift)[::-1])[::-1] - shift


def _precision_over_cut_run(hits, run, k, sum_before):
    """AP@k divided by the hits in the first k, averaged over the orders of a run that rank k cuts.

    Sum and divisor both depend on m, the relevant ones among the run's j places within k: a hypergeometric number.
    """
    before, size, relevant, earlier = hits.before[run], hits.size[run], hits.hits[run], hits.earlier()[run]
    depth = k - before
    m = np.arange(max(0, depth - (size - relevant)), min(depth, relevant) + 1)
    chance = np.exp(_log_choose(relevant, m) + _log_choose(size - relevant, depth - m) - _log_choose(size, depth))
    sums = sum_before + _expected_sum(before, depth, m, depth, earlier, _harmonic(hits.ranked))
    return float((chance * sums / np.maximum(earlier + m, 1)).sum())


def _log_choose(n, m):
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, np.max(n) + 1)))])
    return logs[n] - logs[m] - logs[n - m]


@lru_cache(maxsize=4)
def _harmonic(count):
    return np.concatenate([[0.0], np.cumsum(1 / np.arange(1, count + 1))])


@lru_cache(maxsize=4)
def _gains(count):
    """Discounted gain of the first 0 … count ranks: Σ 1 / log2(r + 1)."""
    return np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, count + 2)))])


def hits_at(hits, k):
    """Relevant items in the first k, (queries,); their mean over the orders of tied items. `k`: one, or (queries,)."""
    hits = Hits.of(hits)
    depth = k if np.ndim(k) == 0 else k[hits.query]
    return hits.total(hits.hits / hits.size * hits.within(depth))


def precision_at(hits, k, divide="gallery"):
    """Precision of the first k items, (queries,): hits in the first k / D.

    `divide`: `gallery`, D = k or the gallery's size where that is smaller; `k`; or `min(k, R)`, which ends the ranking
    there: hits in the first min(k, R) / min(k, R). A query without relevant items counts 0.
    """
    hits = Hits.of(hits)
    if divide == "gallery":
        return hits_at(hits, k) / min(k, hits.ranked)
    if divide == "k":
        return hits_at(hits, k) / k
    if divide != "min(k, R)":
        raise ValueError(f"divide: expected gallery, k or min(k, R), received {divide}")
    depth = np.minimum(k, hits.relevant)
    return hits_at(hits, depth) / np.maximum(depth, 1)


def recall_at(hits, k):
    """Recall of the first k items, (queries,): hits in the first k / R. A query with R = 0 counts 0."""
    hits = Hits.of(hits)
    return hits_at(hits, k) / np.maximum(hits.relevant, 1)


def ndcg_at(hits, k):
    """Normalised discounted cumulative gain of the first k items, (queries,): Σ hit(r) / log2(r + 1) over its value
    for a perfect ranking, min(k, R) hits in front. A query with R = 0 counts 0."""
    hits = Hits.of(hits)
    gains = _gains(hits.ranked)
    gained = hits.total(hits.hits / hits.size * (gains[hits.before + hits.within(k)] - gains[hits.before]))
    return gained / np.maximum(gains[np.minimum(k, hits.relevant)], 1)


def nmrr(hits):
    """Normalised modified retrieval rank (MPEG-7), (queries,); its mean over the queries is ANMRR. 0 is best, 1 worst.

    K = min(4 R, 2 · largest R of any query); a relevant item at rank r counts r, one beyond K counts 1.25 K. With AVR
    their mean, NMRR = (AVR − (1 + R)/2) / (1.25 K − (1 + R)/2). A query with R = 0 counts 1.
    """
    hits = Hits.of(hits)
    relevant = np.maximum(hits.relevant, 1)
    last = np.minimum(4 * relevant, 2 * max(hits.largest, 1))
    near = hits.within(last[hits.query])
    ranks = near * hits.before + near * (near + 1) / 2 + (hits.size - near) * 1.25 * last[hits.query]
    average = hits.total(hits.hits / hits.size * ranks) / relevant
    best = (1 + relevant) / 2
    return np.where(hits.relevant > 0, (average - best) / (1.25 * last - best), 1.0)


def precision_at_recall(hits, levels):
    """Interpolated precision at recall levels in [0, 1], (queries, levels): the largest precision at any rank that
    reaches the recall. Ties as the ranking left them. A query with R = 0 counts 0."""
    hits = Hits.of(hits)
    precision = _precision_sums(hits, hits.size, interpolated=True)
    first = np.searchsorted(hits.query, np.arange(len(hits.relevant)))
    needed = np.maximum(np.ceil(np.outer(hits.relevant, levels) - 1e-9).astype(np.int64), 1)
    at = np.minimum(first[:, None] + needed - 1, len(precision) - 1)
    if len(precision) == 0:
        return np.zeros(at.shape)
    return np.where(hits.relevant[:, None] > 0, precision[at], 0.0)


#: further metrics for any protocol: name -> function of a `Hits`, (queries,)
METRICS = {
    "recall@100": partial(recall_at, k=100),
    "nDCG@100": partial(ndcg_at, k=100),
    "ANMRR (0 is best)": nmrr,
}
