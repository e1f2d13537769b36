"""The augmentation of stage I: random windows of pictures, turned, sheared, shifted and mirrored."""

import keras
import tensorflow as tf


def warped(images, seed, modality, warp):
    """Return uint8 images (batch, size, size, 3), each through a random window of `transforms`."""
    return seen_through(images, transforms(tf.shape(images)[0], images.shape[1], seed, modality, warp), modality)


def seen_through(images, windows, modality):
    """Return uint8 images (batch, size, size, 3) through windows (batch, 8) of `transforms`.

    Values between pixels are interpolated, then rounded down to integers. Beyond its border a photo is continued by its
    outermost pixels, a sketch by white.
    """
    return keras.ops.image.affine_transform(
        images,
        windows,
        interpolation="bilinear",
        fill_mode="nearest" if modality == "photo" else "constant",
        fill_value=255.0,
        data_format="channels_last",
    )


def transforms(count, size, seed, modality, warp):
    """Draw windows (count, 8) float32 within limits.

    Pixel (x, y) of the result is the picture's value at (a₀x + a₁y + a₂, b₀x + b₁y + b₂), for a row
    (a₀, a₁, a₂, b₀, b₁, b₂, 0, 0).

    Args:
        count: number of windows.
        size: side of the pictures in pixels.
        seed: (2,) int32, which determines them.
        modality: "photo" or "sketch".
        warp: the limits, `backbones.base.Warp`.
    """
    draws = tf.random.stateless_uniform((6, count), seed, -1.0, 1.0)
    angle, slant = draws[0] * warp.turn, draws[1] * warp.shear
    low, high = warp.photo if modality == "photo" else warp.sketch
    side = (low + high) / 2 + draws[2] * (high - low) / 2
    reach = tf.abs(1 - side) / 2 if warp.shift is None else warp.shift
    right, down = draws[3] * reach * size, draws[4] * reach * size
    mirror = tf.where(draws[5] < 0, -1.0, 1.0) if warp.flip else tf.ones(count)
    cos, sin = tf.cos(angle) * side, tf.sin(angle) * side
    middle, zero = (size - 1) / 2, tf.zeros(count)
    across, along = cos * mirror, sin * mirror
    rows = (
        across, slant - sin, middle * (1 - across + sin - slant) + right,
        along, cos, middle * (1 - along - cos) + down,
        zero, zero,
    )  # fmt: skip
    return tf.stack(rows, axis=1)
