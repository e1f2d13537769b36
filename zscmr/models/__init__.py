"""The systems, one file each: tensors in, loss terms and embeddings out. They know no files."""

import importlib

from zscmr.utils.processes import import_tensorflow

import_tensorflow()  # before any module of the package imports it

SYSTEMS = ("zscmr", "crossatnet", "pcmsn")  # modules of this package; a new system is named here


def system(name):
    """The module that defines a system: `Settings`, `PRESETS`, `build` (`zscmr.models.base`)."""
    return importlib.import_module(f"{__name__}.{name}")
