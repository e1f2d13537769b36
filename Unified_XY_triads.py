"""Stage II: CNN features to one embedding space: the command `zscmr train` (zscmr/commands/train.py)."""

from zscmr import commands
from zscmr.commands.train import Settings, main

__all__ = ["Settings", "main"]

if __name__ == "__main__":
    commands.run("train")
