"""Measure a run on another dataset: the command `zscmr embed` (zscmr/commands/embed.py)."""

from zscmr import commands
from zscmr.commands.embed import Settings, main

__all__ = ["Settings", "main"]

if __name__ == "__main__":
    commands.run("embed")
