"""The CNNs of stage I, one file each with its registry entry (`base.Backbone`)."""

import importlib
from pathlib import Path

from zscmr.errors import BadInput

BACKBONES = (
    *("small", "squeezenet", "vgg16", "resnet50"),
    *("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"),
)  # modules of this package; a new backbone is named here
LIBRARIES = {"keras": "applications", "hub": "hub"}  # prefix of a name -> module whose `entry` makes its entry
NAMES = f"{', '.join(BACKBONES)}, keras:NAME of Keras Applications, hub:PRESET or hub:FOLDER of KerasHub"


def canonical(name):
    """The name of a backbone, with the whole path of a preset folder."""
    prefix, _, within = name.partition(":")
    return f"hub:{Path(within).resolve()}" if prefix == "hub" and Path(within).is_dir() else name


def backbone(name):
    """The entry of a backbone. Raises BadInput for a name that there is not."""
    prefix, _, within = name.partition(":")
    if within and prefix in LIBRARIES:
        return importlib.import_module(f"{__name__}.{LIBRARIES[prefix]}").entry(within)
    if name not in BACKBONES:
        raise BadInput(f"--backbone {name}: expected any of {NAMES}")
    return importlib.import_module(f"{__name__}.{name}").BACKBONE
