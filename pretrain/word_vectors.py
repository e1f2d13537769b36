"""Stage I: class vectors of a word-vector file -> wv_embeddings.mat of a dataset directory, joined by class name.

Reads an .npz with an array `classes` (names) and one array of vectors per kind.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the project's modules lie one folder up
import matfiles
import UxUyLoader as loader
from cli import BadInput, run, say, setting


@dataclass(frozen=True)
class Settings:
    data: Path = setting(help="dataset directory, already with labels", metavar="DIR")
    vectors: Path = setting(help="file of class vectors (.npz keyed by class name)", metavar="FILE")
    kind: str | None = setting(None, "which vectors of the file (default: word2vec if there, else the first)")


def main(settings):
    labels = settings.data / loader.FILES["photo"]["labels"][0]
    classes = matfiles.read_names(labels, "classes")
    names, kind, vectors = read_npz_vectors(settings.vectors, settings.kind)
    rows = vectors[loader.class_positions(classes, names, settings.vectors)]
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if bad.size:
        raise BadInput(f"{settings.vectors}: '{kind}' of class '{classes[bad[0]]}' holds NaN or Inf")
    path = settings.data / loader.CLASS_VECTORS[0]
    matfiles.write(path, {loader.CLASS_VECTORS[1]: rows.astype(np.float64), "classes": classes, "kind": kind})
    say(f"wrote {len(rows)} class vectors, {rows.shape[1]}-d, '{kind}', to {path}")


def read_npz_vectors(path, kind=None):
    """(class names, kind, vectors (C, S)) of an .npz. Raises BadInput for a missing file, array or wrong shape."""
    try:
        with np.load(path) as file:
            arrays = dict(file)
    except FileNotFoundError as error:
        raise BadInput(f"{path}: no such file") from error
    except Exception as error:
        raise BadInput(f"{path}: not a readable .npz file ({error})") from error
    if "classes" not in arrays:
        raise BadInput(f"{path}: no array 'classes', the file has {', '.join(arrays)}")
    names = [str(name) for name in arrays.pop("classes")]
    if not arrays:
        raise BadInput(f"{path}: holds class names but no vectors")
    kind = kind or next((name for name in arrays if name.startswith("word2vec")), next(iter(arrays)))
    if kind not in arrays:
        raise BadInput(f"{path}: no vectors of kind '{kind}', the file has {', '.join(arrays)}")
    if arrays[kind].ndim != 2 or len(arrays[kind]) != len(names):
        raise BadInput(f"{path}: '{kind}' should be {len(names)} classes × dimension, received {arrays[kind].shape}")
    return names, kind, arrays[kind]


if __name__ == "__main__":
    run(main, Settings, __doc__)
