"""The training loops, and what they read and write."""

from zscmr.utils.processes import import_tensorflow

import_tensorflow()  # before any module of the package imports it
