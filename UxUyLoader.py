"""A dataset directory -> checked arrays, the seen/unseen split, and triads as index arrays.

Knows files and NumPy, nothing of TensorFlow. The file names and variables are those of the release
(FIDELITY.md, "Files"); arrays of different files are joined by class name, never by row order.
"""

import difflib
import hashlib
import json
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import matfiles
import released
from cli import BadInput, warn

#: modality -> its files and variables in a dataset directory, as released
FILES = {
    "photo": {
        "features": ("imagematnew.mat", "feature"),
        "labels": ("label_im.mat", "label_im"),
        "names": ("names_images.mat", "data"),
    },
    "sketch": {
        "features": ("sketchmatnew.mat", "feature"),
        "labels": ("label_sk.mat", "label_sk"),
        "names": ("names_sketches.mat", "data3"),
    },
}
CLASS_VECTORS = ("wv_embeddings.mat", "features")
CLASS_GRAPH = ("mst_graph.mat", "edge")
PAIRS = ("dataset2.mat", "datamat2")  # the sketches of each photo
PICTURES = "pictures.json"  # how the features were made: folders, backbone, classes the CNNs were trained on


@dataclass(frozen=True)
class Modality:
    """The pictures of one modality: `features` (n, F) float32, `labels` (n,) int64 into the dataset's classes,
    `names` n strings `class/file name` (empty where the dataset has no names file)."""

    features: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]


@dataclass(frozen=True)
class Dataset:
    """What a dataset directory holds: `classes` C names, `class_vectors` (C, S) float32 in their order,
    `edges` (E, 2) int64 of the class graph (E = 0 without one), `made_with` the contents of pictures.json."""

    directory: Path
    photo: Modality
    sketch: Modality
    classes: tuple[str, ...]
    class_vectors: np.ndarray
    edges: np.ndarray
    made_with: dict


def class_key(name):
    """The form in which class names are compared: case, spaces, `_` and `-` do not count, nor whether a file system
    keeps an accent apart from its letter."""
    return "".join(letter for letter in unicodedata.normalize("NFKC", str(name)).casefold() if letter not in " _-")


def class_indices(names):
    """{key: index} of class names, to look others up by `class_key`."""
    return {class_key(name): index for index, name in enumerate(names)}


def class_positions(wanted, present, where):
    """Index in `present` of each class name in `wanted`, compared by `class_key`.

    Raises BadInput naming the first class that `where` lacks and the nearest spellings, or a name that occurs twice.
    """
    position = {}
    for index, name in enumerate(present):
        if position.setdefault(class_key(name), index) != index:
            raise BadInput(f"{where}: class '{name}' occurs twice (case, spaces, '_' and '-' do not count)")
    missing = [name for name in wanted if class_key(name) not in position]
    if missing:
        near = difflib.get_close_matches(class_key(missing[0]), position, n=3)
        hint = f"; nearest: {', '.join(present[position[key]] for key in near)}" if near else ""
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise BadInput(f"{where}: no class '{missing[0]}'{more}{hint}")
    return np.array([position[class_key(name)] for name in wanted], dtype=np.int64)


def read_class_list(path):
    """Class names of a text file, one a line; `#` starts a comment. Raises BadInput if it is missing or empty."""
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise BadInput(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: not a readable list of class names ({error})") from error
    names = [line.split("#")[0].strip() for line in lines]
    names = [name for name in names if name]
    if not names:
        raise BadInput(f"{path}: no class names in it")
    return names


def load_dataset(directory):
    """Reads and checks a dataset directory.

    Raises BadInput, naming file and variable, when a file or variable is missing, shapes disagree, a row is not
    finite, a label is out of range, or a class lacks photos, sketches or a vector.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise BadInput(f"{directory}: no such dataset directory")
    classes = _class_names(directory)
    vectors, vector_classes = read_class_vectors(directory / CLASS_VECTORS[0])
    if vector_classes is None:
        vectors = _joined_by_row(vectors, len(classes), directory / CLASS_VECTORS[0])
    else:
        vectors = vectors[class_positions(classes, vector_classes, directory / CLASS_VECTORS[0])]
    dataset = Dataset(
        directory=directory,
        photo=_load_modality(directory, "photo", classes),
        sketch=_load_modality(directory, "sketch", classes),
        classes=classes,
        class_vectors=vectors,
        edges=_load_edges(directory, classes),
        made_with=read_made_with(directory),
    )
    for modality, labels in (("photo", dataset.photo.labels), ("sketch", dataset.sketch.labels)):
        empty = np.flatnonzero(np.bincount(labels, minlength=len(classes)) == 0)
        if empty.size:
            file, key = FILES[modality]["labels"]
            raise BadInput(f"{directory / file}: '{key}' gives class '{classes[empty[0]]}' no {modality}")
    return dataset


def read_made_with(directory):
    """Contents of pictures.json, or {} for a directory whose features were made elsewhere."""
    path = Path(directory) / PICTURES
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInput(f"{path}: not readable as JSON ({error})") from error


def _class_names(directory):
    """The class order of a directory: the `classes` beside the photo labels; a released file has none."""
    file, key = FILES["photo"]["labels"]
    path = directory / file
    if "classes" in matfiles.keys(path):
        return tuple(matfiles.read_names(path, "classes"))
    vectors = directory / CLASS_VECTORS[0]
    count = int(np.max(matfiles.read(path, key))) + 1
    if "classes" in matfiles.keys(vectors):
        names = matfiles.read_names(vectors, "classes")
        warn(f"{path}: no 'classes', its labels are taken as rows of {vectors}")
        return tuple(names)
    warn(f"{path}: no 'classes', its labels are taken as row numbers and the classes called class_0, class_1, …")
    return tuple(f"class_{index}" for index in range(count))


def _load_modality(directory, modality, classes):
    features = read_features(directory / FILES[modality]["features"][0], FILES[modality]["features"][1])
    labels = _load_labels(directory / FILES[modality]["labels"][0], FILES[modality]["labels"][1], classes)
    if len(labels) != len(features):
        files = [directory / FILES[modality][part][0] for part in ("labels", "features")]
        raise BadInput(f"{files[0]}: {len(labels)} labels, but {files[1]} has {len(features)} rows")
    path = directory / FILES[modality]["names"][0]
    names = read_names_of_rows(path, FILES[modality]["names"][1], labels, classes) if path.exists() else ()
    return Modality(features, labels, names)


def read_features(path, key="feature"):
    """(n, F) float32 features of a .mat file. Raises BadInput for a wrong shape or a row with NaN or Inf."""
    array = matfiles.read(path, key)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu" or array.ndim != 2 or array.shape[1] < 2:
        received = f"shape {array.shape} of {array.dtype}" if isinstance(array, np.ndarray) else "text"
        raise BadInput(f"{path}: '{key}' should be a matrix of numbers, rows × features, received {received}")
    if not isinstance(array, np.memmap) or array.dtype != np.float32:  # a mapped array stays on disk
        array = np.ascontiguousarray(array, dtype=np.float32)
    step = 2**24 // array.shape[1] + 1  # rows looked at together, about 64 MB
    finite = [np.isfinite(array[start : start + step]).all(axis=1) for start in range(0, len(array), step)]
    bad = np.flatnonzero(~np.concatenate([np.empty(0, bool), *finite]))
    if bad.size:
        raise BadInput(f"{path}: '{key}' row {bad[0]} holds NaN or Inf ({bad.size} such rows of {len(array)})")
    return array


def _load_labels(path, key, classes):
    raw = matfiles.read(path, key)
    labels = np.ravel(raw)
    if labels.dtype.kind not in "fiu" or (labels != np.floor(labels)).any():
        raise BadInput(f"{path}: '{key}' should hold whole numbers, received {raw.dtype}")
    labels = labels.astype(np.int64)
    if "classes" in matfiles.keys(path):
        names = matfiles.read_names(path, "classes")
        _check_range(labels, len(names), path, key)
        return class_positions(names, classes, path)[labels]
    _check_range(labels, len(classes), path, key)
    return labels


def _check_range(labels, count, path, key):
    bad = np.flatnonzero((labels < 0) | (labels >= count))
    if bad.size:
        raise BadInput(f"{path}: '{key}' row {bad[0]} is {labels[bad[0]]}, expected 0 to {count - 1}")


def read_names_of_rows(path, key, labels, classes):
    """`class/file name` of each feature row: the k-th row of class c is the k-th non-padding entry of cell row c.

    Joined by name when the file has `classes`, by cell row with a warning otherwise.
    """
    cell = matfiles.read(path, key)
    order = np.arange(len(classes))
    if "classes" in matfiles.keys(path):
        order = class_positions(classes, matfiles.read_names(path, "classes"), path)
    else:
        warn(f"{path}: no 'classes', its rows are taken as classes in label order")
    if cell.ndim != 2 or len(cell) <= order.max():
        raise BadInput(f"{path}: '{key}' should be a cell with a row per class ({len(classes)}), received {cell.shape}")
    names = np.empty(len(labels), dtype=object)
    for label, name in enumerate(classes):
        rows = np.flatnonzero(labels == label)
        files = [entry for entry in cell[order[label]] if isinstance(entry, str) and entry]
        if len(files) != len(rows):
            raise BadInput(f"{path}: '{key}' has {len(files)} names for class '{name}', but {len(rows)} labels say so")
        names[rows] = [f"{name}/{file}" for file in files]
    return tuple(names)


def read_class_vectors(path):
    """(vectors (C, S) float32, their class names or None for a released file that carries none)."""
    key = CLASS_VECTORS[1]
    if Path(path).is_file() and key not in matfiles.keys(path) and "wv" in matfiles.keys(path):
        key = "wv"  # the name in the released GloVe and TU-Berlin files
    vectors = read_features(path, key)
    for defect in released.vector_defects(vectors):
        warn(f"{path}: {defect}")
    if "classes" not in matfiles.keys(path):
        return vectors, None
    names = matfiles.read_names(path, "classes")
    if len(names) != len(vectors):
        raise BadInput(f"{path}: {len(names)} classes, but '{key}' has {len(vectors)} rows")
    return vectors, names


def _joined_by_row(rows, count, path):
    if len(rows) != count:
        raise BadInput(f"{path}: {len(rows)} rows for {count} classes, and no 'classes' to join them by")
    warn(f"{path}: no 'classes', joined by row; the released files have rows in the wrong order (FIDELITY.md, 6)")
    return rows


def _load_edges(directory, classes):
    path = directory / CLASS_GRAPH[0]
    if not path.exists():
        return np.empty((0, 2), dtype=np.int64)
    edges, names = read_class_graph(path)
    if names is not None:
        return class_positions(names, classes, path)[edges]
    warn(f"{path}: no 'classes', its nodes are taken as classes in label order")
    _check_range(edges.ravel(), len(classes), path, CLASS_GRAPH[1])
    return edges


def read_class_graph(path):
    """(edges (E, 2) int64, zero-based; class names of the nodes, or None for a released file)."""
    edges = matfiles.read(path, CLASS_GRAPH[1])
    if edges.ndim != 2 or edges.shape[1] != 2:
        raise BadInput(f"{path}: '{CLASS_GRAPH[1]}' should be edges × 2, received {edges.shape}")
    edges = edges.astype(np.int64)
    for defect in released.graph_defects(edges):
        warn(f"{path}: {defect}")
    if "classes" not in matfiles.keys(path):
        return edges, None
    names = matfiles.read_names(path, "classes")
    _check_range(edges.ravel(), len(names), path, CLASS_GRAPH[1])
    return edges, names


@dataclass(frozen=True)
class Split:
    """Class indices, disjoint: `seen` to train on, `held_out` seen classes kept from training to choose the epoch
    by, `unseen` for the final evaluation only."""

    seen: np.ndarray
    held_out: np.ndarray
    unseen: np.ndarray

    def names(self, classes):
        """The same as class names, for the run's config.json."""
        return {part: [classes[label] for label in getattr(self, part)] for part in ("seen", "held_out", "unseen")}


def split_classes(classes, unseen_names, where, held_out_share=0.1, seed=0):
    """Splits the classes by an unseen list and holds out a share of the seen ones for model selection.

    The held-out classes are a function of `seed` and the seen names only. Raises BadInput for an unknown or repeated
    unseen class, or when fewer than two seen classes would remain.
    """
    unseen = np.sort(class_positions(unseen_names, classes, where))
    if len(np.unique(unseen)) != len(unseen):
        raise BadInput(f"{where}: a class occurs twice")
    seen = np.setdiff1d(np.arange(len(classes)), unseen)
    count = max(2, round(held_out_share * len(seen))) if held_out_share > 0 else 0
    if len(seen) - count < 2:
        cause = f"{where}: {len(unseen)} of {len(classes)} classes unseen"
        if len(seen) >= 2:
            cause = f"--held-out {held_out_share:g}: {count} of {len(seen)} seen classes held out"
        raise BadInput(f"{cause} leaves too few to train on")
    drawn = generator(seed, "held-out classes").permutation(len(seen))[:count]
    held_out = np.sort(seen[drawn])
    return Split(seen=np.setdiff1d(seen, held_out), held_out=held_out, unseen=unseen)


def graph_fault(dataset, split):
    """Why the dataset's class graph is not one of `split`: it has to join every seen class, those held out included,
    and no unseen one. Empty if it is."""
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


def scaled(features, labels, seen):
    """Features (n, F) of pictures with `labels` (n,), centred and scaled per feature on those of the seen classes."""
    reference = features[np.isin(labels, seen)]
    return (features - reference.mean(0)) / np.maximum(reference.std(0), 1e-6)


def generator(seed, purpose, step=0):
    """A NumPy random generator that is a function of (seed, purpose, step), so that any draw can be replayed."""
    digest = hashlib.sha256(purpose.encode()).digest()
    return np.random.default_rng([seed, step, int.from_bytes(digest[:8], "little")])


@dataclass(frozen=True)
class Triads:
    """Rows of one epoch's batches, each (steps, batch) int32: a photo and a sketch of one class,
    and a photo and a sketch of other classes as negatives of the two triplet hinges."""

    photo: np.ndarray
    sketch: np.ndarray
    negative_photo: np.ndarray
    negative_sketch: np.ndarray


def draw_triads(photo_labels, sketch_labels, classes, batch, seed, epoch):
    """Triads of the epoch: every picture of the larger modality once, in random order, each with a random picture
    of its class from the other modality and random negatives; the remainder batch is dropped (as released).

    `classes` are the class indices to draw from; rows of others are never drawn. A function of (seed, epoch) and
    its arguments alone. Raises BadInput when there are fewer pictures than one batch.
    """
    random = generator(seed, "triads", epoch)
    photos, sketches = (_rows_by_class(labels, classes) for labels in (photo_labels, sketch_labels))
    larger, smaller = (photos, sketches) if photos.total >= sketches.total else (sketches, photos)
    steps = larger.total // batch
    if steps == 0:
        raise BadInput(
            f"--batch-size {batch} is larger than the {larger.total} pictures to train on; try a smaller one"
        )
    order = random.permutation(larger.total)[: steps * batch]
    group = larger.group[order]
    drawn = larger.rows[order], smaller.draw(group, random)
    photo, sketch = drawn if larger is photos else drawn[::-1]
    # a shift by 1 … C−1 around the ring of classes never lands on the class itself
    other = [(group + random.integers(1, len(classes), len(group))) % len(classes) for _ in range(2)]
    arrays = photo, sketch, photos.draw(other[0], random), sketches.draw(other[1], random)
    return Triads(*(array.astype(np.int32).reshape(steps, batch) for array in arrays))


def draw_balanced(photo_labels, sketch_labels, classes, batch, seed, epoch, steps=0):
    """Like `draw_triads`, but each batch holds two photos and two sketches of each of batch // 2 classes, or of all.

    The classes stand in random order, the rows of one next to each other; the negatives are those of the class before.
    Steps per epoch as there, or `steps`; the batch is smaller when there are fewer than batch // 2 classes.
    """
    random = generator(seed, "balanced batches", epoch)
    photos, sketches = (_rows_by_class(labels, classes) for labels in (photo_labels, sketch_labels))
    steps = steps or max(1, max(photos.total, sketches.total) // batch)
    kept = min(max(batch // 2, 2), len(classes))
    order = random.permuted(np.tile(np.arange(len(classes)), (steps, 1)), axis=1)[:, :kept]
    group = np.repeat(order, 2, axis=1)
    shape = group.shape
    photo, sketch = (rows.draw(group.ravel(), random).reshape(shape) for rows in (photos, sketches))
    arrays = photo, sketch, np.roll(photo, 2, axis=1), np.roll(sketch, 2, axis=1)
    return Triads(*(array.astype(np.int32) for array in arrays))


@dataclass(frozen=True)
class _RowsByClass:
    rows: np.ndarray  # row numbers, sorted by class
    group: np.ndarray  # position of each row's class among the classes drawn from
    start: np.ndarray  # first place of each class in `rows`
    count: np.ndarray

    @property
    def total(self):
        return len(self.rows)

    def draw(self, groups, random):
        """A random row of each given class."""
        return self.rows[self.start[groups] + (random.random(len(groups)) * self.count[groups]).astype(np.int64)]


def _rows_by_class(labels, classes):
    position = np.full(max(labels.max(), np.max(classes)) + 1, -1)
    position[classes] = np.arange(len(classes))
    group = position[labels]
    rows = np.argsort(group, kind="stable")
    rows = rows[np.searchsorted(group[rows], 0) :]
    count = np.bincount(group[rows], minlength=len(classes))
    return _RowsByClass(rows, group[rows], np.cumsum(count) - count, count)
