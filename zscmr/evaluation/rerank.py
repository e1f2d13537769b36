"""Re-ranking by k-reciprocal neighbours in the gallery (Zhong et al., CVPR 2017), training-free.

Two pictures are alike where their neighbourhoods in the gallery overlap. For gallery items i, with N(i, k) being i
itself and its k nearest others:

    R(i, k)  = {j in N(i, k): i in N(j, k)}
    R*(i)    = R(i, k1) and every R(j, k1/2), j in R(i, k1), of which at least two thirds lie in R(i, k1)
    e(i)     = a row over the gallery, 1 / |R*(i)| at the items of R*(i), else 0
    f(i)     = mean of e over i and its k2 − 1 nearest others
    f(q)     = mean of e over the k2 gallery items nearest to the query q
    J(q, i)  = 1 − m / (2 − m) with m = Σ min(f(q), f(i))        the Jaccard distance
    d*(q, i) = (1 − λ) J(q, i) + λ d(q, i) / max d(q, ·)         what the gallery is ranked by

d is the squared Euclidean, cosine or L1 distance. The paper asks of a query too that it is reciprocal, with the other
queries in the gallery. Here queries do not affect each other, and a sketch need not be nearer to a
photo than other photos are. A query that is a gallery item itself keeps its place in the neighbourhoods of others.
"""

import numpy as np

from zscmr.evaluation.distances import slices
from zscmr.evaluation.nearest import Index
from zscmr.evaluation.orderings import StableOrdering

# k1, k2: the paper's. λ: chosen on seen classes held out from stage I and II (FIDELITY.md, "Re-ranking")
NEIGHBOURS, EXPANSION, ORIGINAL = 20, 6, 0.2
ROWS = 2**12  # gallery items encoded at once


class Reranking(StableOrdering):
    """Order by d*.

    Holds the encodings of the gallery, about 100 non-zero numbers an item.
    """

    def __init__(self, queries, gallery, metric, memory, own_rows):
        super().__init__((len(queries), len(gallery)), own_rows)
        self.queries = queries
        self.index, self.exact = Index(gallery, metric, memory), Index(gallery, metric, memory / 8, np.float64)
        items = np.arange(len(gallery))
        neighbours, _ = self.index.search(gallery, NEIGHBOURS, own_rows=items)
        near = np.hstack([items[:, None], neighbours])
        self.sets = encode_sets(near, NEIGHBOURS)
        self.columns = (_mean_of(near[:, :EXPANSION], len(gallery)) @ self.sets).tocsc()

    def keys(self, rows, each):
        """d* (rows, gallery) of the queries in the slice `rows`; `each` maps a function over a sequence."""
        keys = np.maximum(self.exact.keys(self.queries[rows], each), 0)
        keys *= ORIGINAL / np.maximum(keys.max(axis=1, keepdims=True), np.finfo(float).tiny)
        near, _ = self.index.search(self.queries[rows], EXPANSION)
        encoded = _mean_of(near, keys.shape[1]) @ self.sets
        for row, overlap in enumerate(each(lambda row: self._overlap(encoded[[row]]), range(len(keys)))):
            keys[row] += (1 - ORIGINAL) * (1 - overlap / (2 - overlap))
        return keys

    def _overlap(self, query):
        """Σ min(f(q), f(i)) (gallery,) of a sparse row f(q); only where neither is 0 is there anything to add."""
        starts, ends = (self.columns.indptr[query.indices + shift] for shift in (0, 1))
        lengths = ends - starts
        at = np.arange(lengths.sum()) + np.repeat(starts - np.cumsum(lengths) + lengths, lengths)
        least = np.minimum(np.repeat(query.data, lengths), self.columns.data[at])
        return np.bincount(self.columns.indices[at], least, minlength=self.columns.shape[0])


def encode_sets(near, neighbours):
    """Rows e(i) (n, n), sparse, from `near` (n, 1 + neighbours): each item, then its nearest others in order."""
    from scipy import sparse  # imported here: it takes 0.3 s

    reciprocal, half = (_reciprocal(near[:, : k + 1]) for k in (neighbours, round(neighbours / 2)))
    sizes = half.sum(axis=1).A1
    parts = []
    for rows in slices(len(near), ROWS):
        block = reciprocal[rows]
        shared = (block @ half).multiply(block).tocoo()  # |R(i, k1) ∩ R(j, k1/2)| of each j in R(i, k1)
        most = 3 * shared.data >= 2 * sizes[shared.col]
        joined = sparse.csr_matrix((shared.data[most], (shared.row[most], shared.col[most])), shape=block.shape)
        encoded = (block + joined @ half).tocsr()
        encoded.data = np.repeat(1 / np.diff(encoded.indptr), np.diff(encoded.indptr))
        parts.append(encoded)
    return sparse.vstack(parts, format="csr")


def _reciprocal(near):
    members = _rows_of(near, len(near))
    return members.multiply(members.T).tocsr()


def _mean_of(items, count):
    """A sparse matrix (rows, count) that takes the mean over the items `items` (rows, k)."""
    return _rows_of(items, count) / items.shape[1]


def _rows_of(items, count):
    """A sparse matrix (rows, count) of ones at the items `items` (rows, k)."""
    from scipy import sparse

    ends = np.arange(len(items) + 1) * items.shape[1]
    return sparse.csr_matrix((np.ones(items.size), items.ravel(), ends), shape=(len(items), count))
