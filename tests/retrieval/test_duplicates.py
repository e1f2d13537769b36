"""Near duplicates among hits."""

import numpy as np
import pytest

from zscmr.retrieval.duplicates import originals
from zscmr.retrieval.schema import Pictures

TURNED = np.arccos(1 - 0.01)  # cosine distance of .01


def at(*angles):
    """Unit vectors (k, 2) at multiples of TURNED, of different lengths."""
    angles = np.array(angles) * TURNED
    return np.stack([np.cos(angles), np.sin(angles)], 1) * np.arange(1, len(angles) + 1)[:, None]


def test_hits_repeat_the_first_that_is_near():
    """Twice the angle is four times the distance, nearly: 2 lies beyond .02 of 0, and a chain is no group."""
    assert originals(at(0, 10, 1, 2, 10)[:, None], "cosine", near=0.02).tolist() == [0, 1, 0, 3, 1]
    assert originals(at(0, 1)[:, None], "euclidean", near=0.009).tolist() == [0, 1]


def test_windows_count_as_much_as_the_whole():
    """Wholes equal, windows .01 apart: .005 in the mean."""
    parts = np.stack([at(0, 0), at(0, 1)], axis=1)
    assert originals(parts, "cosine", near=0.0051).tolist() == [0, 0]
    assert originals(parts, "cosine", near=0.0049).tolist() == [0, 1]


def test_vectors_of_zeros_repeat_nothing():
    assert originals(np.zeros((2, 1, 3)), "cosine").tolist() == [0, 1]
    assert originals(np.empty((0, 1, 3)), "cosine").tolist() == []


@pytest.mark.parametrize(("near", "expected"), [(0.1, [0, 1, 0]), (0.125, [0, 0, 0])])
def test_codes_differ_by_bits(near, expected):
    """One of 16 bits: cosine of ±1 codes 14 / 16, a distance of .125."""
    codes = np.packbits(np.array([[0] * 16, [1] + [0] * 15, [0] * 16]), axis=1)[:, None]
    assert originals(codes, "hamming", near).tolist() == expected


def test_parts_are_pictures_with_their_windows():
    """The second and fourth have two windows, the others none."""
    texts = [np.arange(4).astype(str)] * 4
    windows = np.array([[10.0], [11], [30], [31]], np.float16)
    vectors = np.arange(4, dtype=np.float32)[:, None]
    pictures = Pictures(*texts, np.zeros(4, bool), vectors, windows, np.array([0, 2, 0, 2]))
    assert pictures.parts(np.array([3, 1])).tolist() == [[[3], [30], [31]], [[1], [10], [11]]]
    assert pictures.parts(np.array([1, 2])).tolist() == [[[1]], [[2]]]
