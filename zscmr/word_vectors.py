"""Class vectors of word-vector files -> wv_embeddings.mat of a dataset directory, joined by class name."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zscmr import matfiles, vector_files
from zscmr.console import say
from zscmr.dataset_files import CLASS_VECTORS, FILES
from zscmr.options import Options, setting


@dataclass(frozen=True)
class WordVectorOptions(Options):
    data: Path = setting(help="dataset directory, already with labels", metavar="DIR")
    vectors: tuple[Path, ...] = setting(help="file or files of word or class vectors", metavar="FILE")
    kind: tuple[str, ...] = setting(
        (), "which vectors of an .npz, one or several (default: word2vec if there, else the first)", metavar="KIND"
    )
    alias: Path | None = setting(None, "lines 'class = words', to look up in place of the name", metavar="FILE")


def join_vectors(options):
    """Write the class vectors of a dataset: those of several files, and several kinds, side by side."""
    classes = matfiles.read_names(options.data / FILES["photo"]["labels"][0], "classes")
    aliases = vector_files.read_aliases(options.alias) if options.alias else {}
    blocks = []
    for path in options.vectors:
        kinds = options.kind if path.suffix == ".npz" or len(options.vectors) == 1 else ()
        blocks += vector_files.class_vectors(path, classes, kinds, aliases)
    kind = " + ".join(name for name, _ in blocks)
    rows = np.concatenate([vectors for _, vectors in blocks], axis=1)
    path = options.data / CLASS_VECTORS[0]
    matfiles.write(path, {CLASS_VECTORS[1]: rows.astype(np.float64), "classes": classes, "kind": kind})
    say(f"wrote {len(rows)} class vectors, {rows.shape[1]}-d, '{kind}', to {path}")
