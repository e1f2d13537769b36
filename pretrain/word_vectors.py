"""Stage I: word-vector files to class vectors: the command `zscmr word-vectors` (zscmr/commands/word_vectors.py)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package of this clone

from zscmr import commands
from zscmr.commands.word_vectors import Settings, main

__all__ = ["Settings", "main"]

if __name__ == "__main__":
    commands.run("word-vectors")
