"""Embeddings of photos and sketches with their labels and names, and the directions of retrieval between them."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

# query modality -> gallery modality; "image" is a photo in the names the field prints.
DIRECTIONS = {
    "sketch->image": ("sketch", "photo"),
    "image->sketch": ("photo", "sketch"),
    "sketch->sketch": ("sketch", "sketch"),
    "image->image": ("photo", "photo"),
}

INITIALS = {"sketch->image": "S→I", "image->sketch": "I→S"}  # in narrow columns


def printable(text):
    """`text` with control characters as �, so that a file cannot steer the terminal."""
    return "".join(letter if letter.isprintable() or letter == " " else "\ufffd" for letter in text)


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
        """The path of a row's picture; None if it is not known."""
        return self.folder / self.names[row] if self.folder and self.names else None

    def take(self, rows):
        """The items of the given rows. All rows in order are not copied, so that a memory map stays one."""
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
        """A class's name as it is printed and drawn."""
        return printable(self.classes[label]) if self.classes else f"class {label}"

    def sides(self, direction):
        """(queries, gallery) of a direction; the same `Items` twice within a modality."""
        return tuple({"photo": self.photo, "sketch": self.sketch}[modality] for modality in DIRECTIONS[direction])

    def keep(self, chosen):
        """The rows for which `chosen(items)` (n,) is true, of both modalities."""
        photo, sketch = (items.take(np.flatnonzero(chosen(items))) for items in (self.photo, self.sketch))
        return dataclasses.replace(self, photo=photo, sketch=sketch)


def drawn_photo(label, stem):
    """(label, file name without suffix) of the photo that a sketch of that label and name was drawn from.

    Sketchy names its sketches after the photo: `zebra/n02391049_12-3.png` was drawn from `zebra/n02391049_12.jpg`.
    """
    return label, stem.rpartition("-")[0]


def stems(items):
    """(label, file name without folders and suffix) of each item; none without names."""
    labels = items.labels.tolist() if items.names else ()
    return [(label, PurePosixPath(name).stem) for label, name in zip(labels, items.names, strict=True)]
