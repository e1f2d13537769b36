"""Networks from pictures to vectors, compiled for the devices of this machine."""

import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from zscmr.inference.export_graph import write_tflite
from zscmr.inference.graph import Graph
from zscmr.training.strategies import has_gpu, local_replicas, spread

MANY_PICTURES = 1000  # from here on LiteRT wins back the seconds that converting a large network takes


class Compiled:
    """A network as one compiled function: pictures (n, size, size, 3) uint8 -> vectors (n, `width`) float32."""

    def __init__(self, model, strategy=None):
        """`model`: Keras model, made in the scope of `strategy`, whose devices share the pictures."""
        self.width = model.output_shape[1]
        self._strategy = strategy or tf.distribute.get_strategy()
        self._devices = local_replicas(self._strategy)
        apply = tf.function(lambda images: model(images, training=False))
        self._apply = apply if self._devices == 1 else tf.function(lambda shares: self._strategy.run(apply, (shares,)))

    def __call__(self, images):
        if self._devices == 1:
            return self._apply(tf.constant(images)).numpy()
        # fewer pictures than devices are repeated, since each device needs one
        padded = images if len(images) >= self._devices else np.repeat(images, self._devices, axis=0)
        shares = self._apply(spread(self._strategy, np.array_split(padded, self._devices)))
        vectors = np.concatenate([share.numpy() for share in self._strategy.experimental_local_results(shares)])
        return vectors[:: len(padded) // len(images)]


def fastest(model, pictures, strategy=None):
    """Compile the Keras `model` for so many pictures: by LiteRT if they are many and there is no GPU, else TensorFlow.

    `strategy`: that in whose scope the model was made.
    """
    if pictures < MANY_PICTURES or has_gpu():
        return Compiled(model, strategy)
    with tempfile.TemporaryDirectory(prefix="zscmr-") as folder:
        file = Path(folder) / "network.tflite"
        write_tflite(model, file)
        return Graph(file)
