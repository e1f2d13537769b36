"""The systems, one file each, and the layers and losses they share: tensors in, loss terms and embeddings out.

Files, command lines and training loops do not belong here.
"""

import importlib

from zscmr.utils.processes import import_tensorflow

SYSTEMS = ("zscmr", "aligned", "identity", "crossatnet", "pcmsn")  # modules of this package; a new system is named here
BECAME_SYSTEMS = {("zscmr", "aligned"): "aligned", ("zscmr", "end-to-end"): "identity"}  # presets of version 0.2


def system(name, preset=None):
    """The module that defines a system: `Settings`, `PRESETS`, `build` (`zscmr.models.base`).

    With a `preset` of `zscmr` that became a system: the module of that one. Raises BadInput where TensorFlow is not
    installed.
    """
    import_tensorflow()
    return importlib.import_module(f"{__name__}.{BECAME_SYSTEMS.get((name, preset), name)}")


def presets_of(name):
    """{name: `Preset`} of a system; those of `zscmr` that became systems come last."""
    aliases = [preset for owner, preset in BECAME_SYSTEMS if owner == name]
    return system(name).PRESETS | {preset: system(name, preset).PRESETS[preset] for preset in aliases}
