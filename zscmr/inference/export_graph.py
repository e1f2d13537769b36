"""Keras models as TensorFlow Lite files, for search without TensorFlow."""

import tempfile
from pathlib import Path

import numpy as np

from zscmr.inference.graph import Graph
from zscmr.inference.windows import equal_weights
from zscmr.utils.errors import BadInput, first_line
from zscmr.utils.files import file_hash, whole_file
from zscmr.utils.processes import import_tensorflow, stderr_held_back
from zscmr.utils.seeds import generator

#: largest difference from an entry of the model's vectors, relative to the largest entry, by whether weights are
#: halved; measured on EfficientNet-Lite0, of whole vectors: 4e-6, 1.4e-2
TOLERANCE = {False: 1e-3, True: 1e-1}
FLIPPED = 0.1  # share of the entries that may differ by more: a bit of a code may fall either way at the edge


def write_tflite(model, path, float16=False):
    """Write a Keras model, uint8 pictures (n, size, size, 3) -> float32 vectors (n, dims); return the file's SHA-256.

    `float16` stores the weights in half the space; they are computed with in float32. The file takes its name once it
    has given the model's own vectors of two pictures of noise: a conversion can lose weights without an error. A model
    may take weights of its last maps' cells too (`Graph`). Raises BadInput for a model that cannot be converted.
    """
    tf = import_tensorflow()
    with whole_file(path) as part, tempfile.TemporaryDirectory(prefix="zscmr-") as folder:
        with stderr_held_back():
            saved = str(Path(folder) / "model")
            model.export(saved, format="tf_saved_model", verbose=False)
            converter = tf.lite.TFLiteConverter.from_saved_model(saved)
            if float16:
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
                converter.target_spec.supported_types = [tf.float16]
            try:
                part.write_bytes(converter.convert())
            except Exception as error:  # the converter raises of every kind
                raise BadInput(f"{path}: the model cannot be converted ({first_line(error)})") from error
        graph = Graph(part)
        pictures = generator(0, "export").integers(0, 256, (2, graph.size, graph.size, 3), np.uint8)
        expected, received = outputs_of(model, pictures), graph(pictures)
        if (different := difference(expected, received, float16)) > FLIPPED:
            raise BadInput(f"{path}: the written graph differs from the model in {different:.0%} of its output")
        return file_hash(part)


def outputs_of(model, pictures, weights=None):
    """Vectors (n, rows × dims) of a model; `weights` as of `Graph`, which `model` takes as its second input."""
    if len(model.inputs) == 1:
        return np.asarray(model(pictures, training=False))
    if weights is None:
        weights = equal_weights(model.inputs[1].shape[1])
    return np.stack([np.ravel(model([picture[None], weights], training=False)) for picture in pictures])


def difference(expected, received, float16=False):
    """Share of the entries that differ by more than TOLERANCE, relative to the largest entry."""
    near = np.abs(received - expected) <= TOLERANCE[float16] * np.abs(expected).max()
    return 1 - near.mean()
