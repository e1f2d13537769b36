"""Drawings varied as strokes: by pen, hand and haste, before they become pixels."""

from dataclasses import dataclass

import numpy as np

from zscmr.datasets.drawings import EXTENT, draw

STEP = 12  # units of a drawing between the points of a wobbling line
DETAIL = 0.3  # share of the drawing's length; longer strokes are never left out
FINE = 2  # of `draw`: less than for a picture that is looked at


@dataclass(frozen=True)
class Variation:
    """Limits within which a drawing is varied. Lengths are in units of a drawing, whose longer side has 255.

    Args:
        pens: widths of the pen in sides of the picture, one of which is drawn.
        wobble: largest standard deviation of the points of a line.
        simplify: largest distance of a line from its simplified one.
        simplified: share of drawings that are simplified.
        left_out: share of drawings from which a small stroke is left out.
        turn: largest angle in rad.
        shear: largest shear.
        stretch: largest logarithm of a stretch across or along.
        margin: least and largest white on each side, in sides.
    """

    pens: tuple[float, ...] = (1 / 130, 1 / 90, 1 / 64, 1 / 45, 1 / 32)
    wobble: float = 2.5
    simplify: float = 6.0
    simplified: float = 0.3
    left_out: float = 0.3
    turn: float = 0.2
    shear: float = 0.15
    stretch: float = 0.15
    margin: tuple[float, float] = (0.07, 0.13)


def draw_varied(strokes, size, variation, random):
    """A drawing within the limits of a `Variation`, as a grey PIL image (size, size).

    Args:
        strokes: lists of points (x, y), as of `drawings.read_strokes`.
        size: side in pixels.
        variation: the limits.
        random: NumPy generator.
    """
    lines = [np.asarray(stroke, np.float64) for stroke in strokes]
    if random.random() < variation.left_out:
        lines = without_detail(lines, random)
    if random.random() < variation.simplified:
        distance = random.uniform(0, variation.simplify)
        lines = [simplified(line, distance) for line in lines]
    transform = _transform(variation, random)
    spread = random.uniform(0, variation.wobble)
    lines = fitted([wobbling(line @ transform.T, spread, random) for line in lines])
    pen, margin = random.choice(variation.pens), random.uniform(*variation.margin)
    return draw(lines, size, pen, margin, FINE)


def without_detail(lines, random):
    """The lines without a random one, if that is short."""
    lengths = np.array([_lengths(line).sum() for line in lines])
    one = random.integers(len(lines))
    if len(lines) == 1 or lengths[one] >= DETAIL * lengths.sum():
        return lines
    return [line for k, line in enumerate(lines) if k != one]


def simplified(line, distance):
    """The line (points, 2) without points nearer than `distance` to what remains (Ramer, Douglas and Peucker)."""
    if len(line) < 3:
        return line
    (x, y), chord = line[0], line[-1] - line[0]
    length = np.hypot(*chord)
    if length:
        away = np.abs(chord[0] * (line[:, 1] - y) - chord[1] * (line[:, 0] - x)) / length
    else:
        away = np.hypot(*(line - line[0]).T)
    far = int(away.argmax())
    if away[far] <= distance:
        return line[[0, -1]]
    return np.concatenate([simplified(line[: far + 1], distance)[:-1], simplified(line[far:], distance)])


def wobbling(line, spread, random):
    """The line through points every `STEP` units, each moved at random, and all of them together.

    `spread`: standard deviation in units of the drawing.
    """
    along = np.concatenate([[0], np.cumsum(_lengths(line))])
    points = np.linspace(0, along[-1], max(2, int(along[-1] / STEP) + 1))
    line = np.stack([np.interp(points, along, axis) for axis in line.T], axis=1)
    return line + random.normal(0, spread, line.shape) + random.normal(0, spread, 2)


def fitted(lines):
    """The lines moved and scaled so that the longer side goes from 0 to `EXTENT`."""
    points = np.concatenate(lines)
    low = points.min(0)
    return [(line - low) * (EXTENT / max((points.max(0) - low).max(), 1)) for line in lines]


def _transform(variation, random):
    """A matrix (2, 2): stretched, sheared, turned."""
    angle, slant = random.uniform(-variation.turn, variation.turn), random.uniform(-variation.shear, variation.shear)
    across, along = np.exp(random.uniform(-variation.stretch, variation.stretch, 2))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return turn @ np.array([[1, slant], [0, 1]]) @ np.diag([across, along])


def _lengths(line):
    """Lengths of the pieces of a line (points, 2)."""
    return np.hypot(*np.diff(line, axis=0).T)
