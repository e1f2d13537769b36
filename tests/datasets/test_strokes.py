"""Drawings varied as strokes: what each variation does, on lines whose result is known."""

import dataclasses

import numpy as np
import pytest

from zscmr.datasets import strokes
from zscmr.datasets.strokes import Variation

STILL = Variation(
    pens=(1 / 40,), wobble=0.0, simplified=0.0, left_out=0.0, turn=0.0, shear=0.0, stretch=0.0, margin=(0.1, 0.1)
)
SQUARE = [[(0, 0), (255, 0), (255, 255), (0, 255), (0, 0)]]


def ink(picture):
    return np.asarray(picture) < 128


def test_without_variation_the_strokes_lie_where_they_were(random):
    """At 160 pixels with a margin of .1 the square has 128, from 16 to 144; the pen is 4 wide."""
    dark = ink(strokes.draw_varied(SQUARE, 160, STILL, random))
    rows, columns = np.nonzero(dark)
    assert (rows.min(), columns.min()) == pytest.approx((14, 14), abs=1)
    assert (rows.max(), columns.max()) == pytest.approx((145, 145), abs=1)
    assert not dark[20:140, 20:140].any()


def test_a_drawing_is_a_function_of_the_generator():
    pictures = [
        np.asarray(strokes.draw_varied(SQUARE, 96, Variation(), np.random.default_rng(seed))) for seed in (3, 3, 4)
    ]
    np.testing.assert_array_equal(pictures[0], pictures[1])
    assert (pictures[0] != pictures[2]).any()


def test_a_wider_pen_leaves_more_ink(random):
    thin, wide = (dataclasses.replace(STILL, pens=(pen,)) for pen in (1 / 160, 1 / 20))
    areas = [ink(strokes.draw_varied(SQUARE, 160, pen, random)).sum() for pen in (thin, wide)]
    assert areas[1] > 5 * areas[0]


def test_simplified_lines_keep_corners_and_lose_points_near_the_chord():
    """(50, 1) is 1 from the chord of (0, 0) and (100, 0); (100, 0) is a corner."""
    line = np.array([(0, 0), (50, 1), (100, 0), (100, 100)], float)
    np.testing.assert_array_equal(strokes.simplified(line, 2), [(0, 0), (100, 0), (100, 100)])
    np.testing.assert_array_equal(strokes.simplified(line, 0.5), line)
    closed = np.array([(0, 0), (10, 0), (10, 10), (0, 0)], float)
    np.testing.assert_array_equal(strokes.simplified(closed, 2), closed)


def test_a_line_that_splits_at_every_point_is_simplified():
    """Every tooth of a saw sticks out, 3,000 of them of falling height: each splits off what follows."""
    teeth = np.arange(3000)
    line = np.stack([teeth, np.where(teeth % 2, 4000.0 - teeth, 0)], axis=1)
    np.testing.assert_array_equal(strokes.simplified(line, 1.0), line)


def test_only_a_short_stroke_is_left_out():
    """Of lengths 100 and 10 the second is a detail, a share of 1/11; the first is none."""
    lines = [np.array([(0, 0), (100, 0)], float), np.array([(0, 0), (10, 0)], float)]
    counts = {len(strokes.without_detail(lines, np.random.default_rng(seed))) for seed in range(20)}
    assert counts == {1, 2}
    for seed in range(20):
        left = strokes.without_detail(lines, np.random.default_rng(seed))
        assert any(len(line) == 2 and line[1, 0] == 100 for line in left)
    assert strokes.without_detail(lines[:1], np.random.default_rng(0)) == lines[:1]


def test_a_wobbling_line_has_a_point_every_step_and_their_spread():
    """A line of 1,200 has 101 points, 12 apart; their mean deviation is about the spread."""
    line = np.array([(0, 0), (1200, 0)], float)
    points = strokes.wobbling(line, 0.0, np.random.default_rng(0))
    np.testing.assert_allclose(points[:, 0], np.arange(101) * 12)
    moved = strokes.wobbling(line, 3.0, np.random.default_rng(0))
    assert 2 < moved[:, 1].std() < 4


def test_a_dot_stays_a_dot(random):
    dark = ink(strokes.draw_varied([[(7, 7)]], 160, STILL, random))
    assert 2 <= dark.sum() <= 25
