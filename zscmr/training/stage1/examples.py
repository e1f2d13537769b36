"""The pictures of one modality as stage I reads them: files, or all decoded in memory."""

from dataclasses import dataclass

import numpy as np

from zscmr.datasets import pictures
from zscmr.utils.console import track

READ = 64  # pictures decoded by one task


@dataclass(frozen=True)
class PictureSet:
    """The pictures of one modality.

    Args:
        name: "photo" or "sketch".
        paths: of n files.
        labels: (n,) class indices.
        preprocessing: how they are scaled and cropped.
        shrink: side in pixels that they are scaled to first, None for as stored.
    """

    name: str
    paths: tuple
    labels: np.ndarray
    preprocessing: pictures.Preprocessing
    shrink: int | None = None

    def read(self, rows):
        """(pictures (n, size, size, 3) uint8, readable (n,) bool) of row numbers."""
        return pictures.read_pictures([self.paths[row] for row in rows], self.preprocessing, self.shrink)

    def take(self, keep):
        """The modality reduced to the rows where the boolean mask `keep` (n,) is true."""
        paths = tuple(path for path, chosen in zip(self.paths, keep, strict=True) if chosen)
        return PictureSet(self.name, paths, self.labels[keep], self.preprocessing, self.shrink)

    def of_classes(self, classes):
        """The modality reduced to the pictures of these class indices."""
        return self.take(np.isin(self.labels, classes))

    @property
    def nbytes(self):
        """Memory that all pictures need when decoded."""
        return 3 * len(self.paths) * self.preprocessing.size**2


@dataclass(frozen=True)
class Examples:
    """Readable pictures of one modality; `images` (n, size, size, 3) uint8, or None where they are read when needed."""

    modality: PictureSet
    images: np.ndarray | None

    @property
    def labels(self):
        return self.modality.labels

    def read(self, rows):
        """Pictures (n, size, size, 3) uint8 of row numbers."""
        return self.modality.read(rows)[0] if self.images is None else self.images[rows]


def decode(modality, limit, progress=False):
    """`Examples` of the readable pictures of a modality; all of them are decoded, and kept if they need at most
    `limit` bytes."""
    resident = modality.nbytes <= limit
    parts = np.array_split(np.arange(len(modality.paths)), max(1, len(modality.paths) // READ))
    done = pictures.ahead(modality.read, parts)
    if progress:
        done = track(done, f"{modality.name}: reading pictures, batch", len(parts))
    images, readable = zip(*((part if resident else part[:0], good) for part, good in done), strict=True)
    readable = np.concatenate(readable)
    return Examples(modality.take(readable), np.concatenate(images)[readable] if resident else None)
