"""Augmentation of drawings as strokes, before they are rendered."""

from dataclasses import dataclass

import numpy as np

from zscmr.datasets.drawings import EXTENT, draw

STEP = 12  # units of a drawing between the points of a wobbling line
DETAIL = 0.3  # share of the drawing's length; longer strokes are never left out
FINE = 2  # of `draw`; half of its default: drawn in each epoch


@dataclass(frozen=True)
class Variation:
    """Limits within which a drawing is varied. Lengths are in units of a drawing, `EXTENT` on its longer side.

    Args:
        pens: widths of the pen to choose from, as shares of the picture's side.
        wobble: largest standard deviation of the points of a line.
        simplify: largest distance of a line from its simplified one.
        simplified: share of drawings that are simplified.
        left_out: share of drawings from which a small stroke is left out.
        turn: largest angle in rad.
        shear: largest shear.
        stretch: largest logarithm of a stretch across or along.
        margin: least and largest white on each side, as shares of the picture's side.
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
    """Draw strokes varied at random within limits, as a grey PIL image (size, size).

    Args:
        strokes: lists of points (x, y), as of `drawings.read_strokes`.
        size: side in pixels.
        variation: `Variation`, the limits.
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
    """Leave out a random line unless it is long (`DETAIL`) or the only one."""
    lengths = np.array([_lengths(line).sum() for line in lines])
    row = random.integers(len(lines))
    if len(lines) == 1 or lengths[row] >= DETAIL * lengths.sum():
        return lines
    return [line for k, line in enumerate(lines) if k != row]


def simplified(line, distance):
    """Drop points of a line (points, 2) nearer than `distance` to the rest of it (Ramer, Douglas and Peucker)."""
    mask = np.zeros(len(line), bool)
    mask[[0, -1]] = True
    parts = [(0, len(line) - 1)]  # a list, since a stranger's stroke may split as often as it has points
    while parts:
        first, last = parts.pop()
        if last - first < 2:
            continue
        away = _distances(line[first : last + 1])
        far = int(away.argmax())
        if away[far] > distance:
            mask[first + far] = True
            parts += [(first, first + far), (first + far, last)]
    return line[mask]


def _distances(line):
    """Distances (points,) of the points of a line (points, 2) from the straight line between its ends."""
    (x, y), chord = line[0], line[-1] - line[0]
    if length := np.hypot(*chord):
        return np.abs(chord[0] * (line[:, 1] - y) - chord[1] * (line[:, 0] - x)) / length
    return np.hypot(*(line - line[0]).T)


def wobbling(line, spread, random):
    """Resample a line every `STEP` units; move each point, and the line as a whole, at random.

    `spread`: standard deviation of both moves in units of the drawing.
    """
    along = np.concatenate([[0], np.cumsum(_lengths(line))])
    points = np.linspace(0, along[-1], max(2, int(along[-1] / STEP) + 1))
    line = np.stack([np.interp(points, along, axis) for axis in line.T], axis=1)
    return line + random.normal(0, spread, line.shape) + random.normal(0, spread, 2)


def fitted(lines):
    """Move and scale the lines so that their longer side goes from 0 to `EXTENT`."""
    points = np.concatenate(lines)
    low = points.min(0)
    return [(line - low) * (EXTENT / max((points.max(0) - low).max(), 1)) for line in lines]


def _transform(variation, random):
    """Random matrix (2, 2) that stretches, shears and turns."""
    angle, slant = random.uniform(-variation.turn, variation.turn), random.uniform(-variation.shear, variation.shear)
    across, along = np.exp(random.uniform(-variation.stretch, variation.stretch, 2))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return turn @ np.array([[1, slant], [0, 1]]) @ np.diag([across, along])


def _lengths(line):
    """Lengths (points − 1,) of the segments of a line (points, 2)."""
    return np.hypot(*np.diff(line, axis=0).T)
