"""Runs a command in a process in which packages are missing: HIDDEN,… COMMAND FLAGS…"""

import sys
from importlib.abc import MetaPathFinder
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))


class Hidden(MetaPathFinder):
    """Finds no package of these names, as if they were not installed."""

    def __init__(self, names):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


if __name__ == "__main__":
    names, *words = sys.argv[1:]
    sys.meta_path.insert(0, Hidden(names.split(",")))
    from zscmr import commands

    commands.main(words)
