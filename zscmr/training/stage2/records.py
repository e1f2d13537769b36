"""The dataset as a run records it: directory, widths, digest of the training data, leaked classes."""

import hashlib

import numpy as np

from zscmr.datasets.classes import leak


def describe_dataset(dataset):
    """The entry on a dataset in config.json: directory, widths of its features, digest."""
    return {
        "directory": str(dataset.directory.resolve()),
        "photo": dataset.photo.features.shape[1],
        "sketch": dataset.sketch.features.shape[1],
        "class_vectors": dataset.class_vectors.shape[1],
        "classifier": 0 if dataset.classifier is None else dataset.classifier.shape[1],
        "features_sha256": features_digest(dataset).hexdigest(),
    }


def features_digest(dataset):
    """SHA-256 object of features, labels, class vectors and classifier: all that training reads."""
    digest = hashlib.sha256()
    sides = (dataset.photo, dataset.sketch)
    arrays = [array for items in sides for array in (items.features, items.labels)] + [dataset.class_vectors]
    for array in arrays if dataset.classifier is None else (*arrays, dataset.classifier):
        digest.update(f"{array.dtype} {array.shape}".encode())
        for start in range(0, len(array), 4096):  # an array may be a memory map
            digest.update(np.ascontiguousarray(array[start : start + 4096]).data)
    return digest


def cnn_leak(dataset, split):
    """A sentence on the unseen classes that the CNNs were trained on; empty if there are none or nothing is known."""
    unseen = [dataset.classes[label] for label in split.unseen]
    return leak("the CNNs were", dataset.provenance.get("trained_on", ()), unseen)
