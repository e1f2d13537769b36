"""Features of pictures, kept on disk so that a stopped export resumes."""

import shutil
from functools import partial

import numpy as np

from zscmr import pictures
from zscmr.console import say, track
from zscmr.files import read_json, write_json

_MISSING, _DONE, _UNREADABLE = 0, 1, 2  # states of a row


def outputs(folder, identity, make_network, preprocessing, paths, batch, label, shrink=None):
    """Outputs of a network for picture files, kept in `folder`.

    A network maps pictures (n, size, size, 3) uint8 to vectors (n, `width`) float32.

    Returns (vectors (n, F) float32, memory-mapped; readable (n,) bool). Rows computed under the same `identity` (a
    JSON value) are kept, so that a call killed at any picture resumes. `make_network()` is called only
    if rows are missing.
    """
    if not (folder / "identity.json").exists() or read_json(folder / "identity.json", object) != identity:
        shutil.rmtree(folder, ignore_errors=True)
    files = folder / "vectors.npy", folder / "state.npy"
    network = None
    if not folder.exists():
        network = make_network()
        folder.mkdir(parents=True)
        np.lib.format.open_memmap(files[0], "w+", np.float32, (len(paths), network.width))
        np.lib.format.open_memmap(files[1], "w+", np.uint8, (len(paths),))
        write_json(folder / "identity.json", identity)  # last: it marks the arrays as valid
    vectors, state = (np.load(file, mmap_mode="r+") for file in files)
    missing = np.flatnonzero(state == _MISSING)
    if len(missing):
        if missing[0]:
            say(f"{label}: {missing[0]} of {len(paths)} pictures were done before")
        filled = _filled(vectors, state, network or make_network(), preprocessing, paths, batch, missing[0], shrink)
        for _ in track(filled, f"{label}: features", -(-(len(paths) - missing[0]) // batch)):
            pass
    return vectors, state == _DONE


def outputs_now(network, preprocessing, paths, batch, shrink=None, step=None):
    """`outputs` of a few pictures, computed anew and kept in memory; `step(done)` is called after each batch."""
    vectors, state = np.zeros((len(paths), network.width), np.float32), np.zeros(len(paths), np.uint8)
    for start in _filled(vectors, state, network, preprocessing, paths, batch, 0, shrink):
        if step:
            step(min(start + batch, len(paths)))
    return vectors, state == _DONE


def _filled(vectors, state, network, preprocessing, paths, batch, first, shrink):
    """Fill the rows from `first` on, batch by batch; yield after each."""
    starts = range(first, len(paths), batch)
    read = partial(pictures.read_pictures, size=preprocessing, shrink=shrink)
    decoded = pictures.ahead(lambda start: read(paths[start : start + batch]), starts)
    for start, (images, readable) in zip(starts, decoded, strict=True):
        vectors[start : start + batch] = network(images)
        # after the vectors, so that a row marked as done is written
        state[start : start + batch] = np.where(readable, _DONE, _UNREADABLE)
        yield start
