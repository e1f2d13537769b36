"""Toy embeddings for the tests of evaluation and figures: an embeddings file, arrays to rank, the command line."""

import numpy as np
from PIL import Image

from zscmr.commands import evaluate as knn_eval
from zscmr.formats import matfiles
from zscmr.utils.cli import run


def hits(text):
    return np.array([[letter == "1" for letter in text]])


def random_points(kind, queries=40, gallery=300):
    """(queries, gallery, labels of both) to rank.

    `loose`: no equal distances. `tied`: a grid of small integers. `copies`: every gallery row four times.
    """
    random = np.random.default_rng(3)
    if kind == "tied":
        arrays = [random.integers(1, 4, (count, 3)) for count in (queries, gallery)]
    else:
        arrays = [random.normal(size=(count, 9)).astype(np.float32) for count in (queries, gallery)]
    if kind == "copies":
        arrays[1] = random.permutation(np.repeat(arrays[1][: gallery // 4], 4, axis=0))
    return *arrays, random.integers(0, 7, queries), random.integers(0, 5, gallery)


def features_file(path, **changes):
    """Four classes, of which cat (1) and dog (3) are unseen; a value of None drops the variable."""
    random = np.random.default_rng(0)
    photo_labels, sketch_labels = np.repeat(np.arange(4), 5)[:, None], np.repeat(np.arange(4), 3)[:, None]
    classes = ["ant", "cat", "cow", "dog"]
    variables = {
        "featuresx": random.normal(size=(20, 6)).astype(np.float32),
        "featuresy": random.normal(size=(12, 6)).astype(np.float32),
        "labelsx": photo_labels,
        "labelsy": sketch_labels,
        "unseen": np.array([[1], [3]]),
        "classes": classes,
        "namesx": [f"{classes[label]}/p{row}.png" for row, label in enumerate(photo_labels.ravel())],
        "namesy": [f"{classes[label]}/s{row}.png" for row, label in enumerate(sketch_labels.ravel())],
    } | changes
    matfiles.write(path, {name: value for name, value in variables.items() if value is not None})
    return variables


def unseen_arrays(path):
    chosen = knn_eval.unseen_only(knn_eval.load(path))
    return chosen.photo.vectors, chosen.sketch.vectors, chosen.photo.labels, chosen.sketch.labels


def command_line(*flags):
    run(knn_eval.main, knn_eval.Settings, knn_eval.__doc__, [str(word) for word in flags])


def picture_tree(folder, names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (30, 20), "blue").save(folder / name)


def random_arrays(kind, photos=240, sketches=60, dim=5, classes=6):
    """`loose`: no two distances equal. `tied`: points of a small integer grid, many distances equal and exactly so."""
    random = np.random.default_rng(7)
    if kind == "tied":
        points = [random.integers(1, 4, (n, 3)).astype(np.float32) for n in (photos, sketches)]
    else:
        points = [random.normal(size=(n, dim)).astype(np.float32) for n in (photos, sketches)]
    # Class 6 is asked for and never there, class 7 there and never asked for.
    labels = random.integers(0, classes, photos), random.integers(0, classes, sketches)
    labels[0][:4], labels[1][:4] = classes + 1, classes
    return *points, *labels
