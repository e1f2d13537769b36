"""The command lines, one module each: read settings, call the library, print.

What computes belongs in the library below, which imports no command.
"""

import importlib
import sys
from collections.abc import Sequence

from zscmr import __version__
from zscmr.utils import cli
from zscmr.utils.console import say

COMMANDS = {  # name -> what it does, in the order of a project; each is a module of this package
    "miniature": "draw the embedded miniature dataset",
    "quickdraw": "render drawings of Quick, Draw! as sketches",
    "pretrain": "stage I: pictures to CNN features",
    "word-vectors": "word-vector files to class vectors",
    "class-graph": "class vectors to a class graph",
    "index-files": "the index files of two picture trees",
    "train": "stage II: CNN features to one embedding space",
    "evaluate": "rank and score embeddings",
    "embed": "measure a run on another dataset",
    "export": "write a run's encoders",
    "search": "find photos with a drawing",
    "tables": "the paper's tables for a dataset",
    "ys-tip": "PCMSN by the command its users know",
}


def run(name: str, argv: Sequence[str] | None = None) -> None:
    """Run a command and exit with its status (`cli.run`).

    `argv`: its flags; left out: those of the process.
    """
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    cli.run(module.main, module.Settings, module.__doc__, argv, module.__dict__.get("constants_class"))


def usage() -> str:
    """Return the text of `zscmr --help`."""
    width = max(map(len, COMMANDS))
    rows = [f"  {name:{width}}  {about}" for name, about in COMMANDS.items()]
    first = "usage: zscmr COMMAND [FLAGS]   or   zscmr --version"
    return "\n".join([first, "", *rows, "", "zscmr COMMAND --help lists the flags of a command."])


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command `zscmr`: `zscmr COMMAND FLAGS…`, `zscmr --version`."""
    words = sys.argv[1:] if argv is None else list(argv)
    if words[:1] == ["--version"]:
        say(f"zscmr {__version__}")
    elif not words or words[0] in ("-h", "--help"):
        say(usage())
    elif words[0] in COMMANDS:
        sys.argv = [f"zscmr {words[0]}", *words[1:]]  # the name that messages and --help begin with
        run(words[0])
    else:
        sys.stderr.write(f"zscmr: {words[0]}: expected any of {', '.join(COMMANDS)}\n")
        sys.exit(2)
