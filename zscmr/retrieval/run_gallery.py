"""The tables of a run, which holds its own pictures of `unified_features.mat`, and of encoders without a run."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from zscmr.evaluation.distances import DISTANCE_NAMES, slices
from zscmr.evaluation.embedding_files import read_embeddings, recorded_distance
from zscmr.formats import matfiles, runs
from zscmr.inference.windows import NONE
from zscmr.retrieval.encoder import read_about, windows_of
from zscmr.retrieval.schema import File, Identity, picture_id, rows
from zscmr.retrieval.table import Table
from zscmr.utils.errors import BadInput
from zscmr.utils.files import file_hash, is_uri

FOLDER = "search"  # of the run directory
_ROWS = 2**16  # written at a time


def is_encoder(folder):
    """Whether a folder holds exported encoders, as no run directory does itself."""
    return (Path(folder) / runs.ABOUT).is_file()


def identity_of(run):
    """The `Identity` of a finished run. Raises BadInput for one that has not ended."""
    file = _embeddings(run)
    dim = matfiles.read_numbers(file, "featuresy", (None, None)).shape[1]
    return Identity(int(dim), recorded_distance(file), file_hash(file))


def open_run_table(run, location=None, make=True, mode=None):
    """The `Table` of a run: in RUN/search, or that of added pictures alone in the folder or at the URI `location`.

    The first call puts the run's own pictures into RUN/search, without windows; an exported encoder's has none. Raises
    BadInput where `make` is not set and there is no folder `location`. `mode` as of `open_encoder_table`.
    """
    if is_encoder(run):
        return open_encoder_table(location or Path(run) / FOLDER, Path(run), make, mode)
    folder, identity = Path(run) / runs.ENCODERS, identity_of(run)
    if (folder / runs.ABOUT).is_file():
        identity = replace(identity, windows=windows_of(folder, mode))
    elif mode is not None and mode != NONE:
        raise BadInput(f"--windows {mode}: {run} has no encoders yet; python export.py --run {run} writes them")
    if location is not None:
        return open_table(location, identity, make, mode)
    return Table.open(Path(run) / FOLDER, identity, lambda: _first_rows(run, identity), mode)


def open_encoder_table(location, folder, make=True, mode=None):
    """The `Table` of pictures added by the encoder in `folder`, in the folder or at the URI `location`.

    Raises BadInput where `make` is not set and there is no folder `location`. `mode`: expected windows of the gallery,
    and those of a new one; left out: any, and for a new one the encoder's default.
    """
    identity = replace(encoder_identity(folder), windows=windows_of(folder, mode))
    return open_table(location, identity, make, mode)


def encoder_identity(folder):
    """The `Identity` of the embeddings of exported encoders in a folder; of a run's own, that of the run."""
    if folder.name == runs.ENCODERS and (folder.parent / runs.EMBEDDINGS).is_file():
        return identity_of(folder.parent)
    about = read_about(folder)
    if about.get("distance") not in DISTANCE_NAMES:
        expected, received = ", ".join(DISTANCE_NAMES), ascii(about.get("distance"))[:80]
        raise BadInput(f"{folder / runs.ABOUT}: 'distance': expected any of {expected}, received {received}")
    return Identity(about["photo"]["dim"], about["distance"], about["photo"]["sha256"])


def open_table(location, identity, make=True, mode=None):
    """The `Table` of added pictures in the folder or at the URI `location`.

    Raises BadInput where `make` is not set and there is no folder `location`. `mode` as of `Table.open`.
    """
    if not make and not is_uri(location) and not Path(location).exists():
        raise BadInput(f"--gallery {location}: no such gallery; --add DIR makes one")
    return Table.open(location, identity, mode=mode)


def leaked(run):
    """A sentence on how unseen classes leaked into the run's embeddings; empty if they did not."""
    file = _embeddings(run)
    return matfiles.read_text(file, "leaked") if "leaked" in matfiles.keys(file) else ""


def _embeddings(run):
    file = Path(run) / runs.EMBEDDINGS
    if not file.is_file():
        raise BadInput(f"{file}: no such file; python Unified_XY_triads.py --path {run} --resume ends the run")
    return file


def _first_rows(run, identity):
    """Record batches of the run's own pictures."""
    features = read_embeddings(_embeddings(run), needs_unseen=False)
    for modality, items in (("photo", features.photo), ("sketch", features.sketch)):
        yield from _own_rows(identity, modality, features, items)


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
        files = [File(paths[row], features.class_name(items.labels[row])) for row in chosen]
        yield rows(identity, modality, files, unseen[chosen], items.vectors[chosen], [names[row] for row in chosen])
