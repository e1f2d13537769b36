"""Embeddings files, read and checked: `unified_features.mat`, the variables of KNNcode.m, .npz, and folders of .npy
files, which are memory-mapped."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zscmr.datasets.classes import class_key, class_positions
from zscmr.evaluation.distances import DISTANCE_NAMES, check_vectors
from zscmr.evaluation.embeddings import Features, Items, printable
from zscmr.formats import matfiles
from zscmr.utils.console import warn
from zscmr.utils.errors import BadInput, first_line

# (vectors, labels, names, picture folder) of photos and of sketches: ours, and what KNNcode.m reads
RELEASED_KEYS = (("featuresx", "labelsx", "namesx", "picturesx"), ("featuresy", "labelsy", "namesy", "picturesy"))
KNNCODE_KEYS = (("photo_feat_un", "photo_lab", None, None), ("sketch_un", "sketch_lab", None, None))
LARGEST = 2**53  # whole numbers up to it are exact in float64


def newest(pattern):
    """The most recently written file that matches the glob `pattern`, relative to the working directory."""
    matches = sorted(Path().glob(str(pattern)), key=lambda path: path.stat().st_mtime)
    if not matches:
        raise BadInput(f"{pattern}: no such file; python Unified_XY_triads.py makes one, or name a features file")
    return matches[-1]


def read_embeddings(path, needs_unseen=True):
    """`Features` with all rows of an embeddings file, or of a folder of VARIABLE.npy.

    Raises BadInput, also for a file that names no class unseen unless `needs_unseen` is False.
    """
    source = _open(Path(path))
    present = set(source.keys)
    foreign = not present & {"featuresx", "featuresy"} and bool(present & {"photo_feat_un", "sketch_un"})
    classes = _class_names(source)
    photo, sketch = (_load_items(source, keys, classes) for keys in (KNNCODE_KEYS if foreign else RELEASED_KEYS))
    if len(photo.vectors) and len(sketch.vectors) and photo.vectors.shape[1] != sketch.vectors.shape[1]:
        raise BadInput(
            f"{path}: {photo.key} and {sketch.key}: expected rows of one length, "
            f"received {photo.vectors.shape} and {sketch.vectors.shape}"
        )
    labels = np.union1d(photo.labels, sketch.labels)
    if classes and not foreign and np.array_equal(labels, np.arange(1, len(classes))):
        warn(f"{path}: labels are 1 to {len(classes) - 1}, so no picture is of class {classes[0]}; they count from 0")
    zero_shot = "unseen" in present
    return Features(
        photo,
        sketch,
        classes,
        _unseen(source, classes, labels, needs_unseen) if zero_shot else labels,
        zero_shot,
        recorded_distance(source),
        printable(source.text("leaked")),
        printable(source.text("across")),
        _pairs(source, len(photo.labels), len(sketch.labels)) if "pairs" in present else None,
    )


def recorded_distance(source):
    """The distance that an embeddings file, a path or an open one, is to be ranked by; euclidean if it names none."""
    source = source if isinstance(source, _Source) else _open(Path(source))
    if "distance" not in source.keys:
        return "euclidean"
    distance = source.text("distance")
    if distance not in DISTANCE_NAMES:
        expected = f"expected any of {', '.join(DISTANCE_NAMES)}"
        raise BadInput(f"{source.path}: distance: {expected}, received {printable(distance) or 'an empty text'}")
    return distance


@dataclass(frozen=True)
class _Source:
    """A .mat file of named arrays."""

    path: Path
    keys: tuple[str, ...]

    def read(self, key):
        return matfiles.read(self.path, key)

    def names(self, key):
        """tuple of str; () if there is no such variable."""
        return tuple(matfiles.read_names(self.path, key)) if key in self.keys else ()

    def text(self, key):
        """str; empty if there is no such variable."""
        return matfiles.read_text(self.path, key) if key in self.keys else ""


class _NumpySource(_Source):
    """An .npz file, or a folder of .npy files."""

    def read(self, key):
        if key not in self.keys:
            raise BadInput(f"{self.path}: no variable '{key}', it has {', '.join(self.keys) or 'none'}")
        try:
            if self.path.is_dir():
                return np.load(self.path / f"{key}.npy", mmap_mode="r")
            with np.load(self.path) as file:
                return file[key]
        except Exception as error:  # NumPy and zipfile raise of many kinds
            raise BadInput(f"{self.path}: variable '{key}' cannot be read ({first_line(error)})") from error

    def names(self, key):
        if key not in self.keys:
            return ()
        names = self.read(key)
        if names.dtype.kind not in "USiu":
            raise BadInput(f"{self.path}: {key}: expected names, received {names.dtype} of shape {names.shape}")
        return tuple(self._decoded(key, name).strip() for name in names.ravel())

    def text(self, key):
        if key not in self.keys:
            return ""
        value = self.read(key)
        letters = value.dtype in (np.dtype("U1"), np.dtype("S1")) and value.size == max(value.shape, default=0)
        if value.dtype.kind not in "US" or not (value.size == 1 or letters):
            raise BadInput(f"{self.path}: {key}: expected one text, received {value.dtype} of shape {value.shape}")
        return "".join(self._decoded(key, part) for part in value.ravel()).strip()

    def _decoded(self, key, name):
        try:
            return name.decode() if isinstance(name, bytes) else str(name)
        except UnicodeDecodeError as error:
            raise BadInput(f"{self.path}: {key}: expected UTF-8, received {bytes(name)!r}") from error


def _open(path):
    if path.is_dir():
        keys = tuple(sorted(file.stem for file in path.glob("*.npy")))
        if not keys:
            raise BadInput(f"{path}: no .npy files in this folder; expected {', '.join(sum(RELEASED_KEYS, ()))}")
        return _NumpySource(path, keys)
    if path.suffix == ".npy":
        raise BadInput(f"{path}: give the folder that holds featuresx.npy, featuresy.npy, labelsx.npy, labelsy.npy")
    if path.suffix != ".npz" or not path.is_file():
        try:
            return _Source(path, tuple(matfiles.keys(path)))
        except BadInput as error:
            if path.suffix == ".mat" or not path.is_file():
                raise
            raise BadInput(f"{path}: expected embeddings, a .mat or .npz file or a folder of .npy files") from error
    try:
        with np.load(path) as file:
            return _NumpySource(path, tuple(file.files))
    except Exception as error:  # NumPy and zipfile raise of many kinds
        raise BadInput(f"{path}: not a readable .npz file ({first_line(error)})") from error


def _class_names(source):
    """Names by class index; () if the file has none. Raises BadInput for a name that occurs twice."""
    classes = source.names("classes")
    class_positions(classes, classes, f"{source.path}: classes")
    return classes


def _load_items(source, keys, classes):
    vectors_key, labels_key, names_key, folder_key = keys
    vectors = _numbers(source, vectors_key)
    if vectors.ndim != 2 or vectors.shape[1] == 0:
        raise BadInput(f"{source.path}: {vectors_key}: expected a matrix (rows, dim), received shape {vectors.shape}")
    check_vectors(vectors, f"{source.path}: {vectors_key}")
    labels = _class_indices(source, labels_key, classes)
    names = source.names(names_key)
    for key, column in ((labels_key, labels), (names_key, names)):
        if len(column) != len(vectors) and key in source.keys:
            raise BadInput(
                f"{source.path}: {key}: expected {len(vectors)} rows as in {vectors_key}, received {len(column)}"
            )
    if names:
        _check_named_classes(source, keys, labels, names, classes)
    folder = _picture_folder(source, folder_key, names) if source.text(folder_key) else None
    return Items(vectors_key, vectors, labels, np.arange(len(vectors)), names, folder)


def _check_named_classes(source, keys, labels, names, classes):
    """Compare labels with the class folders of names 'class/file', where the file has such a class.

    Raises BadInput where every label is one too high, warns where some differ.
    """
    index = {class_key(name): row for row, name in enumerate(classes)}
    folders = [name.partition("/")[0] if "/" in name else "" for name in names]
    rows = {folder: index.get(class_key(folder), -1) for folder in set(folders)}
    expected = np.array([rows[folder] for folder in folders], np.int64)
    comparable = np.flatnonzero(expected >= 0)
    wrong = comparable[labels[comparable] != expected[comparable]]
    if len(wrong) == 0:
        return
    row = wrong[0]
    fault = f"row {row} (counted from 0): expected {expected[row]}, the class of {keys[2]}, received {labels[row]}"
    if (labels[comparable] == expected[comparable] + 1).all():
        raise BadInput(f"{source.path}: {keys[1]} {fault}; labels count from 0, these from 1")
    warn(f"{source.path}: {keys[1]} differ from the classes in {keys[2]} in {len(wrong)} rows, the first {fault}")


def relative_folder(pictures, folder):
    """Relative path from the embeddings file's `folder` to the folder `pictures`; empty if there is none."""
    try:
        return Path(os.path.relpath(pictures, folder)).as_posix() if pictures else ""
    except ValueError:  # another drive of Windows
        return ""


def _picture_folder(source, key, names):
    """The picture folder; if the project has moved as a whole, the folder in the same place relative to the file.

    Files hold the absolute path as `key` and the relative one as `key`_relative. For older ones, without the latter,
    the same path above the file is taken, if it holds the pictures `names`.
    """
    folder, home = Path(source.text(key)), source.path.resolve().parent
    if folder.exists():
        return folder
    if relative := source.text(f"{key}_relative"):
        moved = Path(os.path.normpath(home / relative))
        return moved if moved.is_dir() else folder
    tails = [Path(*folder.parts[start:]) for start in range(1, len(folder.parts) - 1)]  # of two names at least
    candidates = (above / tail for tail in tails for above in (home, *home.parents))
    return next(
        (candidate for candidate in candidates if names and all((candidate / name).is_file() for name in names)), folder
    )


def _numbers(source, key):
    value = source.read(key)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
        received = getattr(value, "dtype", "text")
        raise BadInput(f"{source.path}: {key}: expected an array of numbers, received {received}")
    return value


def _unseen(source, classes, labels, needed):
    """Indices of the classes to evaluate: `unseen` lists them, or is a mask of all classes.

    A logical array is a mask. So are numbers 0 and 1 of which one occurs twice, as no list repeats a class. Without
    `classes` there are as many as the largest of `labels` says.
    """
    values = _numbers(source, "unseen")
    count = len(classes) or int(labels.max(initial=-1)) + 1
    logical = values.dtype.kind == "b"
    binary = bool(np.isin(values, (0, 1)).all())
    if logical or (binary and len(np.unique(values)) < values.size):
        if values.size != count:
            expected = f"expected class indices, or a mask of {count} classes"
            received = f"{'logical' if logical else 'numbers 0 and 1'} of shape {values.shape}"
            raise BadInput(f"{source.path}: unseen: {expected}, received {received}")
        if not logical:
            warn(f"{source.path}: unseen holds 0 or 1 for each of {count} classes and is read as a mask")
        indices = np.flatnonzero(values)
    else:
        indices = np.unique(_class_indices(source, "unseen", classes))
        if binary and count == values.size == 2:
            warn(f"{source.path}: unseen, 0 and 1, is read as a list of both classes; a mask would be logical")
    if needed and len(indices) == 0:
        raise BadInput(f"{source.path}: unseen: expected at least one class, received none")
    return indices


def _class_indices(source, key, classes):
    """Class indices, (n,) int64, in range if the file names its classes."""
    if classes:
        return _whole_numbers(source, key, f"class indices 0 to {len(classes) - 1}", 0, len(classes))
    return _whole_numbers(source, key, "whole numbers")


def _pairs(source, photos, sketches):
    """The photo row of each sketch, (sketches,) int64, −1 for none."""
    pairs = _whole_numbers(source, "pairs", f"photo rows 0 to {photos - 1}, or -1", -1, photos)
    if len(pairs) != sketches:
        raise BadInput(f"{source.path}: pairs: expected {sketches} rows as in featuresy, received {len(pairs)}")
    return pairs


def _whole_numbers(source, key, expected, least=-LARGEST, end=LARGEST):
    """(n,) int64, each from `least` to below `end`; `expected` describes them."""
    values = _numbers(source, key).ravel()
    if values.dtype.kind == "b":
        raise BadInput(f"{source.path}: {key}: expected {expected}, received a logical array")
    valid = np.isfinite(values) & (values == np.round(values)) & (values >= least) & (values < end)
    if not valid.all():
        row = np.flatnonzero(~valid)[0]
        hint = ""
        if least == 0 and values.min() == 1 and values.max() == end:
            hint = "; they count from 0, these from 1"
        raise BadInput(
            f"{source.path}: {key} row {row} (counted from 0): expected {expected}, received {values[row]}{hint}"
        )
    return values.astype(np.int64)
