"""Stage I: class vectors -> mst_graph.mat of a dataset directory.

The graph joins seen classes only, so that nothing about unseen ones enters training; --all-classes joins them too and
marks the file as transductive.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zscmr.datasets import loader
from zscmr.datasets.class_graph import check_vector_lengths, minimum_spanning_tree, nearest_neighbours
from zscmr.datasets.classes import UNSEEN, read_class_list, split_classes
from zscmr.formats import matfiles
from zscmr.formats.dataset_directory import CLASS_GRAPH, CLASS_VECTORS
from zscmr.utils.console import say
from zscmr.utils.errors import BadInput
from zscmr.utils.options import Options, setting


@dataclass(frozen=True)
class Settings(Options):
    data: Path = setting(help="dataset directory, already with class vectors", metavar="DIR")
    kind: str = setting("mst", "minimum spanning tree, or each class with its nearest", choices=("mst", "knn"))
    distance: str = setting("cosine", "distance of class vectors", choices=("cosine", "euclidean"))
    neighbours: int = setting(3, "nearest classes that --kind knn joins to each", least=1)
    unseen: Path | None = setting(None, "list of unseen classes (default: unseen.txt of --data)", metavar="FILE")
    all_classes: bool = setting(False, "join unseen classes too (transductive)")


def main(settings):
    path = settings.data / CLASS_VECTORS[0]
    vectors, classes = loader.read_class_vectors(path)
    if classes is None:
        raise BadInput(f"{path}: no 'classes', so its rows belong to no known class; word_vectors.py writes them")
    joined = np.arange(len(classes)) if settings.all_classes else seen_classes(classes, settings)
    names = [classes[label] for label in joined]
    check_vector_lengths(vectors[joined], names, settings.distance, path)
    edges = join(vectors[joined], settings)
    scope = "all classes (transductive)" if settings.all_classes else "seen classes"
    title = f"{settings.kind}, {settings.distance}, {scope}"
    graph = settings.data / CLASS_GRAPH[0]
    about = {"classes": names, "kind": title, "transductive": int(settings.all_classes)}
    matfiles.write(graph, {CLASS_GRAPH[1]: edges, **about})
    say(f"wrote {len(edges)} edges between {len(names)} classes, {title}, to {graph}")


def seen_classes(classes, settings):
    """Indices of the classes that the unseen list does not name."""
    file = settings.unseen or settings.data / UNSEEN
    return split_classes(classes, read_class_list(file, may_be_empty=not settings.unseen), file, held_out_share=0).seen


def join(vectors, settings):
    """Edges (E, 2) of the graph that `settings` ask for."""
    if settings.kind == "mst":
        return minimum_spanning_tree(vectors, settings.distance)
    if settings.neighbours >= len(vectors):
        raise BadInput(f"--neighbours should be from 1 to {len(vectors) - 1}, received {settings.neighbours}")
    return nearest_neighbours(vectors, settings.neighbours, settings.distance)
