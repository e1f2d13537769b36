"""The outcome of a run: its embeddings and the CNN features they were made from, scored on the unseen classes."""

import importlib.util

import numpy as np

from zscmr.datasets.scaling import scaled
from zscmr.evaluation.embedding_files import read_embeddings
from zscmr.evaluation.embeddings import DIRECTIONS
from zscmr.evaluation.scoring import evaluate
from zscmr.evaluation.selection import unseen_only
from zscmr.formats import runs
from zscmr.reports.grid import retrieval_grid
from zscmr.training.stage2 import outcome as tensorboard
from zscmr.utils.files import write_json


def score_run(folder, dataset, split):
    """Score the exported embeddings of the run in `folder`, draw retrieval.png, and write results.json last.

    Returns {"CNN features alone", "shared space": results of `evaluate`}.
    """
    features = unseen_only(read_embeddings(folder / runs.EMBEDDINGS))
    photo, sketch = (np.isin(items.labels, split.unseen) for items in (dataset.photo, dataset.sketch))
    labels = dataset.photo.labels[photo], dataset.sketch.labels[sketch]
    seen = np.concatenate([split.seen, split.held_out])
    photos = scaled(dataset.photo.features, dataset.photo.labels, seen)[photo]
    sketches = scaled(dataset.sketch.features, dataset.sketch.labels, seen)[sketch]
    directions = tuple(DIRECTIONS)
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


class Log:
    """Scalars of each epoch under RUN/tensorboard."""

    def __init__(self, folder):
        import tensorflow as tf

        self.summary = tf.summary
        self.writer = tf.summary.create_file_writer(str(folder))

    def scalars(self, line):
        with self.writer.as_default():
            for name, value in line.items():
                if name != "epoch":
                    self.summary.scalar(name, value, step=line["epoch"])
            self.writer.flush()


class NoLog:
    def scalars(self, line):
        pass


def open_log(run):
    """A log in the run directory, or one that keeps nothing where TensorBoard is not installed."""
    return Log(run / "tensorboard") if importlib.util.find_spec("tensorboard") else NoLog()


def write_projector(run, features):
    """The embeddings of evaluated classes for TensorBoard's embedding projector: vectors, labels and its config."""
    if not importlib.util.find_spec("tensorboard"):
        return
    folder = run / "tensorboard"
    folder.mkdir(exist_ok=True)
    with (
        open(folder / "vectors.tsv", "w", encoding="utf-8") as vectors,
        open(folder / "labels.tsv", "w", encoding="utf-8") as labels,
    ):
        labels.write("class\tmodality\n")
        for modality, items in (("photo", features.photo), ("sketch", features.sketch)):
            for vector, label in zip(items.vectors, items.labels, strict=True):
                vectors.write("\t".join(f"{value:.6g}" for value in vector) + "\n")
                labels.write(f"{features.class_name(label)}\t{modality}\n")
    (folder / "projector_config.pbtxt").write_text(
        'embeddings {\n  tensor_name: "shared space, unseen classes"\n  tensor_path: "vectors.tsv"\n'
        '  metadata_path: "labels.tsv"\n}\n',
        encoding="utf-8",
    )
