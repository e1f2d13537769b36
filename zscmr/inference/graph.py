"""TensorFlow Lite graphs that embed pictures, run without TensorFlow where LiteRT is installed."""

import hashlib
import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from zscmr.inference import engines
from zscmr.inference.engines import LITERT
from zscmr.utils.errors import BadInput, first_line
from zscmr.utils.files import read_bytes
from zscmr.utils.processes import cores, stderr_held_back

MOST_GRAPHS, LARGEST = 4, 2**26  # that are open side by side; bytes of a file that is opened more than once
IDENTIFIER = b"TFL3"  # at bytes 4 to 7 of every TensorFlow Lite file


class Graph:
    """A .tflite file: uint8 RGB pictures (n, size, size, 3) -> float32 vectors (n, width).

    Some graphs have a second input, float32 weights (rows, cells of the last maps). Each row of weights gives a vector,
    that of the weighted mean of the maps; the vectors of a picture are joined to one row of rows × width numbers. The
    size of the pictures is then free. Without weights there is one row, the plain mean.

    Pictures run one at a time: a picture's vector does not depend on the batch it is in, nor memory on the batch size.
    One picture runs on all threads. Of several, up to MOST_GRAPHS run at once, each in a graph of its own with a share
    of the threads: 1.1 to 1.4 times as many pictures a second on two cores. A graph takes 60 MB (EfficientNet-Lite0).
    Calls from several threads take turns.
    """

    def __init__(self, path, sha256=None, threads=None, size=None, weights=None, engine=LITERT):
        """Open a file.

        Args:
            path: of the file.
            sha256: expected hash of the file; None: any.
            threads: by default the CPUs of this process.
            size: side of the pictures in pixels, by default the one it was exported for.
            weights: (rows, cells) float32 of the second input.
            engine: name of the library that runs it (`engines.NAMES`).

        The engine finds most damage to the structure of a file, none to its weights: only a hash does.
        Raises BadInput if the file cannot be read, is damaged, or takes or gives something else.
        """
        self.path, self.engine, threads = path, engine, threads or cores()
        content = _content(path, sha256)
        self._open = partial(_opened, engine, path=path, content=content, size=size, weights=weights)
        self._engine = self._open(threads)
        graphs = min(threads, MOST_GRAPHS) if len(content) <= LARGEST else 1
        self._threads, self._several = [threads // graphs] * graphs, queue.SimpleQueue()
        self._count = 0  # of pictures embedded
        takes, gives = self._engine.takes, self._engine.gives
        size = takes[1][1] if len(takes[1]) == 4 else 0
        if size < 1 or takes != ("uint8", (1, size, size, 3)):
            raise BadInput(f"{path}: expected a graph of uint8 pictures (n, size, size, 3), received {_shown(takes)}")
        self.rows = 1 if weights is None else len(weights)
        if len(gives[1]) != 2 or gives != ("float32", (self.rows, gives[1][1])):
            raise BadInput(f"{path}: expected a graph that gives float32 vectors (n, width), received {_shown(gives)}")
        self.has_windows, self.size, self.width = self._engine.has_windows, size, self.rows * gives[1][1]
        self._lock = threading.Lock()

    def __call__(self, pictures):
        """Vectors (n, width), float32, of uint8 pictures (n, size, size, 3)."""
        pictures = np.asarray(pictures)
        expected = (self.size, self.size, 3)
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[1:] != expected:
            raise ValueError(f"expected uint8 pictures (n, *{expected}), received {pictures.dtype} {pictures.shape}")
        vectors = np.empty((len(pictures), self.width), np.float32)
        with self._lock:
            try:
                if len(pictures) == 1 or len(self._threads) == 1 or self._count < self._engine.pays_after:
                    for row, picture in enumerate(pictures):
                        vectors[row] = self._engine.run(picture).ravel()
                else:
                    self._fill(vectors, pictures)
                self._count += len(pictures)
            except RuntimeError as error:
                raise BadInput(f"{self.path}: the graph does not run ({first_line(error)})") from error
        return vectors

    def _fill(self, vectors, pictures):
        """Embed pictures by several graphs, which are opened at the first call."""
        if self._several.empty():
            for threads in self._threads:
                self._several.put(self._open(threads))

        def fill(row):
            engine = self._several.get()
            try:
                vectors[row] = engine.run(pictures[row]).ravel()
            finally:
                self._several.put(engine)

        with ThreadPoolExecutor(len(self._threads)) as pool:
            list(pool.map(fill, range(len(pictures))))


def _opened(engine, threads, path, content, size, weights):
    """An engine with the graph open; arguments as of `Graph`. Raises BadInput."""
    opened, failure = engines.engine(engine, threads), None
    with stderr_held_back():  # the engine's account of itself, and of what is wrong with the file
        try:
            opened.open(path, content, size, weights)
        except Exception as error:  # of many types, as the damage is
            failure = error
    if failure is not None:
        raise BadInput(f"{path}: not a usable TensorFlow Lite file ({first_line(failure)})") from failure
    return opened


def _content(path, sha256):
    content = read_bytes(path)
    if sha256 is not None and (received := hashlib.sha256(content).hexdigest()) != sha256:
        raise BadInput(f"{path}: expected SHA-256 {sha256}, received {received}")
    if content[4:8] != IDENTIFIER:
        raise BadInput(f"{path}: not a TensorFlow Lite file ({len(content)} bytes without the mark TFL3)")
    return content


def _shown(signature):
    dtype, shape = signature
    return f"{dtype} {shape}"
