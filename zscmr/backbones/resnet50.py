"""The convolutions of ResNet-50 (He et al. 2016), from Keras Applications."""

from zscmr.backbones.base import Backbone, Published, Recipe
from zscmr.pictures import Preprocessing


def build(size):
    """Pixels are as Caffe's."""
    from zscmr.backbones.networks import from_applications

    return from_applications("ResNet50", "resnet50", size)


BACKBONE = Backbone(
    build,
    Preprocessing(224),
    "conv5",
    Recipe("sgd", 1e-3, 12),
    published=Published(
        "https://storage.googleapis.com/tensorflow/keras-applications/resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
        "md5:4d473c1dd8becc155b73f8504c6f6626",
    ),
)
