"""PCMSN by the command its users know: the command `zscmr ys-tip` (zscmr/commands/ys_tip.py)."""

from zscmr import commands
from zscmr.commands.ys_tip import Settings, main

__all__ = ["Settings", "main"]

if __name__ == "__main__":
    commands.run("ys-tip")
