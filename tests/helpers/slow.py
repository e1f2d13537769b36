"""Slow loops in NumPy and float64, for tests to compare with; `x` is a row (F,) or rows (n, F)."""

import math

import numpy as np
import pytest


def assert_terms_agree(fast, slow, names):
    """Loss terms `fast` are those called `names`, and have the values of `slow`."""
    assert set(fast) == set(slow) == set(names)
    for name in fast:
        assert float(fast[name]) == pytest.approx(slow[name], rel=1e-5), name


def slow_linear(layer, x):
    bias = 0 if layer.bias is None else layer.bias.numpy()
    return x @ layer.kernel.numpy().astype(np.float64) + bias


def slow_scaled(scaling, x):
    x = (x - scaling.mean.numpy().astype(np.float64)) / scaling.deviation.numpy()
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True))


def slow_encoded(encoder, x):
    embedding = slow_linear(encoder.linear, x)
    if encoder.branch:
        embedding += slow_linear(encoder.branch[1], np.maximum(slow_linear(encoder.branch[0], x), 0))
    return embedding


def slow_cross_entropy(logits, label):
    return np.log(np.exp(logits).sum()) - logits[label]


def slow_all_pairs(photos, sketches, labels, i, temperature):
    """Mean over the positives p of anchor i of log(1 + Σ_n exp((cos(i, n) − cos(i, p)) / temperature)); of photo i
    among the sketches, plus of sketch i among the photos."""

    def cosine(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    positives, negatives = np.flatnonzero(labels == labels[i]), np.flatnonzero(labels != labels[i])
    total = 0.0
    for anchors, candidates in ((photos, sketches), (sketches, photos)):
        values = []
        for p in positives:
            near = cosine(anchors[i], candidates[p])
            gaps = [(cosine(anchors[i], candidates[n]) - near) / temperature for n in negatives]
            values.append(np.log(1 + np.exp(gaps).sum()))
        total += np.mean(values)
    return total


def loop_ap(relevance, k, divide, interpolated):
    hits, precisions = 0, []
    for rank, relevant in enumerate(relevance[:k], 1):
        hits += relevant
        if relevant:
            precisions.append(hits / rank)
    if interpolated:
        precisions = [max(precisions[rank:]) for rank in range(len(precisions))]
    divisor = {"R": sum(relevance), "min(k, R)": min(k, sum(relevance)), "hits": hits}[divide]
    return sum(precisions) / divisor if divisor else 0.0


def loop_precision(relevance, k, divide):
    depth = min(k, sum(relevance)) if divide == "min(k, R)" else k
    divisor = min(k, len(relevance)) if divide == "gallery" else depth
    return sum(relevance[:depth]) / divisor if divisor else 0.0


def loop_ndcg(relevance, k):
    gain = sum(relevant / math.log2(place + 1) for place, relevant in enumerate(relevance[:k], 1))
    ideal = sum(1 / math.log2(place + 1) for place in range(1, min(k, sum(relevance)) + 1))
    return gain / ideal if ideal else 0.0


def loop_nmrr(relevance, largest):
    count = sum(relevance)
    if count == 0:
        return 1.0
    last = min(4 * count, 2 * largest)
    ranks = [rank if rank <= last else 1.25 * last for rank, relevant in enumerate(relevance, 1) if relevant]
    return (sum(ranks) / count - 0.5 - count / 2) / (1.25 * last - 0.5 - count / 2)


def loop_distance(query, item, metric):
    if metric == "euclidean":
        return sum((a - b) ** 2 for a, b in zip(query, item, strict=True)) ** 0.5
    dot = sum(a * b for a, b in zip(query, item, strict=True))
    return 1 - dot / sum(a * a for a in query) ** 0.5 / sum(b * b for b in item) ** 0.5


def loop_rank(query, gallery, metric, own_row=None):
    rows = [row for row in range(len(gallery)) if row != own_row]
    return sorted(rows, key=lambda row: (loop_distance(query, gallery[row], metric), row))
