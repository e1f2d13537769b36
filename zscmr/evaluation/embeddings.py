"""Embeddings files in, checked: `unified_features.mat`, the variables of KNNcode.m, .npz, and folders of .npy files,
which are memory-mapped; and the choice of rows that a protocol ranks."""

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from zscmr.evaluation.distances import DISTANCE_NAMES, check_vectors
from zscmr.formats import matfiles
from zscmr.utils.errors import BadInput, first_line

# query modality -> gallery modality; "image" is a photo in the names the field prints.
DIRECTIONS = {
    "sketch->image": ("sketch", "photo"),
    "image->sketch": ("photo", "sketch"),
    "sketch->sketch": ("sketch", "sketch"),
    "image->image": ("photo", "photo"),
}


INITIALS = {"sketch->image": "S→I", "image->sketch": "I→S"}  # in narrow columns


@dataclass(frozen=True)
class Items:
    """The pictures of one modality."""

    key: str  # the variable of the file that holds the vectors
    vectors: np.ndarray  # (n, dim), or packed codes (n, bytes) uint8
    labels: np.ndarray  # (n,) int64, index into the file's classes
    rows: np.ndarray  # (n,) row numbers in the file
    names: tuple[str, ...]  # 'class/filename' each, or none at all
    folder: Path | None  # holds the class folders of the pictures

    def path(self, row):
        """Where the picture of a row should be; None if that is not known."""
        return self.folder / self.names[row] if self.folder and self.names else None

    def take(self, rows):
        """The items of the given rows; all of them in order stay where they are, in a memory map if in one."""
        if np.array_equal(rows, np.arange(len(self.labels))):
            return self
        names = tuple(self.names[row] for row in rows) if self.names else ()
        return dataclasses.replace(
            self, vectors=self.vectors[rows], labels=self.labels[rows], rows=self.rows[rows], names=names
        )


@dataclass(frozen=True)
class Features:
    """An embeddings file."""

    photo: Items
    sketch: Items
    classes: tuple[str, ...]  # names by class index; empty if the file has none
    unseen: np.ndarray  # (classes to evaluate,) class indices
    zero_shot: bool  # whether the file itself names unseen classes
    distance: str  # recorded in the file, else euclidean; hamming where the vectors are signs
    leaked: str  # how unseen classes leaked into these embeddings; empty if they did not
    across: str = ""  # if another dataset than these was trained on: both, and which classes are evaluated
    pairs: np.ndarray | None = None  # (sketches of the file,) file row of the photo each draws, −1: none

    def class_name(self, label):
        return self.classes[label] if self.classes else f"class {label}"

    def sides(self, direction):
        """(queries, gallery) of a direction; the same `Items` twice within a modality."""
        return tuple({"photo": self.photo, "sketch": self.sketch}[modality] for modality in DIRECTIONS[direction])

    def keep(self, chosen):
        """The rows for which `chosen(items)` (n,) is true, of both modalities."""
        photo, sketch = (items.take(np.flatnonzero(chosen(items))) for items in (self.photo, self.sketch))
        return dataclasses.replace(self, photo=photo, sketch=sketch)


# (vectors, labels, names, picture folder) of photos and of sketches: ours, and what KNNcode.m reads
RELEASED_KEYS = (("featuresx", "labelsx", "namesx", "picturesx"), ("featuresy", "labelsy", "namesy", "picturesy"))
KNNCODE_KEYS = (("photo_feat_un", "photo_lab", None, None), ("sketch_un", "sketch_lab", None, None))


def newest(pattern):
    """The most recently written file that matches the glob `pattern`, relative to the working directory."""
    found = sorted(Path().glob(str(pattern)), key=lambda path: path.stat().st_mtime)
    if not found:
        raise BadInput(f"{pattern}: no such file; python Unified_XY_triads.py makes one, or name a features file")
    return found[-1]


def load(path):
    """Read and checks an embeddings file, or a folder of VARIABLE.npy: `Features` with all its rows."""
    source = _open(Path(path))
    present = set(source.keys)
    foreign = not present & {"featuresx", "featuresy"} and bool(present & {"photo_feat_un", "sketch_un"})
    classes = source.names("classes")
    photo, sketch = (_load_items(source, keys, classes) for keys in (KNNCODE_KEYS if foreign else RELEASED_KEYS))
    if len(photo.vectors) and len(sketch.vectors) and photo.vectors.shape[1] != sketch.vectors.shape[1]:
        raise BadInput(
            f"{path}: {photo.key} and {sketch.key}: expected rows of one length, "
            f"received {photo.vectors.shape} and {sketch.vectors.shape}"
        )
    unseen = np.union1d(photo.labels, sketch.labels)
    if "unseen" in present:
        unseen = np.unique(_class_indices(source, "unseen", classes))
        if len(unseen) == 0:
            raise BadInput(f"{path}: unseen: expected class indices, received none")
    distance = source.text("distance") or "euclidean"
    if distance not in DISTANCE_NAMES:
        raise BadInput(f"{path}: distance: expected any of {', '.join(DISTANCE_NAMES)}, received {distance}")
    pairs = _pairs(source, len(photo.labels), len(sketch.labels)) if "pairs" in present else None
    leaked, across = source.text("leaked"), source.text("across")
    return Features(photo, sketch, classes, unseen, "unseen" in present, distance, leaked, across, pairs)


@dataclass(frozen=True)
class _Source:
    """A file of named arrays, whatever its format."""

    path: Path
    keys: tuple[str, ...]

    def read(self, key):
        return matfiles.read(self.path, key)

    def names(self, key):
        """tuple of str; () if there is no such variable."""
        return tuple(matfiles.read_names(self.path, key)) if key in self.keys else ()

    def text(self, key):
        """str; empty if there is no such variable."""
        value = self.read(key) if key in self.keys else ""
        return value if isinstance(value, str) else ""


class _NumpySource(_Source):
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
        return tuple(str(name).strip() for name in np.ravel(self.read(key))) if key in self.keys else ()

    def text(self, key):
        return "".join(self.names(key))


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
    folder = _picture_folder(source, folder_key, names) if source.text(folder_key) else None
    return Items(vectors_key, vectors, labels, np.arange(len(vectors)), names, folder)


def relative_place(pictures, folder):
    """The path from `folder`, which holds an embeddings file, to the folder `pictures`; empty where there is none."""
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
        place = Path(os.path.normpath(home / relative))
        return place if place.is_dir() else folder
    tails = [Path(*folder.parts[start:]) for start in range(1, len(folder.parts) - 1)]  # of two names at least
    places = (above / tail for tail in tails for above in (home, *home.parents))
    return next((place for place in places if names and all((place / name).is_file() for name in names)), folder)


def _numbers(source, key):
    value = source.read(key)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
        received = getattr(value, "dtype", "text")
        raise BadInput(f"{source.path}: {key}: expected an array of numbers, received {received}")
    return value


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


def _whole_numbers(source, key, expected, least=-np.inf, end=np.inf):
    """(n,) int64, each from `least` to below `end`; `expected` describes them."""
    values = _numbers(source, key).ravel()
    valid = np.isfinite(values) & (values == np.round(values)) & (values >= least) & (values < end)
    if not valid.all():
        row = np.flatnonzero(~valid)[0]
        raise BadInput(f"{source.path}: {key} row {row} (counted from 0): expected {expected}, received {values[row]}")
    return values.astype(np.int64)


def unseen_only(features):
    """`features` with the rows of unseen classes alone."""
    return features.keep(lambda items: np.isin(items.labels, features.unseen))


def seen_vectors(features):
    """Embeddings (n, dim) of all pictures of seen classes, photos first."""
    return np.concatenate(
        [items.vectors[~np.isin(items.labels, features.unseen)] for items in (features.photo, features.sketch)]
    )


def generalised(features, protocol, seed=0):
    """The rows of a generalised zero-shot protocol, where pictures of seen classes join those of unseen ones.

    `sempcyc`: in each modality a random draw of seen rows numbering 20 % of the unseen ones, a function of `seed`.
    `pcmsn`: all seen rows.
    """
    if protocol == "pcmsn":
        return features

    def chosen(items):
        unseen = np.isin(items.labels, features.unseen)
        seen = np.flatnonzero(~unseen)
        drawn = np.random.default_rng(seed).permutation(seen)[: round(0.2 * unseen.sum())]
        unseen[drawn] = True
        return unseen

    return features.keep(chosen)


def drop_paired(features):
    """`features` without the photos that a sketch in it was drawn from by their names, and how many they are."""
    if not features.photo.names or not features.sketch.names:
        raise BadInput(f"--drop-paired needs the file names of photos and sketches, {features.photo.key} comes without")
    drawn = {drawn_photo(*identity) for identity in stems(features.sketch)}
    kept = np.array([identity not in drawn for identity in stems(features.photo)], bool)
    return _with_photos(features, kept)


def dedupe(features):
    """`features` with each photo once, the first time it is listed, and how many rows that drops.

    Rows are the same photo if class and file name (without folders and suffix) agree; without names, if class and
    embedding do.
    """
    if features.photo.names:
        identity = stems(features.photo)
    else:
        identity = [
            (label, row.tobytes()) for label, row in zip(features.photo.labels, features.photo.vectors, strict=True)
        ]
    first = {}
    kept = np.array([first.setdefault(item, row) == row for row, item in enumerate(identity)], bool)
    return _with_photos(features, kept)


def _with_photos(features, kept):
    photo = features.photo.take(np.flatnonzero(kept))
    return dataclasses.replace(features, photo=photo), int((~kept).sum())


def drawn_photo(label, stem):
    """(label, file name without suffix) of the photo that a sketch of that label and name was drawn from.

    Sketchy names its sketches after the photo: `zebra/n02391049_12-3.png` was drawn from `zebra/n02391049_12.jpg`.
    """
    return label, stem.rpartition("-")[0]


def stems(items):
    """(label, file name without folders and suffix) of each item; none without names."""
    labels = items.labels.tolist() if items.names else ()
    return [(label, PurePosixPath(name).stem) for label, name in zip(labels, items.names, strict=True)]
