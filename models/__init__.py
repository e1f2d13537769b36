"""The systems, one file each, and the training loop they share. They know tensors only: no files, no flags."""

from cli import import_tensorflow

import_tensorflow()  # before any module of the package imports it, so that it starts quietly
