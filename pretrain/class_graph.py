"""Stage I: class vectors -> mst_graph.mat of a dataset directory, and class_graph.png, a picture of it.

The graph joins seen classes only, so that nothing about unseen ones enters training; --all-classes joins them too and
marks the file as transductive.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array, csgraph
from scipy.spatial.distance import cdist

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the project's modules lie one folder up
import matfiles
import UxUyLoader as loader
from cli import BadInput, run, say, setting, whole_file


@dataclass(frozen=True)
class Settings:
    data: Path = setting(help="dataset directory, already with class vectors", metavar="DIR")
    kind: str = setting("mst", "minimum spanning tree, or each class with its nearest", choices=("mst", "knn"))
    distance: str = setting("euclidean", "distance of class vectors", choices=("euclidean", "cosine"))
    neighbours: int = setting(3, "nearest classes that --kind knn joins to each")
    unseen: Path | None = setting(None, "list of unseen classes (default: unseen.txt of --data)", metavar="FILE")
    all_classes: bool = setting(False, "join unseen classes too (transductive)")


def main(settings):
    path = settings.data / loader.CLASS_VECTORS[0]
    vectors, classes = loader.read_class_vectors(path)
    if classes is None:
        raise BadInput(f"{path}: no 'classes', so its rows belong to no known class; word_vectors.py writes them")
    kept = np.arange(len(classes))
    if not settings.all_classes:
        unseen_file = settings.unseen or settings.data / "unseen.txt"
        kept = loader.split_classes(classes, loader.read_class_list(unseen_file), unseen_file, held_out_share=0).seen
    names = [classes[label] for label in kept]
    distances = class_distances(vectors[kept], names, settings.distance, path)
    edges = spanning_tree(distances) if settings.kind == "mst" else nearest_neighbours(distances, settings.neighbours)
    scope = "all classes (transductive)" if settings.all_classes else "seen classes"
    title = f"{settings.kind}, {settings.distance}, {scope}"
    graph = settings.data / loader.CLASS_GRAPH[0]
    matfiles.write(
        graph,
        {loader.CLASS_GRAPH[1]: edges, "classes": names, "kind": title, "transductive": int(settings.all_classes)},
    )
    say(f"wrote {len(edges)} edges between {len(names)} classes, {title}, to {graph}")
    picture = settings.data / "class_graph.png"
    draw(picture, edges, distances, names, title)
    say(f"wrote {picture}")


def class_distances(vectors, names, metric, path):
    """(C, C) distances of class vectors (C, S). Raises BadInput for a zero vector under cosine."""
    zero = np.flatnonzero(~vectors.any(axis=1))
    if metric == "cosine" and zero.size:
        raise BadInput(f"{path}: the vector of class '{names[zero[0]]}' is zero, which has no cosine")
    return cdist(vectors.astype(np.float64), vectors.astype(np.float64), metric)


def spanning_tree(distances):
    """Edges (C − 1, 2) int64 of the tree that joins all classes with the least sum of distances."""
    one, other = np.array(np.triu_indices(len(distances), 1), np.int32)  # the only type older SciPy's csgraph takes
    # SciPy takes a zero for a missing edge; the order of the distances decides as well as they do, ties by class order
    ranks = np.empty(len(one))
    ranks[np.argsort(distances[one, other], kind="stable")] = np.arange(1, len(one) + 1)
    tree = csgraph.minimum_spanning_tree(coo_array((ranks, (one, other)), shape=distances.shape).tocsr())
    return np.argwhere(tree.toarray() > 0)


def nearest_neighbours(distances, count):
    """Edges (E, 2) int64, each pair once, that join every class with its `count` nearest; ties by class order."""
    if not 1 <= count < len(distances):
        raise BadInput(f"--neighbours should be from 1 to {len(distances) - 1}, received {count}")
    others = distances + np.diag(np.full(len(distances), np.inf))
    nearest = np.argsort(others, axis=1, kind="stable")[:, :count]
    pairs = np.stack([np.repeat(np.arange(len(distances)), count), nearest.ravel()], axis=1)
    return np.unique(np.sort(pairs, axis=1), axis=0)


def draw(path, edges, distances, names, title):
    """The graph with the class names, laid out so that distances on paper follow the steps between classes."""
    from matplotlib.figure import Figure

    places = layout(edges, len(names))
    side = 4 + 0.9 * np.sqrt(len(names))  # inches
    figure = Figure(figsize=(side, side), dpi=110, facecolor="white")
    axes = figure.add_axes([0.02, 0.02, 0.96, 0.94])
    axes.axis("off")
    axes.set_title(title, fontsize=10, color="#555555")
    lengths = distances[edges[:, 0], edges[:, 1]]
    shades = 0.25 + 0.5 * (lengths - lengths.min()) / max(np.ptp(lengths), 1e-12)  # near pairs dark, far pairs pale
    for (one, other), shade in zip(edges, shades, strict=True):
        axes.plot(*places[[one, other]].T, color=str(shade), linewidth=1, zorder=1)
    for place, name in zip(places, names, strict=True):
        box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6}
        axes.text(*place, name.replace("_", " "), fontsize=7, ha="center", va="center", bbox=box, zorder=2)
    with whole_file(path) as part:
        figure.savefig(part, format="png")


def layout(edges, count, rounds=300):
    """Places (C, 2) whose distances approximate the number of steps between classes, by stress majorisation (SMACOF)
    with weights steps⁻²; parts that no edge joins stand apart."""
    linked = np.zeros((count, count))
    linked[edges[:, 0], edges[:, 1]] = 1
    steps = csgraph.shortest_path(linked, directed=False, unweighted=True)
    steps[np.isinf(steps)] = steps[np.isfinite(steps)].max() + 2
    weights = 1 / np.maximum(steps, 1) ** 2 - np.eye(count)
    pulls = np.diag(weights.sum(1)) - weights
    inverse = np.linalg.pinv(pulls)
    places = loader.generator(0, "graph layout").normal(size=(count, 2))
    for _ in range(rounds):
        apart = cdist(places, places)
        ratio = -weights * steps / np.maximum(apart, 1e-9)
        np.fill_diagonal(ratio, 0)
        np.fill_diagonal(ratio, -ratio.sum(1))
        places = inverse @ ratio @ places
    return places


if __name__ == "__main__":
    run(main, Settings, __doc__)
