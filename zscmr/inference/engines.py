"""The libraries that run TensorFlow Lite graphs: LiteRT, and OpenVINO where it is asked for.

An engine opens one graph, `open`, and then embeds a picture at a time, `run`. It is not thread-safe.
"""

import warnings

import numpy as np

from zscmr.inference.windows import equal_weights
from zscmr.utils.errors import BadInput
from zscmr.utils.processes import import_tensorflow, missing

LITERT, OPENVINO = NAMES = ("litert", "openvino")


def engine(name, threads):
    """The engine of a name in NAMES. Raises BadInput for another name, and where its library is not installed."""
    if name not in NAMES:
        raise BadInput(f"engine: expected any of {', '.join(NAMES)}, received {name!r}")
    return {LITERT: LiteRt, OPENVINO: OpenVino}[name](threads)


class LiteRt:
    """LiteRT, or the same engine as TensorFlow brings it. Computes in float32."""

    pays_after = 0  # pictures embedded, from which on it pays to open more graphs

    def __init__(self, threads):
        self._class, self._threads = _interpreter_class(), threads

    def open(self, path, content, size, weights):
        """Open a graph: set `takes` and `gives`, (dtype, shape) of the pictures and of the vectors, and `has_windows`.

        Args:
            path: of the file.
            content: bytes of the file.
            size: side of the pictures in pixels; None: the one it was exported for.
            weights: (rows, cells) float32 of the second input; None: one row, the plain mean.

        Raises exceptions of many types for a damaged file, ValueError for windows of a graph without them.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # TensorFlow says at each use that its interpreter will go
            graph = self._graph = self._class(model_content=content, num_threads=self._threads)
        graph.allocate_tensors()
        inputs = _inputs_of(graph)
        shapes, weights = _fitted([details["shape"] for details in inputs], size, weights)
        if weights is not None:
            for details, shape in zip(inputs, shapes, strict=True):
                graph.resize_tensor_input(details["index"], shape)
            graph.allocate_tensors()
            graph.set_tensor(inputs[1]["index"], weights)
        self.has_windows = weights is not None
        input_, (output,) = _inputs_of(graph)[0], graph.get_output_details()
        self._input, self._output = input_["index"], output["index"]
        self.takes, self.gives = (_signature(details["dtype"], details["shape"]) for details in (input_, output))

    def run(self, picture):
        """Vectors (rows, width) of a picture (size, size, 3). Raises RuntimeError for a graph that does not run."""
        self._graph.set_tensor(self._input, picture[None])
        self._graph.invoke()
        return self._graph.get_tensor(self._output)


class OpenVino:
    """OpenVINO on the CPU, at its default precision: bfloat16 where the processor has it. Methods as of `LiteRt`."""

    pays_after = 256  # a graph takes two seconds to open

    def __init__(self, threads):
        try:
            import openvino
        except ImportError as error:
            raise missing("OpenVINO, which was asked for,", "openvino", error) from error
        self._core, self._settings = openvino.Core(), {"INFERENCE_NUM_THREADS": threads}

    def open(self, path, content, size, weights):
        model = self._core.read_model(path)  # it takes no bytes of a TensorFlow Lite file
        inputs = _sorted(model.inputs, lambda input_: input_.partial_shape)
        stored = [[dim.get_max_length() for dim in input_.partial_shape] for input_ in inputs]
        shapes, weights = _fitted(stored, size, weights)
        model.reshape(dict(zip(inputs, shapes, strict=True)))
        input_, (output,) = inputs[0], model.outputs
        self.takes, self.gives = (
            _signature(tensor.element_type.to_dtype(), tensor.shape) for tensor in (input_, output)
        )
        self.has_windows = weights is not None
        self._request = self._core.compile_model(model, "CPU", self._settings).create_infer_request()
        self._name, *further = (tensor.any_name for tensor in inputs)
        self._fixed = dict.fromkeys(further, weights)

    def run(self, picture):
        return self._request.infer({self._name: picture[None], **self._fixed})[0]


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


def _inputs_of(interpreter):
    return _sorted(interpreter.get_input_details(), lambda details: details["shape"])


def _sorted(inputs, shape_of):
    """The inputs of a graph: the pictures, and of some graphs the weights of the last maps' cells."""
    if not 1 <= len(inputs) <= 2:
        raise ValueError(f"expected one or two inputs, received {len(inputs)}")
    return sorted(inputs, key=lambda tensor: -len(shape_of(tensor)))


def _fitted(stored, size, weights):
    """(shapes of the inputs for one picture, weights of the second input, None without one); arguments as of `open`.

    `stored`: shapes of the inputs in the file.
    """
    pictures, *further = stored
    if not further and (weights is not None or size not in (None, pictures[1])):
        raise ValueError("a graph without windows")
    shapes = [(1, *pictures[1:]) if size is None else (1, size, size, 3)]
    if further:
        weights = equal_weights(further[0][1]) if weights is None else weights
        shapes.append(weights.shape)
    return shapes, weights


def _signature(dtype, shape):
    return np.dtype(dtype).name, tuple(int(size) for size in shape)
