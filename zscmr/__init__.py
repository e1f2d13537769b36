"""Zero-shot cross-modal sketch retrieval: the library beneath the commands."""

from zscmr import _moved

__version__ = "0.2.0"
_moved.install()
