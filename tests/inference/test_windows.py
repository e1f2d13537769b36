"""Windows of the last maps: which cells they cover, their weights, and what is recorded of them."""

import dataclasses

import numpy as np
import pytest

from zscmr.inference.windows import Windows


def test_windows_cover_the_maps_and_are_numbered_row_by_row():
    """4 × 4 maps, side 2, stride 3: starts 0 and 2, the last clipped to the edge."""
    windows = Windows("fast", 64, 4, ((2, 3),), 0.1)
    assert windows.count == 4
    expected = [[0, 0, 4, 4], [0, 0, 2, 2], [2, 0, 4, 2], [0, 2, 2, 4], [2, 2, 4, 4]]
    np.testing.assert_array_equal(windows.cells(), expected)
    np.testing.assert_array_equal(windows.boxes()[1], [0.5, 0, 1, 0.5])
    weights = windows.weights().reshape(5, 4, 4)
    np.testing.assert_allclose(weights.sum((1, 2)), 1)
    assert weights[0, 0, 0] == 1 / 16 and weights[2, 0, 2] == 1 / 4 and weights[2, 0, 1] == 0


def test_windows_of_several_sides_follow_each_other():
    windows = Windows("thorough", 64, 3, ((2, 1), (1, 2)), 0.0)
    assert windows.count == 4 + 4 and windows.cells()[5].tolist() == [0, 0, 1, 1]


def test_a_record_is_read_again():
    windows = Windows("thorough", 64, 3, ((2, 1), (1, 2)), 0.05, own_whole=True, context=0.4, mirrored=True)
    record = windows.record()
    assert Windows.from_record(record) == windows
    del record["context"], record["mirrored"]  # as in galleries and encoders of before
    assert Windows.from_record(record) == dataclasses.replace(windows, context=0, mirrored=False)


def test_rows_of_the_mirror_image():
    """Windows of 2 cells of 5 at 0, 2, 3: mirrored they are at 3, 1, 0, and 1 is as near to 0 as to 2."""
    windows = Windows("thorough", 64, 5, ((2, 2),), 0.0)
    assert windows.mirrored_rows().tolist() == [0, 3, 1, 1, 6, 4, 4, 9, 7, 7]
    assert Windows("fast", 64, 3, ((2, 1),), 0.0).mirrored_rows().tolist() == [0, 2, 1, 4, 3]


def test_windows_take_a_share_of_the_direction_of_the_whole_picture():
    """The whole (3, 0) and a window (0, 2): .4 · (1, 0) + .6 · (0, 1)."""
    windows = Windows("thorough", 64, 2, ((2, 1),), 0.0, context=0.4)
    vectors = np.array([[[3, 0], [0, 2]], [[0, 0], [0, 0]]], np.float32)
    mixed = windows.in_context(vectors)
    np.testing.assert_allclose(mixed, [[[3, 0], [0.4, 0.6]], [[0, 0], [0, 0]]], rtol=1e-6)
    np.testing.assert_array_equal(dataclasses.replace(windows, context=0).in_context(vectors), vectors)


@pytest.mark.parametrize(
    ("sides", "penalty", "context"),
    [(((4, 1),), 0.1, 0), (((0, 1),), 0.1, 0), (((2, 0),), 0.1, 0), (((2, 1),), -1, 0), (((2, 1),), 0, 1)],
)
def test_windows_that_do_not_fit_are_refused(sides, penalty, context):
    with pytest.raises(ValueError, match="expected windows within the maps"):
        Windows("fast", 64, 3, sides, penalty, context=context)
