"""Picture files -> decoded arrays, by threads that run ahead of whoever consumes them."""

import io
import itertools
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"}
LARGEST = 2**29  # pixels, 23,170 squared: 1.6 GB decoded


@dataclass(frozen=True)
class PictureTree:
    """Pictures under one root: `files` n paths relative to it (`…/class/file`), sorted by class and file name,
    `labels` (n,) int64 into `classes`."""

    root: Path
    files: tuple[str, ...]
    labels: np.ndarray
    classes: tuple[str, ...]

    def paths(self):
        return [str(self.root / file) for file in self.files]

    def take(self, keep):
        """The tree reduced to the rows where the boolean mask `keep` (n,) is true."""
        files = tuple(file for file, kept in zip(self.files, keep, strict=True) if kept)
        return PictureTree(self.root, files, self.labels[keep], self.classes)


def read_picture(path, size, shrink=None):
    """One picture as (size, size, 3) uint8 RGB, scaled without keeping its aspect (as every ZS-SBIR code does).

    With `shrink` it is seen as if it had been stored (shrink, shrink), see `_stored_small`. Raises OSError for a file
    that is no picture, ends early, or is too large.
    """
    return np.asarray(open_picture(path, size, shrink).resize((size, size), Image.Resampling.BILINEAR))


def open_picture(path, size, shrink=None):
    """One picture as a PIL image in RGB, upright, of at least `size` pixels a side if it has as many.

    Transparent parts become white, 16-bit greys are scaled to 8, CMYK and palettes are converted. Raises OSError for
    a file that is no picture, ends early, or is too large.
    """
    Image.MAX_IMAGE_PIXELS = None  # Pillow's limit counts what a file announces; ours, what is to be decoded of it
    try:
        with Image.open(path) as picture:
            if shrink:
                _refuse_larger_than_readable(picture)
                picture = _stored_small(picture, shrink)
            picture.draft("RGB", (size, size))  # lets the JPEG decoder skip detail that scaling would drop
            _refuse_larger_than_readable(picture)
            ImageOps.exif_transpose(picture, in_place=True)
            return _to_rgb(picture)
    except (OSError, SyntaxError, ValueError, MemoryError) as error:
        raise OSError(f"{path}: {error}") from error


def _refuse_larger_than_readable(picture):
    if picture.width * picture.height > LARGEST:
        raise OSError(f"{picture.width} × {picture.height} pixels, more than {LARGEST:,}")


def _stored_small(picture, side):
    """The picture as if stored anew with (side, side) pixels, the way the slice of Sketchy was made (data/README.md):
    triangle filter, JPEG stays JPEG with quality 75, which costs the frozen features of photos some mAP."""
    small = _to_rgb(ImageOps.exif_transpose(picture)).resize((side, side), Image.Resampling.BILINEAR)
    file = io.BytesIO()
    small.save(file, **({"format": "JPEG", "quality": 75} if picture.format == "JPEG" else {"format": "PPM"}))
    return Image.open(file)


def _to_rgb(picture):
    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        grey = np.asarray(picture, dtype=np.float64)
        grey *= 255 / max(grey.max(), 65535 if picture.mode.startswith("I") else 1)
        return Image.fromarray(grey.clip(0, 255).astype(np.uint8)).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, picture).convert("RGB")
    return picture.convert("RGB")


def read_pictures(paths, size, shrink=None):
    """(pictures (n, size, size, 3) uint8, readable (n,) bool); an unreadable file gives a black picture and False,
    so that the caller can name, skip and count it."""
    pictures, readable = np.zeros((len(paths), size, size, 3), np.uint8), np.zeros(len(paths), bool)
    for row, path in enumerate(paths):
        try:
            pictures[row] = read_picture(path, size, shrink)
            readable[row] = True
        except OSError:
            continue
    return pictures, readable


def ahead(work, tasks):
    """Yields work(task) of each task in order, computed by a thread per core a few tasks ahead of the consumer."""
    threads, tasks = os.cpu_count() or 1, iter(tasks)
    with ThreadPoolExecutor(threads) as pool:
        waiting = deque(pool.submit(work, task) for task in itertools.islice(tasks, threads + 1))
        while waiting:
            done = waiting.popleft().result()
            waiting.extend(pool.submit(work, task) for task in itertools.islice(tasks, 1))
            yield done
