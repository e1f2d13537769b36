"""The gallery of a run: its own pictures, from `unified_features.mat`, and what was added; that of no run."""

import shutil
from pathlib import Path

import numpy as np

from zscmr.evaluation.distances import slices
from zscmr.evaluation.embedding_files import read_embeddings, recorded_distance
from zscmr.formats import matfiles, runs
from zscmr.formats.dataset_directory import MODALITIES
from zscmr.retrieval.encoder import SHIPPED
from zscmr.retrieval.gallery import Gallery, Identity, picture_id, rows
from zscmr.utils.console import warn
from zscmr.utils.errors import BadInput
from zscmr.utils.files import file_hash, is_uri, read_json

FOLDER = "search"  # of the run directory
_OLD_ABOUT = "index.json"  # of the indexes RUN/search/N that earlier versions wrote
_ROWS = 2**16  # written at a time


def identity_of(run):
    """The `Identity` of a finished run. Raises BadInput for one that has not ended."""
    file = _embeddings(run)
    dim = matfiles.read_numbers(file, "featuresy", (None, None)).shape[1]
    return Identity(int(dim), recorded_distance(file), file_hash(file))


def open_gallery(run, where=None, make=True):
    """The gallery of a run: in RUN/search, or that of added pictures alone in the folder or at the URI `where`.

    The first call puts the run's own pictures into RUN/search, and those of an earlier version's index. Raises
    BadInput where `make` is not set and there is no folder `where`.
    """
    identity = identity_of(run)
    if where is not None:
        return _elsewhere(where, identity, make)
    root = Path(run) / FOLDER
    numbered = (folder for folder in root.glob("[0-9]*") if folder.name.isdigit())
    old = sorted(numbered, key=lambda folder: int(folder.name))
    gallery = Gallery.open(root, identity, lambda: _first_rows(run, identity, old))
    for leftover in (*old, root / ".part-added"):
        shutil.rmtree(leftover, ignore_errors=True)
    return gallery


def open_shipped(where, make=True):
    """The gallery of the encoder that comes with the project, in the folder or at the URI `where`.

    Raises BadInput where `make` is not set and there is no folder `where`.
    """
    about = read_json(SHIPPED / runs.ABOUT)
    photo = about["photo"]
    return _elsewhere(where, Identity(photo["dim"], about["distance"], photo["sha256"]), make)


def _elsewhere(where, identity, make):
    if not make and not is_uri(where) and not Path(where).exists():
        raise BadInput(f"--gallery {where}: no such gallery; --add DIR makes one")
    return Gallery.open(where, identity)


def leaked(run):
    """A sentence on how unseen classes leaked into the run's embeddings; empty if they did not."""
    file = _embeddings(run)
    return matfiles.read_text(file, "leaked") if "leaked" in matfiles.keys(file) else ""


def _embeddings(run):
    file = Path(run) / runs.EMBEDDINGS
    if not file.is_file():
        raise BadInput(f"{file}: no such file; python Unified_XY_triads.py --path {run} --resume ends the run")
    return file


def _first_rows(run, identity, old):
    """Record batches of the run's own pictures, then of those that the newest of the indexes `old` has added."""
    features, added = read_embeddings(_embeddings(run)), {}
    if old:
        added = _added_before(old[-1], identity)
    for modality in MODALITIES:
        yield from _own_rows(identity, modality, features, getattr(features, modality))
        yield from added.get(modality, ())


def _own_rows(identity, modality, features, items):
    count = len(items.labels)
    paths = [str(items.path(row).absolute()) if items.path(row) else "" for row in range(count)]
    names = items.names or [f"row {row}" for row in range(count)]
    ids = [picture_id(modality, path or name) for path, name in zip(paths, names, strict=True)]
    once = np.unique(ids, return_index=True)[1] if ids else []  # released lists hold some photos twice
    once = np.sort(np.asarray(once, int))
    unseen = np.isin(items.labels, features.unseen)
    for part in slices(len(once), _ROWS):
        chosen = once[part]
        classes = [features.class_name(items.labels[row]) for row in chosen]
        listed = [paths[row] for row in chosen], [names[row] for row in chosen]
        yield rows(identity, modality, *listed, classes, unseen[chosen], items.vectors[chosen])


def _added_before(folder, identity):
    """{modality: [record batch]} of the pictures that an index of an earlier version has added."""
    try:
        about, features = read_json(folder / _OLD_ABOUT), read_embeddings(folder)
        source, batches = about["source"]["sha256"], {}
        for modality in MODALITIES:
            listed, items = about["added"][modality], getattr(features, modality)
            tail = slice(int(about["own"][modality]), None)
            if listed:
                paths, classes, sizes, modified = map(list, zip(*listed, strict=True))
                unseen = np.isin(items.labels[tail], features.unseen)
                batches[modality] = [
                    rows(identity, modality, paths, paths, classes, unseen, items.vectors[tail], sizes, modified)
                ]
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{folder}: not a readable index of an earlier version; delete it") from error
    if source != identity.digest:
        if count := sum(len(part[0]) for part in batches.values()):
            warn(f"{folder}: was made before the run's embeddings changed; --add its {count} pictures again")
        return {}
    return batches
