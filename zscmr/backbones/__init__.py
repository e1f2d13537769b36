"""The CNNs of stage I: registry entries (`base.Backbone`), networks, and readers of published weights.

How they are trained belongs in `training.stage1`, but for the numbers of a recipe, which an entry holds.
"""

import dataclasses
import importlib
from pathlib import Path

from zscmr.utils.errors import BadInput

BACKBONES = {  # name -> module of this package whose ENTRIES hold it; a new backbone is added here
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


def backbone(name):
    """Return the entry of a backbone, which knows its name: for a preset's folder, with the absolute path.

    Raises BadInput for an unknown name.
    """
    prefix, _, within = name.partition(":")
    if within and prefix in LIBRARIES:
        if prefix == "hub" and Path(within).is_dir():
            name = f"hub:{Path(within).resolve()}"
        entry = _module(LIBRARIES[prefix]).entry(within)
    elif name in BACKBONES:
        entry = _module(BACKBONES[name]).ENTRIES[name]
    else:
        raise BadInput(f"--backbone {name}: expected any of {NAMES}")
    return dataclasses.replace(entry, name=name)


def _module(name):
    return importlib.import_module(f"{__name__}.{name}")
