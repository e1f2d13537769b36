"""What the systems share, in NumPy and float64, for their tests to compare with; `x` is a row (F,) or rows (n, F)."""

import numpy as np


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
    cosine = lambda a, b: a @ b / np.linalg.norm(a) / np.linalg.norm(b)  # noqa: E731
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
