"""Keras models as TensorFlow Lite files, for search without TensorFlow."""

import tempfile
from pathlib import Path

import numpy as np

from zscmr.files import file_hash, whole_file
from zscmr.litert import Graph
from zscmr.quiet import import_tensorflow, stderr_held_back
from zscmr.seeds import generator

#: largest difference from the model's vectors, relative to their norms, by whether weights are halved; measured on
#: EfficientNet-Lite0: 4e-6, 1.4e-2
TOLERANCE = {False: 1e-3, True: 1e-1}


def write_tflite(model, path, float16=False):
    """Write a Keras model, uint8 pictures (n, size, size, 3) -> float32 vectors (n, dims); return the file's SHA-256.

    `float16` stores the weights in half the space; they are computed with in float32. The file takes its name once it
    has given the model's own vectors of two pictures of noise: a conversion can lose weights without an error.
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
            part.write_bytes(converter.convert())
        graph = Graph(part)
        pictures = generator(0, "export").integers(0, 256, (2, graph.size, graph.size, 3), np.uint8)
        expected, received = np.asarray(model(pictures, training=False)), graph(pictures)
        difference = np.linalg.norm(received - expected) / np.linalg.norm(expected)
        if not difference <= TOLERANCE[float16]:
            raise RuntimeError(f"{path}: the written graph differs from the model by {difference:.1e} of its vectors")
        return file_hash(part)
