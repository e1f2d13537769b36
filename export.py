"""Write a run's encoders: the command `zscmr export` (zscmr/commands/export.py)."""

from zscmr import commands
from zscmr.commands.export import Settings, main

__all__ = ["Settings", "main"]

if __name__ == "__main__":
    commands.run("export")
