"""The CNNs of stage I. A backbone takes pictures as uint8 RGB (batch, size, size, 3), values 0 to 255, does its own
preprocessing, and returns one feature vector per picture (batch, F)."""

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from keras import layers

from cli import BadInput


@dataclass(frozen=True)
class Backbone:
    """`size` is the side of its pictures in pixels, `build(weights)` makes the model (`weights` a Path or None)."""

    size: int
    build: callable
    needs_weights: bool


def small(weights=None):
    """Four convolutions, averaged over space, for pictures of 40 pixels; trained from scratch; 256-d."""
    if weights is not None:
        raise BadInput("--weights: backbone small is trained from scratch and takes none")
    pictures = keras.Input((40, 40, 3), dtype="uint8")
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(pictures)
    for filters, kernel, strides, pool in ((24, 5, 2, False), (48, 3, 1, True), (96, 3, 1, True), (256, 3, 1, False)):
        x = layers.Conv2D(filters, kernel, strides=strides, padding="same", use_bias=False)(x)
        x = layers.BatchNormalization(momentum=0.9)(x)
        x = layers.ReLU()(x)
        if pool:
            x = layers.MaxPooling2D(2)(x)
    return keras.Model(pictures, layers.GlobalAveragePooling2D()(x), name="small")


#: Caffe's channel means, here in RGB order; the network was trained on BGR minus these, unscaled
_CAFFE_MEANS = (123.0, 117.0, 104.0)


def squeezenet(weights, top=False):
    """SqueezeNet v1.0 (Iandola et al. 2016) for 227-pixel pictures; features = fire9 averaged over space, 512-d.

    `weights` is an .npz with the arrays `conv1/kernel`, `fire2/squeeze1x1/kernel`, … `conv10/bias`, kernels as
    (height, width, in, out), trained on BGR input. With `top` the model ends in the 1000 ImageNet logits instead.
    """
    pictures = keras.Input((227, 227, 3), dtype="uint8")
    x = layers.Rescaling(1.0, offset=[-mean for mean in _CAFFE_MEANS])(pictures)
    x = layers.Conv2D(96, 7, strides=2, activation="relu", name="conv1")(x)
    x = layers.MaxPooling2D(3, strides=2)(x)  # 111 → 55 → 27 → 13: floor and ceiling agree at 227 pixels
    for number, squeeze in zip(range(2, 10), (16, 16, 32, 32, 48, 48, 64, 64), strict=True):
        x = _fire(x, f"fire{number}", squeeze)
        if number in (4, 8):
            x = layers.MaxPooling2D(3, strides=2)(x)
    if top:
        x = layers.Conv2D(1000, 1, activation="relu", name="conv10")(x)
    model = keras.Model(pictures, layers.GlobalAveragePooling2D()(x), name="squeezenet")
    _load_squeezenet(model, weights)
    return model


def _fire(x, name, squeeze):
    """Fire module: squeeze 1×1, then 1×1 and 3×3 expansions of four times the width side by side."""
    x = layers.Conv2D(squeeze, 1, activation="relu", name=f"{name}_squeeze1x1")(x)
    narrow = layers.Conv2D(4 * squeeze, 1, activation="relu", name=f"{name}_expand1x1")(x)
    wide = layers.Conv2D(4 * squeeze, 3, padding="same", activation="relu", name=f"{name}_expand3x3")(x)
    return layers.Concatenate()([narrow, wide])


def _load_squeezenet(model, weights):
    arrays = read_npz(weights)
    for layer in model.layers:
        if not isinstance(layer, layers.Conv2D):
            continue
        key = layer.name.replace("_", "/")
        values = []
        for part, variable in zip(("kernel", "bias"), layer.weights, strict=True):
            array = arrays.get(f"{key}/{part}")
            if array is None or array.shape != tuple(variable.shape):
                received = "nothing" if array is None else array.shape
                raise BadInput(f"{weights}: '{key}/{part}' should have shape {tuple(variable.shape)}, found {received}")
            values.append(array)
        if layer.name == "conv1":
            values[0] = values[0][:, :, ::-1]  # trained on BGR, fed RGB
        layer.set_weights(values)


def read_npz(path):
    """The arrays of an .npz file as a dict. Raises BadInput for a missing or unreadable file."""
    if path is None or not Path(path).is_file():
        raise BadInput(f"{path}: no such file" if path else "--weights FILE is needed for this backbone")
    try:
        with np.load(path) as file:
            return dict(file)
    except Exception as error:
        raise BadInput(f"{path}: not a readable .npz file ({error})") from error


BACKBONES = {
    "small": Backbone(size=40, build=small, needs_weights=False),
    "squeezenet": Backbone(size=227, build=squeezenet, needs_weights=True),
}
