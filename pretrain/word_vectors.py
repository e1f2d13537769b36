"""Stage I: class vectors of word-vector files -> wv_embeddings.mat of a dataset directory, joined by class name.

Reads word2vec binaries (.bin), GloVe and fastText text, and .npz files with an array `classes` (names) and one array
of vectors per kind. Several files, and several kinds, are put side by side.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the project's modules lie one folder up
import matfiles
import UxUyLoader as loader
from cli import run, say, setting
from pretrain import vector_files


@dataclass(frozen=True)
class Settings:
    data: Path = setting(help="dataset directory, already with labels", metavar="DIR")
    vectors: tuple[Path, ...] = setting(help="file or files of word or class vectors", metavar="FILE")
    kind: tuple[str, ...] = setting(
        (), "which vectors of an .npz, one or several (default: word2vec if there, else the first)", metavar="KIND"
    )
    alias: Path | None = setting(None, "lines 'class = words', to look up in place of the name", metavar="FILE")


def main(settings):
    classes = matfiles.read_names(settings.data / loader.FILES["photo"]["labels"][0], "classes")
    aliases = vector_files.read_aliases(settings.alias) if settings.alias else {}
    blocks = []
    for path in settings.vectors:
        kinds = settings.kind if path.suffix == ".npz" or len(settings.vectors) == 1 else ()
        blocks += vector_files.class_vectors(path, classes, kinds, aliases)
    kind = " + ".join(name for name, _ in blocks)
    rows = np.concatenate([vectors for _, vectors in blocks], axis=1)
    path = settings.data / loader.CLASS_VECTORS[0]
    matfiles.write(path, {loader.CLASS_VECTORS[1]: rows.astype(np.float64), "classes": classes, "kind": kind})
    say(f"wrote {len(rows)} class vectors, {rows.shape[1]}-d, '{kind}', to {path}")


if __name__ == "__main__":
    run(main, Settings, __doc__)
