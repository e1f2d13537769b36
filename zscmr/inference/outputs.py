"""Outputs of a network for picture files, kept on disk so that a stopped export resumes, or computed in memory."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from zscmr.datasets import pictures
from zscmr.datasets.preprocessing import Preprocessing
from zscmr.utils.console import say, track
from zscmr.utils.files import read_json, write_json

_MISSING, _DONE, _UNREADABLE = 0, 1, 2  # states of a row


@dataclass(frozen=True)
class Reading:
    """How picture files become the input of a network.

    Args:
        preprocessing: from a picture to (size, size, 3).
        batch: pictures decoded together.
        shrink: pixels, the side that pictures are scaled to before all else.
        notice: called with path and PIL image of each picture before it is cleaned or scaled.
    """

    preprocessing: Preprocessing
    batch: int
    shrink: int | None = None
    notice: Callable[[str, Any], None] | None = None


def outputs(folder, identity, make_network, reading, paths, label, workers=None):
    """(vectors (n, F) float32, memory-mapped; readable (n,) bool) of picture files, kept in `folder`.

    A call that was killed at any picture is continued by the next.

    Args:
        folder: of the arrays. Rows computed under the same `identity` are kept, others are deleted.
        identity: a JSON value.
        make_network: () -> network, pictures (n, size, size, 3) uint8 -> vectors (n, `width`) float32; called only if
            rows are missing.
        reading: a `Reading`.
        paths: of the n files.
        label: of the progress bar.
        workers: `training.strategies.Workers` that share the pictures, each with a `folder` of its own; all of them
            get all rows.
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
    part = workers.share(len(paths)) if workers else range(len(paths))
    missing = np.flatnonzero(state[part] == _MISSING)
    if len(missing):
        if missing[0]:
            say(f"{label}: {missing[0]} of {len(part)} pictures were done before")
        rows = part[missing[0] :]
        filled = _filled(vectors, state, network or make_network(), reading, paths, rows)
        for _ in track(filled, f"{label}: features", -(-len(rows) // reading.batch)):
            pass
    if workers:
        workers.exchange(vectors, state)
    return vectors, state == _DONE


def outputs_now(network, reading, paths, step=None):
    """(vectors (n, F) float32, readable (n,) bool) of a few pictures, kept in memory.

    `step(done)` is called after each batch.
    """
    vectors, state = np.zeros((len(paths), network.width), np.float32), np.zeros(len(paths), np.uint8)
    for done in _filled(vectors, state, network, reading, paths, range(len(paths))):
        if step:
            step(done)
    return vectors, state == _DONE


def _filled(vectors, state, network, reading, paths, rows):
    """Fill a range of rows, batch by batch; yield the end of each batch."""
    parts = [rows[start : start + reading.batch] for start in range(0, len(rows), reading.batch)]
    read = partial(pictures.read_pictures, size=reading.preprocessing, shrink=reading.shrink, notice=reading.notice)
    decoded = pictures.ahead(lambda part: read(paths[part.start : part.stop]), parts)
    for part, (images, readable) in zip(parts, decoded, strict=True):
        vectors[part.start : part.stop] = network(images)
        # after the vectors, so that a row marked as done is written
        state[part.start : part.stop] = np.where(readable, _DONE, _UNREADABLE)
        yield part.stop
