"""An encoder from pictures: the command `zscmr encoder` (zscmr/commands/encoder.py)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package of this clone

from zscmr import commands
from zscmr.commands.encoder import Settings, main

__all__ = ["Settings", "main"]

if __name__ == "__main__":
    commands.run("encoder")
