"""TensorFlow Lite graphs that embed pictures, run without TensorFlow where LiteRT is installed."""

import hashlib
import threading
import warnings

import numpy as np

from zscmr.inference.windows import equal_weights
from zscmr.utils.errors import BadInput, first_line
from zscmr.utils.files import read_bytes
from zscmr.utils.processes import cores, import_tensorflow, missing, stderr_held_back

IDENTIFIER = b"TFL3"  # at bytes 4 to 7 of every TensorFlow Lite file


class Graph:
    """A .tflite file: uint8 RGB pictures (n, size, size, 3) -> float32 vectors (n, width).

    Some graphs have a second input, float32 weights (rows, cells of the last maps). Each row of weights gives a vector,
    that of the weighted mean of the maps; the vectors of a picture are joined to one row of rows × width numbers. The
    size of the pictures is then free. Without weights there is one row, the plain mean.

    Pictures run one at a time: a picture's vector does not depend on the batch it is in, nor memory on the batch size.
    Larger batches are no faster. An interpreter is not thread-safe: calls from several threads take turns.
    """

    def __init__(self, path, sha256=None, threads=None, size=None, weights=None):
        """Open a file.

        Args:
            path: of the file.
            sha256: expected hash of the file; None: any.
            threads: by default the CPUs of this process.
            size: side of the pictures in pixels, by default the one it was exported for.
            weights: (rows, cells) float32 of the second input.

        The engine finds most damage to the structure of a file, none to its weights: only a hash does.
        Raises BadInput if the file cannot be read, is damaged, or takes or gives something else.
        """
        self.path = path
        content = _content(path, sha256)
        interpreter_class = _interpreter_class()
        failure = None
        with stderr_held_back():  # the engine's account of itself, and of what is wrong with the file
            try:
                self._interpreter = _open(interpreter_class, content, threads or cores())
                pooled = _resized(self._interpreter, size, weights)
                input_, *_ = _inputs(self._interpreter)
                (output,) = self._interpreter.get_output_details()
            except Exception as error:  # of many types, as the damage is
                failure = error
        if failure is not None:
            raise BadInput(f"{path}: not a usable TensorFlow Lite file ({first_line(failure)})") from failure
        takes, gives = (_signature(details) for details in (input_, output))
        size = input_["shape"][1] if len(input_["shape"]) == 4 else 0
        if size < 1 or takes != ("uint8", (1, size, size, 3)):
            raise BadInput(f"{path}: expected a graph of uint8 pictures (n, size, size, 3), received {_shown(takes)}")
        self.rows = 1 if weights is None else len(weights)
        if len(output["shape"]) != 2 or gives != ("float32", (self.rows, output["shape"][1])):
            raise BadInput(f"{path}: expected a graph that gives float32 vectors (n, width), received {_shown(gives)}")
        self.has_windows, self.size = pooled, int(size)
        self.width = self.rows * int(output["shape"][1])
        self._input, self._output = input_["index"], output["index"]
        self._lock = threading.Lock()

    def __call__(self, pictures):
        """Vectors (n, width), float32, of uint8 pictures (n, size, size, 3)."""
        pictures = np.asarray(pictures)
        expected = (self.size, self.size, 3)
        if pictures.dtype != np.uint8 or pictures.ndim != 4 or pictures.shape[1:] != expected:
            raise ValueError(f"expected uint8 pictures (n, *{expected}), received {pictures.dtype} {pictures.shape}")
        vectors = np.empty((len(pictures), self.width), np.float32)
        with self._lock:
            for row, picture in enumerate(pictures):
                self._interpreter.set_tensor(self._input, picture[None])
                try:
                    self._interpreter.invoke()
                except RuntimeError as error:
                    raise BadInput(f"{self.path}: the graph does not run ({first_line(error)})") from error
                vectors[row] = self._interpreter.get_tensor(self._output).ravel()
        return vectors


def _content(path, sha256):
    content = read_bytes(path)
    if sha256 is not None and (received := hashlib.sha256(content).hexdigest()) != sha256:
        raise BadInput(f"{path}: expected SHA-256 {sha256}, received {received}")
    if content[4:8] != IDENTIFIER:
        raise BadInput(f"{path}: not a TensorFlow Lite file ({len(content)} bytes without the mark TFL3)")
    return content


def _interpreter_class():
    """LiteRT's interpreter, or the same engine as TensorFlow brings it."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        try:
            return import_tensorflow().lite.Interpreter
        except (BadInput, ImportError, AttributeError) as error:
            raise missing("LiteRT, which runs encoders,", "search", error) from error
    return Interpreter


def _open(interpreter_class, content, threads):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TensorFlow says at each use that its interpreter will go
        interpreter = interpreter_class(model_content=content, num_threads=threads)
    interpreter.allocate_tensors()
    return interpreter


def _inputs(interpreter):
    """Details of the inputs: the pictures, and of some graphs the weights of the last maps' cells."""
    inputs = interpreter.get_input_details()
    if not 1 <= len(inputs) <= 2:
        raise ValueError(f"expected one or two inputs, received {len(inputs)}")
    return sorted(inputs, key=lambda details: -len(details["shape"]))


def _resized(interpreter, size, weights):
    """Resize the inputs and set the weights; return whether the graph takes weights."""
    pictures, *others = _inputs(interpreter)
    if not others and (size or pictures["shape"][1]) == pictures["shape"][1] and weights is None:
        return False
    if not others:
        raise ValueError("a graph without windows")
    cells = others[0]["shape"]
    if weights is None:
        weights = equal_weights(cells[1])
    interpreter.resize_tensor_input(pictures["index"], (1, *2 * (size or pictures["shape"][1],), 3))
    interpreter.resize_tensor_input(others[0]["index"], weights.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(others[0]["index"], weights)
    return True


def _signature(details):
    return np.dtype(details["dtype"]).name, tuple(int(size) for size in details["shape"])


def _shown(signature):
    dtype, shape = signature
    return f"{dtype} {shape}"
