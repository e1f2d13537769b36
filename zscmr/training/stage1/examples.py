"""The pictures of one modality in stage I: files, or all decoded in memory; strokes are drawn anew in each epoch."""

import functools
from dataclasses import dataclass

import numpy as np

from zscmr.datasets import pictures
from zscmr.datasets.drawings import is_drawing, read_strokes
from zscmr.datasets.strokes import Variation, draw_varied
from zscmr.utils.console import track
from zscmr.utils.seeds import generator

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
class Redrawing:
    """How drawings with strokes are varied in each epoch, as a function of (seed, epoch, row)."""

    variation: Variation
    seed: int


@dataclass(frozen=True)
class Examples:
    """Readable pictures of one modality.

    Args:
        modality: the pictures.
        images: (n, size, size, 3) uint8, or None where they are read when needed.
        redrawing: of drawings with strokes; None: they stay the same.
    """

    modality: PictureSet
    images: np.ndarray | None
    redrawing: Redrawing | None = None

    @property
    def labels(self):
        return self.modality.labels

    @functools.cached_property
    def redrawn_rows(self):
        """Rows (k,) int32 of the drawings that differ between epochs."""
        rows = [row for row, path in enumerate(self.modality.paths) if self.redrawing and is_drawing(path)]
        return np.array(rows, np.int32)

    def read(self, rows, epoch=None):
        """Pictures (n, size, size, 3) uint8 of row numbers; drawings as in `epoch`, None: as stored."""
        images = self.modality.read(rows)[0] if self.images is None else self.images[rows]
        if epoch is not None:
            redrawn = np.flatnonzero(np.isin(rows, self.redrawn_rows))
            images[redrawn] = self.redraw(np.asarray(rows)[redrawn], epoch)
        return images

    def redraw(self, rows, epoch):
        """Drawings (k, size, size, 3) uint8 of some of `redrawn_rows` in this epoch."""
        size = self.modality.preprocessing.size
        images = np.empty((len(rows), size, size, 3), np.uint8)
        for position, row in enumerate(rows):
            random = generator(self.redrawing.seed, f"drawing {row}", epoch)
            strokes = read_strokes(self.modality.paths[row])
            images[position] = np.asarray(draw_varied(strokes, size, self.redrawing.variation, random))[..., None]
        return images


def decode(modality, limit, progress=False, redrawing=None):
    """Decode all pictures of a modality and return `Examples` of the readable ones.

    Args:
        modality: a `PictureSet`.
        limit: bytes up to which the decoded pictures are kept.
        progress: show it.
        redrawing: as of `Examples`.
    """
    resident = modality.nbytes <= limit
    parts = np.array_split(np.arange(len(modality.paths)), max(1, len(modality.paths) // READ))
    done = pictures.ahead(modality.read, parts)
    if progress:
        done = track(done, f"{modality.name}: reading pictures, batch", len(parts))
    images, readable = zip(*((part if resident else part[:0], good) for part, good in done), strict=True)
    readable = np.concatenate(readable)
    return Examples(modality.take(readable), np.concatenate(images)[readable] if resident else None, redrawing)
