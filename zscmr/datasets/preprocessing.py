"""How a decoded picture becomes the square that a CNN sees."""

from dataclasses import dataclass

from PIL import Image


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes (size, size, 3).

    With `crop` "squash" it is scaled without keeping its aspect, as every ZS-SBIR code does; with "center" its middle
    square is taken, `fraction` of its short side. With `ink` the picture is a drawing: it is cleaned
    (`cleaning.clean_drawing`), and whatever the crop, the square about its strokes is taken, with a margin of `ink`
    times its side on every side. Strokes larger than `stroke_side` pixels are scaled down to it first: a network that
    learnt from small sketches has not seen lines as sharp as those of large drawings.
    """

    size: int
    resample: Image.Resampling = Image.Resampling.BILINEAR
    crop: str = "squash"
    fraction: float = 1.0
    ink: float | None = None
    stroke_side: int | None = None

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
        """Pixels that the short side of a picture is scaled to."""
        return self.size if self.crop == "squash" else int(self.size / self.fraction)

    def apply(self, picture):
        """The PIL image of a photo, or of a whole sheet, scaled (and cropped) to (size, size)."""
        return picture.resize((self.size, self.size), self.resample, self._box(*picture.size))

    def apply_to_drawing(self, drawing, box):
        """The square about the strokes of a clean drawing as (size, size) RGB; beyond the sheet the paper goes on.

        `drawing`: PIL image of mode "L"; `box`: (left, top, right, bottom) of its strokes in pixels.
        """
        left, top, right, bottom = box
        side = max(right - left, bottom - top)
        if self.stroke_side and side > self.stroke_side:
            factor = self.stroke_side / side
            width, height = (max(round(length * factor), 1) for length in drawing.size)
            drawing = drawing.resize((width, height), Image.Resampling.BILINEAR)
            left, top, right, bottom = (edge * factor for edge in box)
        picture = drawing.convert("RGB")
        side = max(right - left, bottom - top) * (1 + 2 * self.ink)
        x, y = (left + right - side) / 2, (top + bottom - side) / 2
        box = max(x, 0), max(y, 0), min(x + side, picture.width), min(y + side, picture.height)
        scale = self.size / side
        first = round((box[0] - x) * scale), round((box[1] - y) * scale)
        last = round((box[2] - x) * scale), round((box[3] - y) * scale)
        part = picture.resize((max(last[0] - first[0], 1), max(last[1] - first[1], 1)), self.resample, box)
        square = Image.new("RGB", (self.size, self.size), "white")
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
