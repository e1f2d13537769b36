"""What backbones share: pixel arithmetic, pooling, heads; and a network with its weights."""

from pathlib import Path

import keras
from keras import layers

from zscmr.backbones import backbone
from zscmr.backbones import weights as weight_files

IMAGENET_MEANS = (103.939, 116.779, 123.68)  # of blue, green, red


def caffe_pixels(pictures, means=IMAGENET_MEANS):
    """RGB 0 … 255 -> BGR less the ImageNet mean of each channel, unscaled, as Caffe's networks were trained on."""
    centred = layers.Rescaling(1.0, offset=[-mean for mean in means[::-1]])(pictures)
    return centred[..., ::-1]


def build(name, weights=None, size=None):
    """The backbone's network with the weights of a file, or random ones, for pictures of `size` or as published."""
    entry = backbone(name)
    model = entry.build(size or entry.size)
    if weights is not None:
        (entry.load or weight_files.load)(model, Path(weights))
    return model


def pooled(model, pool, special=0):
    """Pictures -> one vector each: the last maps or the patches' tokens averaged ("average"), the square roots of
    that, 0 for what is negative ("root"), the picture's token ("class"), or all in a row ("flatten").

    `special`: tokens before those of the patches.
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
    vector = layers.Activation("linear", dtype="float32")(vector)  # float32 in every precision
    pooled_model = keras.Model(model.input, vector, name=model.name)
    return rooted(pooled_model) if pool == "root" else pooled_model


def rooted(model):
    """`model` with the square roots of its outputs, which brings those of few large components nearer to the others."""
    return keras.Model(model.input, keras.ops.sqrt(keras.ops.relu(model.output)), name=model.name)


def head(inputs, dense, normalise):
    """The layer whose outputs are the features: vectors (batch, inputs) -> (batch, dense)."""
    vectors = x = keras.Input((inputs,), name="pooled")
    if normalise:
        x = layers.BatchNormalization(momentum=0.9, dtype="float32", name="scale")(x)
    x = layers.Dense(dense, activation="relu", dtype="float32", name="features")(x)
    return keras.Model(vectors, x, name="head")
