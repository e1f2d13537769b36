"""Image models of Keras Applications: `--backbone keras:NAME` with its own preprocessing, and the release's two."""

import functools
import importlib
from functools import partial

import keras
from keras import layers

from zscmr.backbones.base import Backbone, Published, Recipe
from zscmr.backbones.networks import caffe_pixels
from zscmr.backbones.weights import keras_file
from zscmr.datasets.pictures import Preprocessing
from zscmr.utils.errors import BadInput, first_line
from zscmr.utils.files import whole_file


def entry(name):
    """The registry entry of a model. Raises BadInput for a name that Keras Applications does not have."""
    return Backbone(
        partial(build, name),
        Preprocessing(_published_size(name)),
        last_block=None,
        recipe=Recipe("adamw", 1e-4, 12),
        download=partial(imagenet_weights, name),
    )


def build(name, size):
    """The model with random weights: uint8 RGB pictures (batch, size, size, 3) → last maps (batch, h, w, channels)."""
    pictures = keras.Input((size, size, 3), dtype="uint8", name="pictures")
    body = _constructor(name)(include_top=False, weights=None, input_tensor=pixels(name, pictures))
    return keras.Model(pictures, body.output, name=name.lower())


def pixels(name, pictures):
    """Pictures of values 0 to 255 as the model expects them, by its own `preprocess_input`."""
    module = importlib.import_module(_constructor(name).__module__)
    return module.preprocess_input(layers.Rescaling(1.0, name="pixels")(pictures))


def imagenet_weights(name):
    """The file of ImageNet weights, downloaded by Keras at first use, which checks its digest."""
    file = keras_file(f"{name.lower()}_imagenet.weights.h5")
    if not file.is_file():
        try:
            model = _constructor(name)(include_top=False, weights="imagenet")
        except Exception as error:  # any fault of the network
            raise BadInput(f"--weights imagenet: Keras has no download of {name} ({first_line(error)})") from error
        with whole_file(file) as part:
            model.save_weights(part)
    return file


def _constructor(name):
    constructors = {
        key: value for key, value in vars(keras.applications).items() if key[0].isupper() and callable(value)
    }
    if name not in constructors:
        raise BadInput(f"--backbone keras:{name}: Keras Applications has {', '.join(sorted(constructors))}")
    return constructors[name]


@functools.cache
def _published_size(name):
    """Side of the pictures that the model was trained on, which only the model with its classifier has."""
    return _constructor(name)(weights=None).input_shape[1]


def with_caffe_pixels(application, name, size):
    """The convolutions of a model with random weights, behind Caffe's pixels, as the release builds them."""
    pictures = keras.Input((size, size, 3), dtype="uint8")
    body = _constructor(application)(include_top=False, weights=None, input_tensor=caffe_pixels(pictures))
    return keras.Model(pictures, body.output, name=name)


_PUBLISHED = "https://storage.googleapis.com/tensorflow/keras-applications"
ENTRIES = {
    "vgg16": Backbone(  # Simonyan and Zisserman 2015
        partial(with_caffe_pixels, "VGG16", "vgg16"),
        Preprocessing(224),
        "block5",
        Recipe("rmsprop", 1e-5, 12),
        head=Recipe("rmsprop", 1e-4, 30),
        pool="flatten",
        dense=4096,
        published=Published(
            f"{_PUBLISHED}/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "md5:6d6bbae143d832006294945121d1f1fc",
        ),
    ),
    "resnet50": Backbone(  # He et al. 2016
        partial(with_caffe_pixels, "ResNet50", "resnet50"),
        Preprocessing(224),
        "conv5",
        Recipe("sgd", 1e-3, 12),
        published=Published(
            f"{_PUBLISHED}/resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "md5:4d473c1dd8becc155b73f8504c6f6626",
        ),
    ),
}
