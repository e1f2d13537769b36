"""Features and class vectors as training steps read them: on the device, or streamed from disk."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import tensorflow as tf

BLOCK = 8192  # rows scaled, embedded or read from disk at once


@dataclass(frozen=True)
class Source:
    """What steps read.

    `photos` (n, F), `sketches` (m, F') float32: scaled tensors on the device, or, `streamed`, unscaled host arrays.
    `labels` (n,) int32 on the host: index of each photo's class among the trained ones, −1 for others.
    `class_vectors` (C, S) of the trained classes.
    """

    photos: tf.Tensor | np.ndarray
    sketches: tf.Tensor | np.ndarray
    labels: np.ndarray
    class_vectors: tf.Tensor
    streamed: bool = False


def make_source(dataset, trained, model, limit=float("inf")):
    """The `Source` of a `loader.Dataset`.

    Args:
        dataset: `loader.Dataset`.
        trained: class indices (C,) to train on.
        model: system whose scaling resident features pass through.
        limit: GB of features (as float32, both modalities) above which they are streamed.
    """
    position = np.full(len(dataset.classes), -1, np.int32)
    position[trained] = np.arange(len(trained))
    photos, sketches = dataset.photo.features, dataset.sketch.features
    streamed = 4 * (photos.size + sketches.size) > limit * 1e9
    if not streamed:
        photos = on_devices(embed_features(model.photo_scaling, photos))
        sketches = on_devices(embed_features(model.sketch_scaling, sketches))
    return Source(
        photos=photos,
        sketches=sketches,
        labels=position[dataset.photo.labels],
        class_vectors=on_devices(dataset.class_vectors[trained]),
        streamed=streamed,
    )


def on_devices(array):
    """`array` as a tensor; under a strategy of several replicas as a variable, of which each device has a copy."""
    several = tf.distribute.get_strategy().num_replicas_in_sync > 1
    return tf.Variable(array, trainable=False) if several else tf.constant(array)


def stream(source, labels, photos, sketches, first):
    """A `tf.data.Dataset` of (step number, labels, features of photos, of sketches), in order and read ahead.

    Args:
        source: streamed `Source`.
        labels, photos, sketches: result of `steps.step_rows`.
        first: number of the first step.
    """
    read = partial(_read_step, source, (labels, photos, sketches), first)
    shapes = [(), labels.shape[1:]]
    shapes += [(photos.shape[1], source.photos.shape[1]), (sketches.shape[1], source.sketches.shape[1])]
    kinds = [tf.int32] * 2 + [tf.float32] * 2

    def load(index):
        arrays = tf.numpy_function(read, [index], kinds)
        return tuple(tf.ensure_shape(array, shape) for array, shape in zip(arrays, shapes, strict=True))

    batches = tf.data.Dataset.range(len(labels))
    return batches.map(load, num_parallel_calls=2, deterministic=True).prefetch(tf.data.AUTOTUNE)


def _read_step(source, rows, first, index):
    """(number, labels, features of photos, of sketches) of the step at position `index`."""
    labels, photos, sketches = (of_steps[index] for of_steps in rows)
    return np.int32(first + index), labels, _rows(source.photos, photos), _rows(source.sketches, sketches)


def _rows(features, index):
    """features[index] as float32, each row read once and in the order of the file."""
    ordered, positions = np.unique(index, return_inverse=True)
    return np.asarray(features[ordered], np.float32)[positions]


class TrainingRows:
    """Rows of features (n, F) that may be larger than memory, with their labels; has `shape`, `mean` and `std`."""

    def __init__(self, features, labels, rows, block=BLOCK):
        """`rows`: indices of the training rows; `block`: number of them read at once."""
        self.features, self.labels, self.rows, self.block = features, labels[rows], rows, block
        self.shape = (len(rows), *features.shape[1:])

    def mean(self, axis=0, dtype=np.float64):
        return self._sum(lambda block: block, dtype) / len(self.rows)

    def std(self, axis=0, dtype=np.float64):
        mean = self.mean(axis, dtype)
        return np.sqrt(self._sum(lambda block: (block - mean) ** 2, dtype) / len(self.rows))

    def blocks(self, dtype=np.float32):
        """Yield (features, labels) of the rows, block by block."""
        for start in range(0, len(self.rows), self.block):
            part = slice(start, start + self.block)
            yield np.asarray(self.features[self.rows[part]], dtype), self.labels[part]

    def _sum(self, function, dtype):
        return sum(function(block).sum(0) for block, _ in self.blocks(dtype))


def embed_features(function, features, batch=BLOCK):
    """Apply `function` to features (n, F) in batches; return a float32 array (n, t) on the host."""
    parts = [function(tf.constant(features[start : start + batch])) for start in range(0, len(features), batch)]
    return tf.concat(parts, axis=0).numpy()
