"""Search photos with a drawing: the command `zscmr search` (zscmr/commands/search.py)."""

from zscmr import commands
from zscmr.commands.search import Settings, main

__all__ = ["Settings", "main"]

if __name__ == "__main__":
    commands.run("search")
