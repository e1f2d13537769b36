"""Half precision where a GPU profits from it."""

from contextlib import contextmanager

import keras
import tensorflow as tf


def has_gpu():
    return bool(tf.config.list_physical_devices("GPU"))


@contextmanager
def half_precision_on_gpu():
    """Half-precision arithmetic within the block where there is a GPU; weights and features stay float32."""
    before = keras.mixed_precision.global_policy()
    if has_gpu():
        keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)
