"""The paper's tables for a dataset: the command `zscmr tables` (zscmr/commands/tables.py)."""

from zscmr import commands
from zscmr.commands.tables import Settings, main

__all__ = ["Settings", "main"]

if __name__ == "__main__":
    commands.run("tables")
