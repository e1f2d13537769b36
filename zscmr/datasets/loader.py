"""A dataset directory -> checked arrays.

File names and variables are those of the release (FIDELITY.md, "Files"). Arrays of different files are joined by class
name; by row only where a file carries no names, with a warning.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zscmr.datasets.classes import class_positions
from zscmr.formats import dataset_directory as released
from zscmr.formats import matfiles
from zscmr.formats.dataset_directory import CLASS_GRAPH, CLASS_VECTORS, CLASSIFIER, FILES, MODALITIES, read_provenance
from zscmr.utils.console import warn
from zscmr.utils.errors import BadInput


@dataclass(frozen=True)
class Modality:
    """The pictures of one modality.

    Args:
        features: (n, F) float32.
        labels: (n,) int64, indices into the dataset's classes.
        names: n strings `class/file name`; empty without a names file.
    """

    features: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]


@dataclass(frozen=True)
class Dataset:
    """The content of a dataset directory.

    Args:
        directory: the folder it was read from.
        photo, sketch: the pictures of each modality.
        classes: C names.
        class_vectors: (C, S) float32 in the order of `classes`; S = 0 without a file of vectors.
        edges: (E, 2) int64 class indices of the class graph; E = 0 without one.
        provenance: contents of pictures.json.
        classifier: (F, A) float32 kernel of the backbone's own classifier of A classes, or None without such a file.
    """

    directory: Path
    photo: Modality
    sketch: Modality
    classes: tuple[str, ...]
    class_vectors: np.ndarray
    edges: np.ndarray
    provenance: dict
    classifier: np.ndarray | None = None


def load_dataset(directory, needs_vectors=True):
    """Read and check a dataset directory. Without `needs_vectors` the file of class vectors may be missing.

    Raises BadInput, naming file and variable, when a file or variable is missing, shapes disagree, a row is not
    finite, a label is out of range, or a class lacks photos, sketches or a vector.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise BadInput(f"{directory}: no such dataset directory")
    labels = directory / FILES["photo"]["labels"][0]
    if not labels.exists():
        raise BadInput(f"{labels}: no such file; pretrain/finetune.py makes a dataset directory")
    classes = _class_names(directory)
    path = directory / CLASS_VECTORS[0]
    if needs_vectors and not path.exists():
        raise BadInput(f"{path}: no such file; pretrain/word_vectors.py writes it")
    vectors = _load_class_vectors(path, classes) if path.exists() else np.zeros((len(classes), 0), np.float32)
    sides = {modality: _load_modality(directory, modality, classes) for modality in MODALITIES}
    for modality, items in sides.items():
        empty = np.flatnonzero(np.bincount(items.labels, minlength=len(classes)) == 0)
        if empty.size:
            file, key = FILES[modality]["labels"]
            hint = "" if empty[0] else "; labels count from 0"
            raise BadInput(f"{directory / file}: '{key}' gives class '{classes[empty[0]]}' no {modality}{hint}")
    edges, classifier = _load_edges(directory, classes), _load_classifier(directory, sides)
    return Dataset(
        directory,
        **sides,
        classes=classes,
        class_vectors=vectors,
        edges=edges,
        provenance=read_provenance(directory),
        classifier=classifier,
    )


def _load_class_vectors(path, classes):
    vectors, vector_classes = read_class_vectors(path)
    if vector_classes is not None:
        return vectors[class_positions(classes, vector_classes, path)]
    if len(vectors) != len(classes):
        raise BadInput(f"{path}: {len(vectors)} rows for {len(classes)} classes, and no 'classes' to join them by")
    warn(f"{path}: no 'classes', joined by row; the released files have rows in the wrong order (FIDELITY.md, 6)")
    return vectors


def _class_names(directory):
    """The class order of a directory: `classes` of the photo label file. A released file has none."""
    file, key = FILES["photo"]["labels"]
    path = directory / file
    if (names := _classes_of(path)) is not None:
        return tuple(names)
    labels = read_whole_numbers(path, key)
    count = int(labels.max(initial=-1)) + 1
    if labels.min(initial=count) > 0:
        raise BadInput(f"{path}: '{key}' holds {labels.min(initial=count)} to {count - 1}; labels count from 0")
    vectors = directory / CLASS_VECTORS[0]
    if vectors.exists() and (names := _classes_of(vectors)) is not None:
        warn(f"{path}: no 'classes', its labels are taken as rows of {vectors}")
        return tuple(names)
    warn(f"{path}: no 'classes', its labels are taken as row numbers and the classes called class_0, class_1, …")
    return tuple(f"class_{index}" for index in range(count))


def _classes_of(path):
    """The class names in a file, or None for a released one. Raises BadInput for a class that occurs twice."""
    if "classes" not in matfiles.keys(path):
        return None
    names = matfiles.read_names(path, "classes")
    class_positions(names, names, path)
    return names


def _load_modality(directory, modality, classes):
    features = read_features(directory / FILES[modality]["features"][0], FILES[modality]["features"][1])
    labels = _load_labels(directory / FILES[modality]["labels"][0], FILES[modality]["labels"][1], classes)
    if len(labels) != len(features):
        files = [directory / FILES[modality][part][0] for part in ("labels", "features")]
        raise BadInput(f"{files[0]}: {len(labels)} labels, but {files[1]} has {len(features)} rows")
    path = directory / FILES[modality]["names"][0]
    names = read_names_of_rows(path, FILES[modality]["names"][1], labels, classes) if path.exists() else ()
    return Modality(features, labels, names)


def read_features(path, key="feature", large=matfiles.LARGE):
    """(n, F) float32 features of a .mat file; those of `large` bytes or more are memory-mapped.

    Raises BadInput for a wrong shape or a row with NaN or Inf.
    """
    array = matfiles.read_numbers(path, key, (None, None), large)
    if array.shape[1] < 2:
        raise BadInput(f"{path}: '{key}' should be rows × features, received shape {array.shape}")
    if isinstance(array, np.memmap):  # too large to hold: it stays on disk, its rows in one piece
        array = matfiles.row_major(path, key)
    if not isinstance(array, np.memmap) or array.dtype != np.float32:
        array = np.ascontiguousarray(array, dtype=np.float32)
    step = 2**24 // array.shape[1] + 1  # rows, about 64 MB
    finite = [np.isfinite(array[start : start + step]).all(axis=1) for start in range(0, len(array), step)]
    bad = np.flatnonzero(~np.concatenate([np.empty(0, bool), *finite]))
    if bad.size:
        raise BadInput(f"{path}: '{key}' row {bad[0]} holds NaN or Inf ({bad.size} such rows of {len(array)})")
    return array


def read_whole_numbers(path, key, shape=None):
    """A variable of whole numbers as int64. Raises BadInput for others, or another `shape`."""
    numbers = matfiles.read_numbers(path, key, shape)
    if not np.isfinite(numbers).all() or (numbers != np.floor(numbers)).any():
        raise BadInput(f"{path}: '{key}' should hold whole numbers, received {numbers.dtype} with fractions")
    if numbers.size and np.abs(numbers).max() >= 2**31:
        raise BadInput(f"{path}: '{key}' should hold whole numbers below 2^31, received {np.abs(numbers).max():g}")
    return numbers.astype(np.int64)


def _load_labels(path, key, classes):
    labels = read_whole_numbers(path, key).ravel()
    names = _classes_of(path)
    _check_range(labels, len(classes if names is None else names), path, key)
    return labels if names is None else class_positions(names, classes, path)[labels]


def _check_range(labels, count, path, key):
    bad = np.flatnonzero((labels < 0) | (labels >= count))
    if bad.size:
        hint = "; labels count from 0, not 1" if labels.min() == 1 and labels.max() == count else ""
        raise BadInput(f"{path}: '{key}' row {bad[0]} is {labels[bad[0]]}, expected 0 to {count - 1}{hint}")


def read_names_of_rows(path, key, labels, classes):
    """`class/file name` of each feature row: the k-th row of class c is the k-th non-padding entry of cell row c.

    Joined by name when the file has `classes`, by cell row with a warning otherwise.
    """
    cell = matfiles.read_cell(path, key)
    order, named = np.arange(len(classes)), _classes_of(path)
    if named is not None:
        order = class_positions(classes, named, path)
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
    names = _classes_of(path)
    if names is not None and len(names) != len(vectors):
        raise BadInput(f"{path}: {len(names)} classes, but '{key}' has {len(vectors)} rows")
    return vectors, names


def _load_classifier(directory, sides):
    """The kernel of the backbone's classifier, or None. Raises BadInput if it is not for the features of `sides`."""
    path, key = directory / CLASSIFIER[0], CLASSIFIER[1]
    if not path.exists():
        return None
    kernel = read_features(path, key)
    for modality, items in sides.items():
        if (width := items.features.shape[1]) != len(kernel):
            features = FILES[modality]["features"][0]
            raise BadInput(f"{path}: '{key}' has {len(kernel)} rows, but {features} has {width} features")
    return kernel


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
    edges = read_whole_numbers(path, CLASS_GRAPH[1], (None, 2))
    for defect in released.graph_defects(edges):
        warn(f"{path}: {defect}")
    names = _classes_of(path)
    if names is not None:
        _check_range(edges.ravel(), len(names), path, CLASS_GRAPH[1])
    return edges, names
