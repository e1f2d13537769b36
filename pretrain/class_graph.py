"""Stage I: class vectors to a class graph: the command `zscmr class-graph` (zscmr/commands/class_graph.py)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package of this clone

from zscmr import commands
from zscmr.commands.class_graph import Settings, main

__all__ = ["Settings", "main"]

if __name__ == "__main__":
    commands.run("class-graph")
