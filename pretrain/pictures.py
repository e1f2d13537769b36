"""Trees of class folders -> decoded pictures, by `tf.data` in parallel."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from cli import BadInput

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff"}


@dataclass(frozen=True)
class PictureTree:
    """The pictures under one root: `files` n paths relative to it (`class/file`), sorted by class and name,
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


def list_pictures(root):
    """Reads a tree of class folders. Raises BadInput if there is none, or a class folder holds no picture file."""
    root = Path(root)
    if not root.is_dir():
        raise BadInput(f"{root}: no such folder of class folders")
    classes = sorted(folder.name for folder in root.iterdir() if folder.is_dir() and not folder.name.startswith("."))
    if not classes:
        raise BadInput(f"{root}: no class folders in it")
    files, labels = [], []
    for label, name in enumerate(classes):
        found = sorted(
            file.name
            for file in (root / name).iterdir()
            if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
        )
        if not found:
            raise BadInput(f"{root / name}: no pictures in this class folder")
        files += [f"{name}/{file}" for file in found]
        labels += [label] * len(found)
    return PictureTree(root, tuple(files), np.array(labels, dtype=np.int64), tuple(classes))


def read_picture(path, size):
    """One picture as (size, size, 3) uint8 RGB, scaled without keeping its aspect (as every ZS-SBIR code does).

    Transparent parts become white, 16-bit greys are scaled to 8, CMYK and palettes are converted.
    Raises OSError for a file that is no picture or ends early.
    """
    try:
        with Image.open(path) as picture:
            picture.draft("RGB", (size, size))  # lets the JPEG decoder skip detail that scaling would drop
            picture = ImageOps.exif_transpose(picture)
            return np.asarray(_to_rgb(picture).resize((size, size), Image.Resampling.BILINEAR))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise OSError(f"{path}: {error}") from error


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


def decoded(paths, size):
    """A `tf.data.Dataset` of (picture (size, size, 3) uint8, readable bool) in the order of `paths`.

    An unreadable file gives a black picture and False, so that the caller can name, skip and count it.
    """
    import tensorflow as tf

    def read(path):
        try:
            return read_picture(path.decode(), size), True
        except OSError:
            return np.zeros((size, size, 3), np.uint8), False

    def load(path):
        picture, readable = tf.numpy_function(read, [path], (tf.uint8, tf.bool))
        return tf.ensure_shape(picture, (size, size, 3)), tf.ensure_shape(readable, ())

    return tf.data.Dataset.from_tensor_slices(list(paths)).map(load, num_parallel_calls=tf.data.AUTOTUNE)


def batches_of(count, batch):
    """Number of batches that `count` rows fill, the last one perhaps in part."""
    return math.ceil(count / batch)
