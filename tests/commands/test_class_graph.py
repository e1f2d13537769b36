"""The command that writes the class graph: the tree or the neighbours of the seen classes, by either distance."""

import itertools

import numpy as np
from helpers.project import CLASSES, UNSEEN

from zscmr.commands import class_graph
from zscmr.datasets import loader
from zscmr.formats import matfiles


def graph_of(folder, **flags):
    class_graph.main(class_graph.Settings(data=folder, **flags))
    edges, names = loader.read_class_graph(folder / "mst_graph.mat")
    return {tuple(sorted((names[one], names[other]))) for one, other in edges}


def put_vectors(folder, vectors):
    matfiles.write(folder / "wv_embeddings.mat", {"features": np.array(vectors, float), "classes": CLASSES})


def test_tree_on_a_line(dataset_folder, capsys):
    """Classes at 0, 1, 3, 6, 10, … on a line (in the first of two dimensions): the tree joins neighbours in order.

    Unseen bee, fox and jay drop out, their neighbours are joined instead.
    """
    put_vectors(dataset_folder, [[n * (n + 1) / 2, 0] for n in range(10)])
    seen = [name for name in CLASSES if name not in UNSEEN]
    assert graph_of(dataset_folder, distance="euclidean") == {tuple(sorted(pair)) for pair in itertools.pairwise(seen)}
    assert not np.any(matfiles.read(dataset_folder / "mst_graph.mat", "transductive"))
    everyone = graph_of(dataset_folder, distance="euclidean", all_classes=True)
    assert everyone == {tuple(sorted(pair)) for pair in itertools.pairwise(CLASSES)}
    assert np.any(matfiles.read(dataset_folder / "mst_graph.mat", "transductive"))


def test_a_class_of_two_words_is_no_hub_by_default(dataset_folder):
    """Nine unit vectors at right angles, and jay, the mean of two more: √½ long, hence √1.5 from each of the nine,
    which are √2 apart. Euclid's tree is a star about jay; by cosine all are 1 apart, and jay is like any other."""
    axes = np.eye(11)
    put_vectors(dataset_folder, [*axes[:9], axes[9:].mean(0)])
    degree = {}
    for distance in ("euclidean", "cosine"):
        edges = graph_of(dataset_folder, all_classes=True, distance=distance)
        degree[distance] = sum("jay" in edge for edge in edges)
    assert degree == {"euclidean": 9, "cosine": 1}
    assert graph_of(dataset_folder, all_classes=True) == edges


def test_nearest_neighbours(dataset_folder, refused):
    """At 0, 1, 3, 6, 10 …, each class's nearest is the one before it."""
    put_vectors(dataset_folder, [[n * (n + 1) / 2, 0] for n in range(10)])
    nearest = graph_of(dataset_folder, kind="knn", neighbours=1, distance="euclidean", all_classes=True)
    assert nearest == {tuple(sorted(pair)) for pair in itertools.pairwise(CLASSES)}
    settings = class_graph.Settings(data=dataset_folder, kind="knn", neighbours=9, distance="euclidean")
    assert "--neighbours should be from 1 to 6, received 9" in refused(class_graph.main, settings)
    put_vectors(dataset_folder, [[n, 0] for n in range(10)])
    settings = class_graph.Settings(data=dataset_folder)
    assert "the vector of class 'ant' is zero, which has no cosine" in refused(class_graph.main, settings)
