"""What a system is: the contract between a file of `models/` and the trainer.

A system's module offers `Settings` (a frozen dataclass of its constants, with a property `terms`, the names of its loss
terms), `PRESETS` (name -> `Preset`, the default one first) and `build(settings, inputs)`, which returns a `System`.
"""

from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf


@dataclass(frozen=True)
class Preset:
    """How a system is trained: `sizes`, the constants of its module's Settings; the weight of each loss term (1 where
    `weights` is silent); epochs and batches; and the distance its embeddings are ranked by."""

    sizes: object
    weights: dict = field(default_factory=dict)
    epochs: int = 60
    batch_size: int = 128
    learning_rate: float = 1e-3
    schedule: str = "constant"  # or "cosine", which falls to 0
    batches: str = "triads"  # or "balanced": two photos and two sketches of each class
    steps: int = 0  # of an epoch of balanced batches; 0: a pass over the larger modality
    held_out: float = 0.1
    distance: str = "euclidean"

    def __post_init__(self):
        object.__setattr__(self, "weights", {name: self.weights.get(name, 1.0) for name in self.sizes.terms})


@dataclass(frozen=True)
class Inputs:
    """What a system is built from, of the trained classes alone: `photos` (n, F) and `sketches` (m, F') training
    features (or `training.TrainingRows`) for the input scaling; `class_vectors` (C, S) in the order of the labels of a
    batch; `edges` (E, 2) of the class graph among them, E = 0 without one."""

    photos: np.ndarray
    sketches: np.ndarray
    class_vectors: np.ndarray
    edges: np.ndarray


class Batch:
    """A replica's share of a batch of triads, `batch` pairs of a photo and a sketch of one class.

    `labels` (batch,) int32 of the pairs, from 0 among the trained classes; `class_vectors` (batch, S). Features are
    read when asked for, so that a system pays for what it uses.
    """

    def __init__(self, photos, sketches, class_vectors, labels):
        self._photos, self._sketches = photos, sketches
        self.class_vectors, self.labels = class_vectors, labels

    def photos(self, negatives=False):
        """Scaled features (batch, F); with `negatives` (2 batch, F), below them a photo of another class for each."""
        return self._photos(negatives)

    def sketches(self, negatives=False):
        """Scaled features (batch, F'); with `negatives` (2 batch, F'), as of photos."""
        return self._sketches(negatives)


@dataclass(frozen=True)
class Player:
    """A share of training: `optimizer` moves `variables` along the gradient of the weighted sum of `terms`."""

    terms: tuple
    variables: list
    optimizer: keras.optimizers.Optimizer


class System(keras.Model):
    """A trainable map of both modalities into one space; subclasses define what raises here.

    `photo_scaling` and `sketch_scaling` map features (n, F) to the scaled ones of a batch; fixed before training.
    """

    photo_scaling = staticmethod(tf.identity)
    sketch_scaling = staticmethod(tf.identity)

    def embed_photos(self, features):
        """(n, F) CNN features → (n, t) embeddings."""
        raise NotImplementedError

    def embed_sketches(self, features):
        """(n, F') CNN features → (n, t) embeddings."""
        raise NotImplementedError

    def terms(self, batch, noise, gather):
        """Named scalar losses of a `Batch`; `noise` is a (2,) int seed, from which seeds up to NOISE_STREAMS higher in
        the second number are its own; `gather` (`training.Gather`) brings rows of all replicas together."""
        raise NotImplementedError

    def players(self, rate):
        """Who trains what; `rate` is the learning rate or its schedule. One Adam for all of it, unless overridden."""
        return [Player(self.settings.terms, self.trainable_variables, keras.optimizers.Adam(rate))]
