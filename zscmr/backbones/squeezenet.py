"""SqueezeNet v1.0 (Iandola et al. 2016)."""

from zscmr.backbones.base import Backbone, Recipe
from zscmr.datasets.pictures import Preprocessing

CAFFE_MEANS = (104.0, 117.0, 123.0)  # of blue, green, red


def build(size, top=False):
    """Return the network up to the last fire module; with `top`, to the maps of the 1000 ImageNet classes."""
    import keras
    from keras import layers

    from zscmr.backbones.networks import caffe_pixels

    pictures = keras.Input((size, size, 3), dtype="uint8")
    x = caffe_pixels(pictures, CAFFE_MEANS)
    x = layers.Conv2D(96, 7, strides=2, activation="relu", name="conv1")(x)
    x = layers.MaxPooling2D(3, strides=2)(x)  # 111 → 55 → 27 → 13: floor and ceiling agree at 227 pixels
    for number, squeeze in zip(range(2, 10), (16, 16, 32, 32, 48, 48, 64, 64), strict=True):
        x = _fire(x, f"fire{number}", squeeze)
        if number in (4, 8):
            x = layers.MaxPooling2D(3, strides=2)(x)
    if top:
        x = layers.Conv2D(1000, 1, activation="relu", name="conv10")(x)
    return keras.Model(pictures, x, name="squeezenet")


def _fire(x, name, squeeze):
    """Fire module: squeeze 1×1, then 1×1 and 3×3 expansions of four times the width side by side."""
    from keras import layers

    x = layers.Conv2D(squeeze, 1, activation="relu", name=f"{name}_squeeze1x1")(x)
    narrow = layers.Conv2D(4 * squeeze, 1, activation="relu", name=f"{name}_expand1x1")(x)
    wide = layers.Conv2D(4 * squeeze, 3, padding="same", activation="relu", name=f"{name}_expand3x3")(x)
    return layers.Concatenate()([narrow, wide])


ENTRIES = {"squeezenet": Backbone(build, Preprocessing(227), "fire9", Recipe("adamw", 1e-4, 12))}
