"""The class graph: its edges among the trained classes, and the trees and neighbourhoods that give them."""

import numpy as np
from scipy.spatial.distance import cdist

from zscmr.formats.dataset_directory import CLASS_GRAPH, CLASS_VECTORS
from zscmr.utils.errors import BadInput


def graph_fault(dataset, split):
    """Return why the dataset's class graph does not fit `split`, empty if it does.

    A graph fits if it joins every seen class, held-out ones included, and no unseen one.
    """
    if not len(dataset.edges):
        return f"no {CLASS_GRAPH[0]}"
    expected = np.concatenate([split.seen, split.held_out])
    for fault, labels in (
        ("joins the unseen class", np.intersect1d(dataset.edges, split.unseen)),
        ("joins nothing to the seen class", np.setdiff1d(expected, dataset.edges)),
    ):
        if labels.size:
            more = f" and {labels.size - 1} more" if labels.size > 1 else ""
            return f"{CLASS_GRAPH[0]} {fault} '{dataset.classes[labels[0]]}'{more}"
    return ""


def check_vector_lengths(vectors, names, distance, path):
    """Raise BadInput for a zero vector among `vectors` (C, S) under cosine."""
    zero = np.flatnonzero(~vectors.any(axis=1))
    if distance == "cosine" and zero.size:
        raise BadInput(f"{path}: the vector of class '{names[zero[0]]}' is zero, which has no cosine")


def class_distances(vectors, distance="cosine"):
    """(C, C) float64 distances of class vectors (C, S).

    Cosine is the default: the mean of several words' vectors is short, and by Euclidean distance near to all others.
    """
    return cdist(vectors.astype(np.float64), vectors.astype(np.float64), distance)


def minimum_spanning_tree(vectors, distance="cosine"):
    """Edges (C − 1, 2) int64, each pair once, of the tree that joins all classes with the least sum of distances.

    Grown from the first class (Prim 1957); ties by class order.
    """
    distances = class_distances(vectors, distance)
    nearest = np.zeros(len(distances), np.int64)  # for each class the nearest one in the tree
    gap = distances[0].copy()
    gap[0] = np.inf  # in the tree
    edges = []
    for _ in range(len(distances) - 1):
        new = int(np.argmin(gap))
        edges.append((nearest[new], new))
        nearer = (distances[new] < gap) & np.isfinite(gap)
        nearest[nearer], gap[nearer] = new, distances[new][nearer]
        gap[new] = np.inf
    return _ordered(edges)


def nearest_neighbours(vectors, count, distance="cosine"):
    """Edges (E, 2) int64, each pair once, that join every class with its `count` nearest; ties by class order."""
    distances = class_distances(vectors, distance)
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :count]
    return _ordered(np.stack([np.repeat(np.arange(len(distances)), count), nearest.ravel()], axis=1))


def _ordered(pairs):
    return np.unique(np.sort(np.reshape(pairs, (-1, 2)).astype(np.int64), axis=1), axis=0)


def class_graph(dataset, split):
    """(E, 2) int64 edges among the trained classes, as positions in `split.seen`.

    They are the edges of the dataset's graph if it fits the split, without those to held-out classes, whose vectors
    would reach trained ones. Otherwise they are the minimum spanning tree of the trained classes' vectors.
    """
    if graph_fault(dataset, split):
        vectors, names = dataset.class_vectors[split.seen], [dataset.classes[label] for label in split.seen]
        check_vector_lengths(vectors, names, "cosine", dataset.directory / CLASS_VECTORS[0])
        return minimum_spanning_tree(vectors)
    return np.searchsorted(split.seen, dataset.edges[np.isin(dataset.edges, split.seen).all(axis=1)])


def graph_source(dataset, split):
    """Describe where `class_graph` takes its edges from."""
    fault = graph_fault(dataset, split)
    tree = "the minimum spanning tree of the trained classes' vectors, by cosine"
    return f"{tree} ({fault})" if fault else str(dataset.directory.resolve() / CLASS_GRAPH[0])
