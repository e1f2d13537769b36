"""The CNNs of stage I. A backbone takes pictures as uint8 RGB (batch, size, size, 3), values 0 to 255, does its own
preprocessing, and ends in its last feature maps (batch, height, width, channels)."""

import keras
from keras import layers

from pretrain import weights as weight_files
from pretrain.recipes import BACKBONES


def small(size):
    """Four convolutions for small pictures, trained from scratch; 256 maps. Pixels are scaled to −1 … 1."""
    pictures = keras.Input((size, size, 3), dtype="uint8")
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(pictures)
    blocks = ((24, 5, 2, False), (48, 3, 1, True), (96, 3, 1, True), (256, 3, 1, False))
    for number, (filters, kernel, strides, pool) in enumerate(blocks, start=1):
        name = f"block{number}"
        x = layers.Conv2D(filters, kernel, strides, padding="same", use_bias=False, name=f"{name}_conv")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
        x = layers.ReLU()(x)
        if pool:
            x = layers.MaxPooling2D(2)(x)
    return keras.Model(pictures, x, name="small")


def squeezenet(size, top=False):
    """SqueezeNet v1.0 (Iandola et al. 2016) to its last fire module; with `top`, to the maps of the 1000 ImageNet
    classes. Pixels are as Caffe's."""
    pictures = keras.Input((size, size, 3), dtype="uint8")
    x = caffe(pictures, means=(104.0, 117.0, 123.0))
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
    x = layers.Conv2D(squeeze, 1, activation="relu", name=f"{name}_squeeze1x1")(x)
    narrow = layers.Conv2D(4 * squeeze, 1, activation="relu", name=f"{name}_expand1x1")(x)
    wide = layers.Conv2D(4 * squeeze, 3, padding="same", activation="relu", name=f"{name}_expand3x3")(x)
    return layers.Concatenate()([narrow, wide])


def vgg16(size):
    """VGG-16's convolutions (Simonyan & Zisserman 2015) from Keras Applications. Pixels are as Caffe's."""
    return _from_applications(keras.applications.VGG16, "vgg16", size)


def resnet50(size):
    """ResNet-50's convolutions (He et al. 2016) from Keras Applications. Pixels are as Caffe's."""
    return _from_applications(keras.applications.ResNet50, "resnet50", size)


def _from_applications(application, name, size):
    pictures = keras.Input((size, size, 3), dtype="uint8")
    body = application(include_top=False, weights=None, input_tensor=caffe(pictures))
    return keras.Model(pictures, body.output, name=name)


def caffe(pictures, means=(103.939, 116.779, 123.68)):
    """RGB 0 … 255 -> BGR less the ImageNet mean of each channel, unscaled: what Caffe's networks, and those that Keras
    Applications took over from it, were trained on."""
    centred = layers.Rescaling(1.0, offset=[-mean for mean in means[::-1]])(pictures)
    return centred[..., ::-1]


BUILDERS = {"small": small, "squeezenet": squeezenet, "vgg16": vgg16, "resnet50": resnet50}


def build(name, weights=None):
    """The backbone with the weights of a file, or random ones."""
    model = BUILDERS[name](BACKBONES[name].size)
    if weights is not None:
        weight_files.load(model, weights)
    return model


def pooled(model, pool):
    """Pictures -> one vector each: the backbone's last maps averaged over space, or all of them in a row."""
    layer = layers.GlobalAveragePooling2D() if pool == "average" else layers.Flatten()
    vector = layers.Activation("linear", dtype="float32")(layer(model.output))  # float32 whatever the precision
    return keras.Model(model.input, vector, name=model.name)


def head(inputs, dense, normalise):
    """The layer whose outputs are the features: vectors (batch, inputs) -> (batch, dense)."""
    vectors = x = keras.Input((inputs,), name="pooled")
    if normalise:
        x = layers.BatchNormalization(momentum=0.9, dtype="float32", name="scale")(x)
    x = layers.Dense(dense, activation="relu", dtype="float32", name="features")(x)
    return keras.Model(vectors, x, name="head")
