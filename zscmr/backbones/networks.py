"""What backbones share: pixel arithmetic, a network with its weights, pooling, heads."""

from pathlib import Path

import keras
from keras import layers

from zscmr.backbones import weights as weight_files

IMAGENET_MEANS = (103.939, 116.779, 123.68)  # of blue, green, red


def caffe_pixels(pictures, means=IMAGENET_MEANS):
    """RGB 0 … 255 -> BGR less the ImageNet mean of each channel, unscaled, as Caffe's networks were trained on."""
    centred = layers.Rescaling(1.0, offset=[-mean for mean in means[::-1]])(pictures)
    return centred[..., ::-1]


def build(entry, weights=None, size=None):
    """The network of an entry with the weights of a file, or random ones, for pictures of `size` or as published."""
    model = entry.build(size or entry.size)
    if weights is not None:
        (entry.load or weight_files.load)(model, Path(weights))
    return model


def pooled(model, pool, special=0):
    """Pictures → one vector each, float32 in every precision.

    Args:
        model: pictures → last maps or tokens.
        pool: "average", of the maps or the patches' tokens; "root", the square roots of that, 0 for what is negative;
            "class", the picture's token; "flatten", all values in a row.
        special: tokens before those of the patches.
    """
    maps = model.output
    if pool == "class":
        vector = maps[:, 0]
    elif pool == "flatten":
        vector = layers.Flatten()(maps)
    elif len(maps.shape) == 3:
        vector = layers.GlobalAveragePooling1D()(maps[:, special:])
    else:
        vector = layers.GlobalAveragePooling2D()(maps)
    vector = layers.Activation("linear", dtype="float32")(vector)
    if pool == "root":  # brings vectors of few large components nearer to the others
        vector = keras.ops.sqrt(keras.ops.relu(vector))
    return keras.Model(model.input, vector, name=model.name)


def head(inputs, dense, normalise):
    """The layer whose outputs are the features: vectors (batch, inputs) → (batch, dense)."""
    vectors = x = keras.Input((inputs,), name="pooled")
    if normalise:
        x = layers.BatchNormalization(momentum=0.9, dtype="float32", name="scale")(x)
    x = layers.Dense(dense, activation="relu", dtype="float32", name="features")(x)
    return keras.Model(vectors, x, name="head")
