"""The index files of two picture trees: the command `zscmr index-files` (zscmr/commands/index_files.py)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package of this clone

from zscmr import commands
from zscmr.commands.index_files import Settings, main

__all__ = ["Settings", "main"]

if __name__ == "__main__":
    commands.run("index-files")
