"""Scores of features without training: as they are, and under a shrinkage-LDA map."""

import numpy as np
import scipy.linalg

from zscmr.datasets.scaling import scaled
from zscmr.evaluation.scoring import evaluate
from zscmr.utils.errors import BadInput

DIM, SHRINKAGE = 64, 5.0  # of the LDA map, as in every table


def measure_baselines(dataset, split, dim=DIM, shrinkage=SHRINKAGE):
    """{"features alone", "LDA map": results of `evaluate` on the unseen classes, by cosine}.

    Raises BadInput for modalities of different widths.

    Args:
        dataset: a loaded dataset.
        split: its seen classes scale the features and fit the map, its unseen ones are scored.
        dim: size of the map.
        shrinkage: as in `lda_map`.
    """
    widths = [items.features.shape[1] for items in (dataset.photo, dataset.sketch)]
    if widths[0] != widths[1]:
        raise BadInput(f"{dataset.directory}: photos are {widths[0]}-d and sketches {widths[1]}-d, expected one width")
    photos, sketches = (scaled_features(items, split.seen) for items in (dataset.photo, dataset.sketch))
    photo, sketch = (np.isin(items.labels, split.unseen) for items in (dataset.photo, dataset.sketch))
    labels = dataset.photo.labels[photo], dataset.sketch.labels[sketch]
    lda = lda_map(photos, dataset.photo.labels, sketches, dataset.sketch.labels, split.seen, dim, shrinkage)
    return {
        "features alone": evaluate(photos[photo], sketches[sketch], *labels, distance="cosine"),
        "LDA map": evaluate(photos[photo] @ lda, sketches[sketch] @ lda, *labels, distance="cosine"),
    }


def scaled_features(items, seen):
    """Features (n, F) centred and scaled per feature on seen rows, then each row to length 1; float64."""
    rows = scaled(items.features.astype(np.float64), items.labels, seen)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def lda_map(photos, photo_labels, sketches, sketch_labels, seen, dim, shrinkage):
    """(F, dim) map whose columns are the leading generalised eigenvectors of (S_b, S_w), each times λ^¼.

    A class's mean is the mean of its photo mean and its sketch mean. S_w is the scatter of both modalities about it
    plus shrinkage · trace(S_w)/F · I, S_b that of the class means about theirs.

    Args:
        photos: (photos, F).
        photo_labels: (photos,).
        sketches: (sketches, F).
        sketch_labels: (sketches,).
        seen: class indices to fit on.
        dim: columns of the map, at most F.
        shrinkage: weight of the identity, in units of the mean variance within classes.
    """
    means, deviations = [], []
    for label in seen:
        rows = photos[photo_labels == label], sketches[sketch_labels == label]
        means.append((rows[0].mean(0) + rows[1].mean(0)) / 2)
        deviations += [part - means[-1] for part in rows]
    deviations, means = np.concatenate(deviations), np.array(means)
    within = deviations.T @ deviations / len(deviations)
    within += shrinkage * np.trace(within) / len(within) * np.eye(len(within))
    centred = means - means.mean(0)
    values, vectors = scipy.linalg.eigh(centred.T @ centred / len(means), within)
    leading = np.argsort(values)[::-1][:dim]
    return vectors[:, leading] * np.maximum(values[leading], 0) ** 0.25
