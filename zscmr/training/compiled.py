"""A network that turns pictures into vectors, on whatever computes it fastest."""

import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from zscmr.inference.export_graph import write_tflite
from zscmr.inference.graph import Graph
from zscmr.training.strategies import has_gpu, local_replicas, spread

MANY = 1000  # pictures from which on the conversion, seconds for a large network, pays


class Compiled:
    """A network as one compiled function: pictures (n, size, size, 3) uint8 -> vectors (n, `width`) float32. The
    devices of `strategy` share them; `model` was made in its scope."""

    def __init__(self, model, strategy=None):
        self.width = model.output_shape[1]
        self._strategy = strategy or tf.distribute.get_strategy()
        self._devices = local_replicas(self._strategy)
        apply = tf.function(lambda images: model(images, training=False))
        self._apply = apply if self._devices == 1 else tf.function(lambda shares: self._strategy.run(apply, (shares,)))

    def __call__(self, images):
        if self._devices == 1:
            return self._apply(tf.constant(images)).numpy()
        enough = images if len(images) >= self._devices else np.repeat(images, self._devices, axis=0)  # none idle
        shares = self._apply(spread(self._strategy, np.array_split(enough, self._devices)))
        vectors = np.concatenate([share.numpy() for share in self._strategy.experimental_local_results(shares)])
        return vectors[:: len(enough) // len(images)]


def fastest(model, pictures, strategy=None):
    """`model` made ready for so many pictures: LiteRT on a CPU where they are many, TensorFlow on the GPUs of
    `strategy`."""
    if pictures < MANY or has_gpu():
        return Compiled(model, strategy)
    with tempfile.TemporaryDirectory(prefix="zscmr-") as folder:
        file = Path(folder) / "network.tflite"
        write_tflite(model, file)
        return Graph(file)
