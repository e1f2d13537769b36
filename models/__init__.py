"""The systems, one file each, and the training loop they share. They know tensors only: no files, no flags."""

import importlib

from cli import import_tensorflow

import_tensorflow()  # before any module of the package imports it, so that it starts quietly

#: --model -> its module, which has PRESETS
SYSTEMS = {name: importlib.import_module(f"models.{name}") for name in ("zscmr",)}
