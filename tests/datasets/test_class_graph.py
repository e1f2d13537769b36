"""The class graph is a true one, and of seen classes."""

import itertools

import numpy as np
import pytest
from helpers.project import CLASSES, UNSEEN

from zscmr.datasets import class_graph, loader
from zscmr.datasets.classes import split_classes
from zscmr.formats import matfiles


def test_a_graph_has_to_be_one_of_the_split(dataset_folder):
    """It joins every seen class, held out or not, and no unseen one."""
    seen = [label for label, name in enumerate(CLASSES) if name not in UNSEEN]
    split = split_classes(CLASSES, UNSEEN, "list", held_out_share=0.3)
    graph = dataset_folder / "mst_graph.mat"

    def fault(nodes):
        chain = np.stack([np.arange(len(nodes) - 1), np.arange(1, len(nodes))], axis=1)
        matfiles.write(graph, {"edge": chain, "classes": [CLASSES[label] for label in nodes]})
        return class_graph.graph_fault(loader.load_dataset(dataset_folder), split)

    assert len(split.held_out) and fault(seen) == ""
    assert fault(seen[:-1]) == "mst_graph.mat joins nothing to the seen class 'ibis'"
    assert fault(range(10)) == "mst_graph.mat joins the unseen class 'bee' and 2 more"
    graph.unlink()
    assert class_graph.graph_fault(loader.load_dataset(dataset_folder), split) == "no mst_graph.mat"


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_tree_is_the_least_of_all(metric):
    """Against every spanning tree of 5 points: all choices of 4 of the 10 edges that connect them."""
    vectors = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    distances = class_graph.class_distances(vectors, metric)
    least = np.inf
    for edges in itertools.combinations(itertools.combinations(range(5), 2), 4):
        group = list(range(5))
        for one, other in edges:
            group = [group[one] if label == group[other] else label for label in group]
        if len(set(group)) == 1:
            least = min(least, sum(distances[edge] for edge in edges))
    found = class_graph.minimum_spanning_tree(vectors, metric)
    assert len(found) == 4 and distances[found[:, 0], found[:, 1]].sum() == pytest.approx(least)


def test_tree_joins_equal_vectors():
    vectors = np.array([[0.0, 0], [0, 0], [1, 0], [1, 0]])
    edges = class_graph.minimum_spanning_tree(vectors, "euclidean")
    assert len(edges) == 3 and {(0, 1), (2, 3)} <= set(map(tuple, edges.tolist()))


def test_true_tree_and_the_released_one(real_data):
    """The released graph is the tree of the released vectors' last dimension, edge for edge; with the tree of the whole
    vectors it shares three, and the one that joins the rows 5 and 6, which are alike."""
    edges, _ = loader.read_class_graph(real_data / "released/mst_graph.mat")
    vectors = matfiles.read(real_data / "released/wv_embeddings.mat", "features")
    released = {tuple(sorted(edge)) for edge in edges.tolist()}
    whole, last = (class_graph.minimum_spanning_tree(part, "euclidean") for part in (vectors, vectors[:, -1:]))
    assert set(map(tuple, last.tolist())) == released
    shared = set(map(tuple, whole.tolist())) & released
    assert (5, 6) in shared and len(shared) == 4
