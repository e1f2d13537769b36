"""What a dataset's features reach without gradients: the features alone, and a shrinkage-LDA map of them.

    python benchmarks/baselines.py --data data/mine [--unseen FILE]

A learned system that does not beat the LDA map has not earned its place. Prints retrieval of the unseen classes in all
directions, protocol `standard`, cosine. Needs features of equal width in both modalities, from one backbone.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.linalg

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the project's modules lie one folder up
import knn_eval
import UxUyLoader as loader
from cli import BadInput, run, say, setting, whole_file


@dataclass(frozen=True)
class Settings:
    data: Path = setting(help="dataset directory", metavar="DIR")
    unseen: Path | None = setting(None, "list of unseen classes; left out: unseen.txt of --data", metavar="FILE")
    dim: int = setting(64, "size of the LDA map")
    shrinkage: float = setting(5.0, "weight of the identity in the within-class scatter, in units of its mean variance")
    json: Path | None = setting(None, "write the results to this file", metavar="FILE")


def main(settings):
    results = measure(settings)
    for name, scores in results.items():
        say(knn_eval.table(scores, f"{name}, unseen classes", caption=name == list(results)[-1]))
    if settings.json:
        with whole_file(settings.json) as part:
            part.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def measure(settings):
    """{name of the baseline: result of `knn_eval.evaluate` on the unseen classes}."""
    dataset = loader.load_dataset(settings.data)
    file = settings.unseen or settings.data / "unseen.txt"
    split = loader.split_classes(dataset.classes, loader.read_class_list(file), file, held_out_share=0)
    photos, sketches = (scaled_rows(items, split.seen) for items in (dataset.photo, dataset.sketch))
    if photos.shape[1] != sketches.shape[1]:
        raise BadInput(f"{settings.data}: photos are {photos.shape[1]}-d and sketches {sketches.shape[1]}-d, not alike")
    photo, sketch = (np.isin(items.labels, split.unseen) for items in (dataset.photo, dataset.sketch))
    labels = dataset.photo.labels[photo], dataset.sketch.labels[sketch]
    lda = lda_map(
        photos, dataset.photo.labels, sketches, dataset.sketch.labels, split.seen, settings.dim, settings.shrinkage
    )
    return {
        "features alone": knn_eval.evaluate(photos[photo], sketches[sketch], *labels, distance="cosine"),
        "LDA map": knn_eval.evaluate(photos[photo] @ lda, sketches[sketch] @ lda, *labels, distance="cosine"),
    }


def scaled_rows(items, seen):
    """Features (n, F) centred and scaled per feature on seen rows, then each row to length 1; float64."""
    scaled = loader.scaled(items.features.astype(np.float64), items.labels, seen)
    return scaled / np.linalg.norm(scaled, axis=1, keepdims=True)


def lda_map(photos, photo_labels, sketches, sketch_labels, seen, dim, shrinkage):
    """(F, dim) map whose columns are the leading generalised eigenvectors of (S_b, S_w), each times λ^¼.

    A class's mean is the mean of its photo mean and its sketch mean; S_w is the scatter of both modalities about it
    plus shrinkage · trace(S_w)/F · I, S_b that of the class means about theirs.
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


if __name__ == "__main__":
    run(main, Settings, __doc__)
