"""Rank and score embeddings: the command `zscmr evaluate` (zscmr/commands/evaluate.py)."""

from zscmr import commands
from zscmr.commands.evaluate import *  # noqa: F403  its functions, for programs
from zscmr.commands.evaluate import Settings, main  # noqa: F401

if __name__ == "__main__":
    commands.run("evaluate")
