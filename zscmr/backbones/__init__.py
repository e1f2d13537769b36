"""The CNNs of stage I, one file each with its registry entry (`base.Backbone`)."""

import importlib

BACKBONES = (
    *("small", "squeezenet", "vgg16", "resnet50"),
    *("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"),
)  # modules of this package; a new backbone is named here


def backbone(name):
    """The entry of a backbone."""
    return importlib.import_module(f"{__name__}.{name}").BACKBONE
