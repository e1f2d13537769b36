"""The command lines, one module each: read settings, call the library, print.

What computes belongs in the library below, which imports no command.
"""

import importlib
import sys
from collections.abc import Sequence

from zscmr import __version__
from zscmr.utils import cli
from zscmr.utils.console import complain, say

COMMANDS = {  # name -> what it does (its script), in the order of a project; each is a module of this package
    "miniature": "draw the embedded miniature dataset (data/make_miniature.py)",
    "quickdraw": "render drawings of Quick, Draw! as sketches (data/render_quickdraw.py)",
    "pretrain": "stage I: pictures to CNN features (pretrain/finetune.py)",
    "encoder": "pictures to one encoder for drawings and photos (pretrain/encoder.py)",
    "word-vectors": "word-vector files to class vectors (pretrain/word_vectors.py)",
    "class-graph": "class vectors to a class graph (pretrain/class_graph.py)",
    "index-files": "the index files of two picture trees (pretrain/index_files.py)",
    "join": "features of several networks side by side (pretrain/join.py)",
    "train": "stage II: CNN features to one embedding space (Unified_XY_triads.py)",
    "evaluate": "rank and score embeddings (knn_eval.py)",
    "embed": "measure a run on another dataset (embed.py)",
    "export": "write a run's encoders (export.py)",
    "search": "find photos with a drawing (search.py)",
    "gallery": "what was added to a gallery, and forgetting it (python -m zscmr gallery)",
    "tables": "the paper's tables for a dataset (paper_tables.py)",
    "ys-tip": "PCMSN by the command its users know (ys_tip.py)",
}


def run(name: str, argv: Sequence[str] | None = None) -> None:
    """Run a command and exit with its status (`cli.run`).

    `argv`: its flags; left out: those of the process.
    """
    with cli.exits(argv):  # a package that the module imports may be missing
        module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    further = (module.__dict__.get(name) for name in ("constants_class", "defaults_of"))
    cli.run(module.main, module.Settings, module.__doc__, argv, *further)


def usage() -> str:
    """Return the text of `zscmr --help`."""
    width = max(map(len, COMMANDS))
    rows = [f"  {name:{width}}  {about}" for name, about in COMMANDS.items()]
    first = "usage: zscmr COMMAND [FLAGS]   or   zscmr --version"
    last = "zscmr COMMAND --help lists the flags. In brackets: the same command as a script, by which messages name it."
    return "\n".join([first, "", *rows, "", last])


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
        complain(f"zscmr: {words[0]}: expected any of {', '.join(COMMANDS)}")
        sys.exit(2)
