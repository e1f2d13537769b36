"""The convolutions of VGG-16 (Simonyan and Zisserman 2015), from Keras Applications."""

from zscmr.backbones.base import Backbone, Published, Recipe
from zscmr.pictures import Preprocessing


def build(size):
    """Pixels are as Caffe's."""
    from zscmr.backbones.networks import from_applications

    return from_applications("VGG16", "vgg16", size)


BACKBONE = Backbone(
    build,
    Preprocessing(224),
    "block5",
    Recipe("rmsprop", 1e-5, 12),
    head=Recipe("rmsprop", 1e-4, 30),
    pool="flatten",
    dense=4096,
    published=Published(
        "https://storage.googleapis.com/tensorflow/keras-applications/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5:6d6bbae143d832006294945121d1f1fc",
    ),
)
