"""How a decoded picture becomes the square that a CNN sees."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

INK = 64  # least difference between the grey values of a stroke and of the paper
DETAIL = 4  # a JPEG is decoded with this many times the size wanted, where strokes may fill a small part of it


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes (size, size, 3): with `crop` "squash" it is scaled without keeping its aspect, as every
    ZS-SBIR code does; with "center" its middle square is taken, `fraction` of its short side. With `ink`, whatever
    the crop, the square about its strokes is taken, with a margin of `ink` times its side on every side."""

    size: int
    resample: Image.Resampling = Image.Resampling.BILINEAR
    crop: str = "squash"
    fraction: float = 1.0
    ink: float | None = None

    def __post_init__(self):
        if self.crop not in ("squash", "center") or not 0 < self.fraction <= 1 or self.size < 1:
            raise ValueError(f"expected a positive size, squash or center, a fraction in (0, 1], received {self}")
        if self.ink is not None and not 0 <= self.ink <= 1:
            raise ValueError(f"expected a margin of the ink from 0 to 1, received {self.ink}")

    @classmethod
    def of(cls, size):
        """`size`, a side in pixels or a Preprocessing, as a Preprocessing."""
        return size if isinstance(size, cls) else cls(size)

    @property
    def short_side(self):
        """Pixels that the short side of a picture is scaled to, or with `ink` at least decoded with."""
        if self.ink is not None:
            return DETAIL * self.size
        return self.size if self.crop == "squash" else int(self.size / self.fraction)

    def apply(self, picture):
        """The PIL image scaled (and cropped) to (size, size)."""
        if self.ink is not None:
            return self._about_ink(picture)
        return picture.resize((self.size, self.size), self.resample, self._box(*picture.size))

    def _about_ink(self, picture):
        """The square about the strokes; where it reaches beyond the picture, the paper goes on."""
        left, top, right, bottom, paper = ink_box(picture)
        side = max(right - left, bottom - top) * (1 + 2 * self.ink)
        x, y = (left + right - side) / 2, (top + bottom - side) / 2
        box = max(x, 0), max(y, 0), min(x + side, picture.width), min(y + side, picture.height)
        scale = self.size / side
        first = round((box[0] - x) * scale), round((box[1] - y) * scale)
        last = round((box[2] - x) * scale), round((box[3] - y) * scale)
        part = picture.resize((max(last[0] - first[0], 1), max(last[1] - first[1], 1)), self.resample, box)
        square = Image.new("RGB", (self.size, self.size), (paper,) * 3)
        square.paste(part, first)
        return square

    def _box(self, width, height):
        """The part of the picture that is seen, (left, top, right, bottom) in its pixels.

        The pixels are those of scaling all of it and cropping then, which would make billions of a long strip.
        """
        if self.crop == "squash":
            return 0, 0, width, height
        short = min(width, height)
        across, down = int(self.short_side * width / short), int(self.short_side * height / short)
        left, top = round((across - self.size) / 2), round((down - self.size) / 2)
        right, bottom = left + self.size, top + self.size
        return (
            left * width / across,
            top * height / down,
            min(right * width / across, width),
            min(bottom * height / down, height),
        )


def ink_box(picture):
    """(left, top, right, bottom, grey value of the paper) of the strokes of a PIL image.

    Ink is what is far from the paper, the median grey: dark lines on white, chalk on a board. Without any, or with a
    background that is no paper, the box is the whole picture.
    """
    picture = picture.convert("L")
    counts = picture.histogram()  # NumPy would count a copy of eight bytes a pixel, beyond the budget
    grey = np.asarray(picture)
    paper = int(np.searchsorted(np.cumsum(counts), grey.size / 2))
    ink = (grey < paper - INK) | (grey > paper + INK)
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    if not len(rows):
        return 0, 0, picture.width, picture.height, paper
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1, paper
