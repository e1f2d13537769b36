"""The outcome of a run: embeddings of all pictures, and scores of the unseen classes in embeddings and CNN features."""

import numpy as np

from zscmr.datasets.scaling import scaled
from zscmr.evaluation.embedding_files import read_embeddings, relative_folder
from zscmr.evaluation.embeddings import DIRECTIONS
from zscmr.evaluation.scoring import evaluate
from zscmr.evaluation.selection import unseen_only
from zscmr.formats import matfiles, runs
from zscmr.reports.grid import retrieval_grid
from zscmr.training.sources import embed_features
from zscmr.training.stage2 import tensorboard
from zscmr.training.stage2.records import cnn_leak
from zscmr.utils.files import write_json


def export_embeddings(folder, preset, dataset, split, model):
    """Write unified_features.mat: embeddings of all pictures, seen and unseen, in the order of the feature files."""
    pictures = {key: dataset.provenance.get(key, "") for key in ("photos", "sketches")}
    matfiles.write(
        folder / runs.EMBEDDINGS,
        {
            "featuresx": embed_features(model.embed_photos, dataset.photo.features),
            "featuresy": embed_features(model.embed_sketches, dataset.sketch.features),
            "labelsx": dataset.photo.labels[:, None],
            "labelsy": dataset.sketch.labels[:, None],
            "unseen": split.unseen[:, None],
            "classes": dataset.classes,
            **({"namesx": dataset.photo.names} if dataset.photo.names else {}),
            **({"namesy": dataset.sketch.names} if dataset.sketch.names else {}),
            "picturesx": pictures["photos"],
            "picturesy": pictures["sketches"],
            "picturesx_relative": relative_folder(pictures["photos"], folder),
            "picturesy_relative": relative_folder(pictures["sketches"], folder),
            "distance": preset.distance,
            "leaked": cnn_leak(dataset, split),
        },
    )


def score_run(folder, dataset, split):
    """Score the embeddings of the run in `folder`, draw retrieval.png, and write results.json last.

    Returns {"CNN features alone", "shared space": results of `evaluate`}; {} where no class is unseen.
    """
    if not len(split.unseen):
        write_json(folder / runs.RESULTS, {})
        return {}
    features = unseen_only(read_embeddings(folder / runs.EMBEDDINGS))
    photo, sketch = (np.isin(items.labels, split.unseen) for items in (dataset.photo, dataset.sketch))
    labels = dataset.photo.labels[photo], dataset.sketch.labels[sketch]
    seen = np.concatenate([split.seen, split.held_out])
    photos = scaled(dataset.photo.features, dataset.photo.labels, seen)[photo]
    sketches = scaled(dataset.sketch.features, dataset.sketch.labels, seen)[sketch]
    directions = tuple(DIRECTIONS)
    if photos.shape[1] != sketches.shape[1]:  # the features of the modalities cannot be compared
        directions = ("sketch->sketch", "image->image")
    shared = features.photo.vectors, features.sketch.vectors
    results = {
        "CNN features alone": evaluate(photos, sketches, *labels, distance="cosine", directions=directions),
        "shared space": evaluate(*shared, *labels, distance=features.distance),
    }
    if features.leaked:
        results = {space: {**scores, "leaked": features.leaked} for space, scores in results.items()}
    if tensorboard.is_installed():
        tensorboard.write_projector(folder, features)
    retrieval_grid(folder / "retrieval.png", features, features.distance)
    write_json(folder / runs.RESULTS, results)  # its presence marks the run as complete
    return results
