"""Features of several networks side by side: the command `zscmr join` (zscmr/commands/join.py)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package of this clone

from zscmr import commands
from zscmr.commands.join import Settings, main

__all__ = ["Settings", "main"]

if __name__ == "__main__":
    commands.run("join")
