"""t-SNE (van der Maaten and Hinton, JMLR 2008) in full, for about a thousand points."""

import numpy as np

PERPLEXITY = 30
STEPS, EXAGGERATED = 400, 120  # the first of them with attraction times 12


def tsne(vectors):
    """Positions (n, 2) of `vectors` (n, dim): neighbours stay neighbours. Nothing is random: it starts from the PCA."""
    flat = np.asarray(vectors, np.float64)
    flat = flat - flat.mean(0)
    if len(flat) < 4:
        return flat[:, :2]
    affinity = _affinities(flat, min(PERPLEXITY, (len(flat) - 1) / 3)).astype(np.float32)
    _, _, axes = np.linalg.svd(flat, full_matrices=False)
    points = flat @ axes[:2].T
    points = (points / max(points[:, 0].std(), 1e-12) * 1e-2).astype(np.float32)
    speed, gain = np.zeros_like(points), np.ones_like(points)
    rate = max(len(points) / 12 / 4, 50)
    for step in range(STEPS):
        pull = affinity * 12 if step < EXAGGERATED else affinity
        lengths = (points**2).sum(1)
        nearness = 1 / (1 + np.maximum(lengths[:, None] + lengths - 2 * points @ points.T, 0))
        np.fill_diagonal(nearness, 0)
        force = (pull - nearness / nearness.sum()) * nearness
        gradient = 4 * (force.sum(1)[:, None] * points - force @ points)
        gain = np.where((gradient > 0) != (speed > 0), gain + 0.2, gain * 0.8).clip(0.01)
        speed = (0.5 if step < EXAGGERATED else 0.8) * speed - rate * gain * gradient
        points = points + speed
        points -= points.mean(0)
    return points


def _affinities(vectors, perplexity):
    """Joint probabilities (n, n): Gaussian neighbourhoods whose entropy is log(perplexity), made symmetric."""
    lengths = (vectors**2).sum(1)
    squared = np.maximum(lengths[:, None] + lengths - 2 * vectors @ vectors.T, 0)
    np.fill_diagonal(squared, np.inf)
    squared -= squared.min(axis=1, keepdims=True)
    np.fill_diagonal(squared, np.inf)
    low, high = np.zeros(len(vectors)), np.full(len(vectors), np.inf)
    scale = np.full(len(vectors), 1 / max(np.median(squared), 1e-12))
    for _ in range(60):  # bisection on each row's precision
        weight = np.exp(-squared * scale[:, None])
        total = weight.sum(1)
        spread = np.where(np.isfinite(squared), squared, 0)
        entropy = np.log(total) + scale * (weight * spread).sum(1) / total
        too_wide = entropy > np.log(perplexity)
        low, high = np.where(too_wide, scale, low), np.where(too_wide, high, scale)
        scale = np.where(np.isinf(high), scale * 2, (low + high) / 2)
    probability = weight / total[:, None]
    return np.maximum((probability + probability.T) / (2 * len(vectors)), 1e-12)
