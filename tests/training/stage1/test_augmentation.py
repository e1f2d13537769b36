"""The augmentation against a slow loop: which window is seen, what lies beyond the border, how values are rounded."""

import math

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import tensorflow as tf

from zscmr.backbones.base import Warp
from zscmr.training.stage1.augmentation import transforms, warped

EVERYTHING = Warp((0.9, 1.1), (0.9, 1.1), turn=0.2, shear=0.1, shift=0.08)
NOTHING = Warp(photo=(1.0, 1.0), sketch=(1.0, 1.0), flip=False)


def noise(count, size):
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


def slow(images, windows, modality):
    """Each pixel by itself: where it comes from, and of the four pixels around that place the weighted mean."""
    count, size = images.shape[:2]
    result = np.empty(images.shape)
    for number in range(count):
        a0, a1, a2, b0, b1, b2 = (float(value) for value in windows[number, :6])
        for y in range(size):
            for x in range(size):
                across, down = a0 * x + a1 * y + a2, b0 * x + b1 * y + b2
                if modality == "photo":
                    across, down = min(max(across, 0), size - 1), min(max(down, 0), size - 1)
                left, top = math.floor(across), math.floor(down)
                value = np.zeros(3)
                for row, column in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
                    inside = 0 <= row < size and 0 <= column < size
                    pixel = images[number, row, column] if inside else 255.0
                    value += (1 - abs(across - column)) * (1 - abs(down - row)) * pixel
                result[number, y, x] = value
    return result


@pytest.mark.parametrize("limits", [Warp(), EVERYTHING])
@pytest.mark.parametrize("modality", ["photo", "sketch"])
def test_pixels_are_those_of_the_slow_loop(limits, modality):
    """Values are cut to integers, not rounded; where the mean is an integer, float32 may fall short of it."""
    images, seed = noise(6, 14), tf.constant([3, 5])
    windows = transforms(6, 14, seed, modality, limits).numpy()
    assert windows.shape == (6, 8) and not windows[:, 6:].any()
    expected = slow(images, windows, modality)
    result = warped(tf.constant(images), seed, modality, limits).numpy()
    assert result.dtype == np.uint8
    np.testing.assert_allclose(result, np.floor(expected), atol=1)
    clear = np.abs(expected - np.round(expected)) > 1e-3
    assert clear.mean() > 0.5
    np.testing.assert_array_equal(result[clear], np.floor(expected[clear]))


def window(side=1.0, angle=0.0, slant=0.0, right=0.0, down=0.0, mirror=1, size=21):
    """(x, y) about the middle, mirrored, sheared, turned, scaled, shifted, as the rows of `transforms` are written."""
    middle = (size - 1) / 2
    matrix = side * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    matrix = matrix @ np.diag([mirror, 1]) + [[0, slant], [0, 0]]
    offset = middle - matrix @ [middle, middle] + [right, down]
    return np.concatenate([np.column_stack([matrix, offset]).ravel(), [0, 0]])


@pytest.mark.parametrize("limits", [Warp(), EVERYTHING, NOTHING])
@pytest.mark.parametrize("modality", ["photo", "sketch"])
def test_windows_are_the_drawn_ones_within_the_limits(limits, modality):
    count, size, seed = 200, 21, tf.constant([1, 2])
    draws = tf.random.stateless_uniform((6, count), seed, -1.0, 1.0).numpy().astype(float)
    result = transforms(count, size, seed, modality, limits).numpy()
    low, high = getattr(limits, modality)
    for number, (turn, shear, side, right, down, mirror) in enumerate(draws.T):
        side = low + (side + 1) / 2 * (high - low)
        reach = size * (abs(1 - side) / 2 if limits.shift is None else limits.shift)
        mirror = -1 if limits.flip and mirror < 0 else 1
        expected = window(side, turn * limits.turn, shear * limits.shear, right * reach, down * reach, mirror)
        np.testing.assert_allclose(result[number], expected, atol=1e-5)
        assert low <= side <= high
    if limits.flip:
        assert 0.4 < (result[:, 0] < 0).mean() < 0.6


def test_no_limits_leave_pictures_as_they_are():
    images = noise(4, 17)
    for modality in ("photo", "sketch"):
        result = warped(tf.constant(images), tf.constant([0, 0]), modality, NOTHING).numpy()
        np.testing.assert_array_equal(result, images)


def test_beyond_the_border_sketches_are_white_and_photos_continued():
    """Black pictures seen through a window of 1.25 of their side: all four corners of many lie outside."""
    black, limits = tf.zeros((32, 20, 20, 3), tf.uint8), Warp(photo=(1.25, 1.25), sketch=(1.25, 1.25))
    assert not warped(black, tf.constant([0, 1]), "photo", limits).numpy().any()
    sketches = warped(black, tf.constant([0, 1]), "sketch", limits).numpy()
    white = (sketches == 255).all(3).mean((1, 2))
    assert (white > 1 - 1 / 1.25**2 - 0.1).all() and (sketches[:, 10, 10] == 0).all()


def test_result_is_a_function_of_the_seed():
    images, seeds = tf.constant(noise(8, 16)), ([1, 2], [1, 2], [1, 3])
    first, again, other = (warped(images, tf.constant(seed), "photo", EVERYTHING).numpy() for seed in seeds)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("modality", ["photo", "sketch"])
def test_compiled_with_static_shape_for_any_batch(modality):
    @tf.function(input_signature=(tf.TensorSpec((None, 16, 16, 3), tf.uint8), tf.TensorSpec((2,), tf.int32)))
    def compiled(images, seed):
        seen = warped(images, seed, modality, EVERYTHING)
        assert seen.shape.as_list() == [None, 16, 16, 3] and seen.dtype == tf.uint8
        return seen

    images, seed = noise(5, 16), tf.constant([7, 8])
    for count in (1, 5):
        eager = warped(tf.constant(images[:count]), seed, modality, EVERYTHING)
        np.testing.assert_array_equal(compiled(tf.constant(images[:count]), seed), eager)


def test_batch_without_pictures():
    assert warped(tf.zeros((0, 16, 16, 3), tf.uint8), tf.constant([1, 2]), "photo", EVERYTHING).shape == (0, 16, 16, 3)


def warp_of(image, modality, warp, seed=3, count=16):
    images = tf.constant(np.repeat(image[None], count, axis=0))
    return warped(images, tf.constant([seed, 5]), modality, warp).numpy()


def test_augmentation_leaves_sketch_strokes_whole():
    """A frame drawn along the border, 4 pixels wide, stays in view on all four sides of every warped sketch, and what
    lies beyond it is white."""
    sketch = np.full((40, 40, 3), 255, np.uint8)
    sketch[:4] = sketch[-4:] = sketch[:, :4] = sketch[:, -4:] = 0
    for picture in warp_of(sketch, "sketch", Warp())[..., 0] < 128:
        rows, columns = np.flatnonzero(picture.sum(1) > 25), np.flatnonzero(picture.sum(0) > 25)
        for lines in (rows, columns):
            assert lines.min() < 20 < lines.max()
        outside = np.delete(np.delete(picture, range(rows.min(), rows.max() + 1), 0), [], 1)
        assert not outside.any()


def test_augmentation_of_a_photo_looks_at_most_of_it_and_nowhere_else():
    """On a ramp from 0 to 234 a window of 80 to 100 % of the height spans as much of the greys."""
    ramp = np.repeat(np.arange(40, dtype=np.uint8)[:, None, None] * 6, 40, axis=1).repeat(3, axis=2)
    spans = np.ptp(warp_of(ramp, "photo", Warp())[:, :, 20, 0].astype(int), axis=1)
    assert ((spans >= 0.78 * 234) & (spans <= 234)).all() and np.ptp(spans) > 5


def test_augmentation_flips_half_and_repeats_by_seed():
    ramp = np.repeat(np.arange(40, dtype=np.uint8)[None, :, None] * 6, 40, axis=0).repeat(3, axis=2)
    pictures_seen = warp_of(ramp, "photo", Warp(), count=64)
    assert 0.3 < (pictures_seen[:, 20, 0, 0] > pictures_seen[:, 20, 39, 0]).mean() < 0.7
    np.testing.assert_array_equal(pictures_seen, warp_of(ramp, "photo", Warp(), count=64))
    np.testing.assert_array_equal(warp_of(ramp, "photo", Warp(photo=(1.0, 1.0), flip=False))[0], ramp)
