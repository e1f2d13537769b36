"""Stage I: class vectors -> mst_graph.mat of a dataset directory, and class_graph.png, a picture of it.

The graph joins seen classes only, so that nothing about unseen ones enters training; --all-classes joins them too and
marks the file as transductive. `minimum_spanning_tree` and `nearest_neighbours` serve any other choice of classes.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.sparse import csgraph
from scipy.spatial.distance import cdist

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the project's modules lie one folder up
import matfiles
import UxUyLoader as loader
from cli import BadInput, run, say, setting, whole_file

UNSEEN_COLOUR = "#c62828"


@dataclass(frozen=True)
class Settings:
    data: Path = setting(help="dataset directory, already with class vectors", metavar="DIR")
    kind: str = setting("mst", "minimum spanning tree, or each class with its nearest", choices=("mst", "knn"))
    distance: str = setting("cosine", "distance of class vectors", choices=("cosine", "euclidean"))
    neighbours: int = setting(3, "nearest classes that --kind knn joins to each")
    unseen: Path | None = setting(None, "list of unseen classes (default: unseen.txt of --data)", metavar="FILE")
    all_classes: bool = setting(False, "join unseen classes too (transductive)")


def main(settings):
    path = settings.data / loader.CLASS_VECTORS[0]
    vectors, classes = loader.read_class_vectors(path)
    if classes is None:
        raise BadInput(f"{path}: no 'classes', so its rows belong to no known class; word_vectors.py writes them")
    unseen_file = settings.unseen or settings.data / "unseen.txt"
    unseen = np.empty(0, np.int64)
    if settings.unseen or not settings.all_classes or unseen_file.exists():
        listed = loader.read_class_list(unseen_file)
        unseen = loader.split_classes(classes, listed, unseen_file, held_out_share=0).unseen
    kept = np.arange(len(classes)) if settings.all_classes else np.setdiff1d(np.arange(len(classes)), unseen)
    names = [classes[label] for label in kept]
    check_directions(vectors[kept], names, settings.distance, path)
    edges = join(vectors[kept], settings)
    scope = "all classes (transductive)" if settings.all_classes else "seen classes"
    title = f"{settings.kind}, {settings.distance}, {scope}"
    graph = settings.data / loader.CLASS_GRAPH[0]
    matfiles.write(
        graph,
        {loader.CLASS_GRAPH[1]: edges, "classes": names, "kind": title, "transductive": int(settings.all_classes)},
    )
    say(f"wrote {len(edges)} edges between {len(names)} classes, {title}, to {graph}")
    picture = settings.data / "class_graph.png"
    draw(picture, edges, class_distances(vectors[kept], settings.distance), names, np.isin(kept, unseen), title)
    say(f"wrote {picture}")


def check_directions(vectors, names, distance, path):
    """Raises BadInput for a zero vector (C, S) under cosine."""
    zero = np.flatnonzero(~vectors.any(axis=1))
    if distance == "cosine" and zero.size:
        raise BadInput(f"{path}: the vector of class '{names[zero[0]]}' is zero, which has no cosine")


def join(vectors, settings):
    """Edges (E, 2) of the graph that `settings` ask for."""
    if settings.kind == "mst":
        return minimum_spanning_tree(vectors, settings.distance)
    if not 1 <= settings.neighbours < len(vectors):
        raise BadInput(f"--neighbours should be from 1 to {len(vectors) - 1}, received {settings.neighbours}")
    return nearest_neighbours(vectors, settings.neighbours, settings.distance)


def class_distances(vectors, distance="cosine"):
    """(C, C) float64 distances of class vectors (C, S). Cosine is the default: the mean of several words' vectors is
    shorter than each of them, and by Euclid therefore near to everything."""
    return cdist(vectors.astype(np.float64), vectors.astype(np.float64), distance)


def minimum_spanning_tree(vectors, distance="cosine"):
    """Edges (C − 1, 2) int64, each pair once, of the tree that joins all classes with the least sum of distances.

    Grown from the first class (Prim 1957); ties by class order.
    """
    distances = class_distances(vectors, distance)
    nearest = np.zeros(len(distances), np.int64)  # of the classes in the tree, the one nearest to each class
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


def draw(path, edges, distances, names, unseen, title):
    """The graph with the class names, laid out so that distances on paper follow the steps between classes.

    `unseen` (C,): classes whose names stand in red.
    """
    from matplotlib.figure import Figure

    places = layout(edges, len(names))
    side = 4 + 0.9 * np.sqrt(len(names))  # inches
    figure = Figure(figsize=(side, side), dpi=110, facecolor="white")
    axes = figure.add_axes([0.02, 0.02, 0.96, 0.94])
    axes.axis("off")
    axes.set_title(title + "; unseen classes in red" * bool(unseen.any()), fontsize=10, color="#555555")
    lengths = distances[edges[:, 0], edges[:, 1]]
    shades = 0.25 + 0.5 * (lengths - lengths.min()) / max(np.ptp(lengths), 1e-12)  # near pairs dark, far pairs pale
    for (one, other), shade in zip(edges, shades, strict=True):
        axes.plot(*places[[one, other]].T, color=str(shade), linewidth=1, zorder=1)
    for place, name, new in zip(places, names, unseen, strict=True):
        box = {"facecolor": "white", "edgecolor": UNSEEN_COLOUR if new else "none", "pad": 0.9 if new else 0.6}
        words, colour = name.replace("_", " "), UNSEEN_COLOUR if new else "#222222"
        axes.text(*place, words, color=colour, fontsize=7, ha="center", va="center", bbox=box, zorder=2)
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
