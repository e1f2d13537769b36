"""The command lines, one module each: settings, calls to the library, what is printed.

Nothing in the library imports them.
"""

import importlib
import sys

from zscmr import __version__
from zscmr.utils import cli
from zscmr.utils.console import complain, say

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


def run(name, argv=None):
    """Run a command and exit with its status (`cli.run`).

    `argv`: its flags; left out: those of the process.
    """
    with cli.exits(argv):  # a package that the module imports may be missing
        module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    cli.run(module.main, module.Settings, module.__doc__, argv, module.__dict__.get("constants_class"))


def main(argv=None):
    """The command `zscmr`: `zscmr NAME FLAGS…`, `zscmr --version`."""
    words = sys.argv[1:] if argv is None else list(argv)
    if words[:1] == ["--version"]:
        say(f"zscmr {__version__}")
    elif not words or words[0] in ("-h", "--help"):
        width = max(map(len, COMMANDS))
        rows = [f"  {name:{width}}  {about}" for name, about in COMMANDS.items()]
        say("\n".join(["usage: zscmr COMMAND [FLAGS]", "", *rows, "", "zscmr COMMAND --help lists the flags."]))
    elif words[0] in COMMANDS:
        sys.argv = [f"zscmr {words[0]}", *words[1:]]  # the name that messages and --help begin with
        run(words[0])
    else:
        complain(f"zscmr: {words[0]}: expected any of {', '.join(COMMANDS)}")
        sys.exit(2)
