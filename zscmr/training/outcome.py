"""The outcome of a run: its embeddings and the CNN features they were made from, scored on the unseen classes."""

import numpy as np

from zscmr import runs
from zscmr.evaluation import embeddings
from zscmr.evaluation.scoring import evaluate
from zscmr.figures.grid import retrieval_grid
from zscmr.files import write_json
from zscmr.scaling import scaled
from zscmr.training import tensorboard


def score_run(folder, dataset, split):
    """Score the exported embeddings of the run in `folder`, draw retrieval.png, and write results.json last.

    Returns {"CNN features alone", "shared space": results of `evaluate`}.
    """
    features = embeddings.unseen_only(embeddings.load(folder / runs.EMBEDDINGS))
    photo, sketch = (np.isin(items.labels, split.unseen) for items in (dataset.photo, dataset.sketch))
    labels = dataset.photo.labels[photo], dataset.sketch.labels[sketch]
    seen = np.concatenate([split.seen, split.held_out])
    photos = scaled(dataset.photo.features, dataset.photo.labels, seen)[photo]
    sketches = scaled(dataset.sketch.features, dataset.sketch.labels, seen)[sketch]
    directions = tuple(embeddings.DIRECTIONS)
    if photos.shape[1] != sketches.shape[1]:  # two spaces of different size: nothing to compare across
        directions = ("sketch->sketch", "image->image")
    shared = features.photo.vectors, features.sketch.vectors
    results = {
        "CNN features alone": evaluate(photos, sketches, *labels, distance="cosine", directions=directions),
        "shared space": evaluate(*shared, *labels, distance=features.distance),
    }
    if features.leaked:
        results = {space: {**scores, "leaked": features.leaked} for space, scores in results.items()}
    tensorboard.write_projector(folder, features)
    retrieval_grid(folder / "retrieval.png", features, features.distance)
    write_json(folder / runs.RESULTS, results)  # its presence marks the run as complete
    return results
