"""A network that turns pictures into vectors, on whatever computes it fastest."""

import tempfile
from pathlib import Path

import tensorflow as tf

from zscmr.litert import Graph
from zscmr.training.export_graph import write_tflite
from zscmr.training.precision import has_gpu

MANY = 1000  # pictures from which on the conversion, seconds for a large network, pays


class Compiled:
    """A network as one compiled function: pictures (n, size, size, 3) uint8 -> vectors (n, `width`) float32."""

    def __init__(self, model):
        self.width = model.output_shape[1]
        self._apply = tf.function(lambda images: model(images, training=False))

    def __call__(self, images):
        return self._apply(tf.constant(images)).numpy()


def fastest(model, pictures):
    """`model` made ready for so many pictures: LiteRT on a CPU where they are many, TensorFlow on a GPU."""
    if pictures < MANY or has_gpu():
        return Compiled(model)
    with tempfile.TemporaryDirectory(prefix="zscmr-") as folder:
        file = Path(folder) / "network.tflite"
        write_tflite(model, file)
        return Graph(file)
