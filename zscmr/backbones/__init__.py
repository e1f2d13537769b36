"""The CNNs of stage I: registry entries (`base.Backbone`), networks, and readers of published weights.

How they are trained is the business of `training.stage1`.
"""

import importlib
from pathlib import Path

from zscmr.utils.errors import BadInput

BACKBONES = {  # name -> module of this package whose ENTRIES hold it; a new backbone is named here
    "small": "small",
    "squeezenet": "squeezenet",
    "vgg16": "applications",
    "resnet50": "applications",
    "efficientnet_lite0": "efficientnet_lite",
    "efficientnet_lite1": "efficientnet_lite",
    "efficientnet_lite2": "efficientnet_lite",
}
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
    return importlib.import_module(f"{__name__}.{BACKBONES[name]}").ENTRIES[name]
