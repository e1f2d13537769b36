"""What a system is: the contract between a file of `models/` and the trainer.

A system's module offers `Settings` (a frozen dataclass of its constants, with a property `terms`, the names of its loss
terms), `PRESETS` (name -> `Preset`, the default one first) and `build(settings, inputs)`, which returns a `System`.
Its `Settings` may have `wants_graph`, true if `Inputs.edges` are needed; `bits`, not 0 if embeddings are codes of −1
and 1, which are ranked by Hamming distance; and `unread`, the constants that its objective has no use for.
"""

from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf

from models import layers


@dataclass(frozen=True)
class Preset:
    """How a system is trained: `sizes`, the constants of its module's Settings; the weight of each loss term (1 where
    `weights` is silent; those of terms that other sizes have stay); epochs and batches; and the distance its embeddings
    are ranked by, for codes always Hamming's."""

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
        object.__setattr__(self, "weights", dict.fromkeys(self.sizes.terms, 1.0) | self.weights)
        if getattr(self.sizes, "bits", 0):
            object.__setattr__(self, "distance", "hamming")


@dataclass(frozen=True)
class Inputs:
    """What a system is built from, of the trained classes alone: `photos` (n, F) and `sketches` (m, F') training
    features (or `training.TrainingRows`) for the input scaling; `class_vectors` (C, S) in the order of the labels of a
    batch; `edges` (E, 2) of the class graph among them, as such labels, E = 0 for a system that wants none."""

    photos: np.ndarray
    sketches: np.ndarray
    class_vectors: np.ndarray
    edges: np.ndarray


@dataclass(frozen=True)
class Batch:
    """A replica's share of a batch of triads, `batch` pairs of a photo and a sketch of one class: scaled features
    (batch, F), with as many of other classes below them where the system asks for negatives; class vectors
    (batch, S); labels (batch,) int32, from 0 among the trained classes."""

    photos: tf.Tensor
    sketches: tf.Tensor
    class_vectors: tf.Tensor
    labels: tf.Tensor


@dataclass(frozen=True)
class Player:
    """A share of training: `optimizer` moves `variables` along the gradient of the weighted sum of `terms`."""

    terms: tuple
    variables: list
    optimizer: keras.optimizers.Optimizer


class System(keras.Model):
    """A trainable map of both modalities into one space; subclasses add their layers and define what raises here.

    `photo_scaling` and `sketch_scaling` map features (n, F) to the scaled ones of a batch; fixed before training. With
    `scaled` False features stay as they come. Where `negative_photos` is true, a batch's photos come with as many of
    other classes; `negative_sketches` likewise.
    """

    negative_photos = negative_sketches = False

    def __init__(self, settings, inputs, scaled=True):
        super().__init__()
        self.settings = settings
        self.photo_scaling = layers.Scaling(inputs.photos, "photo_scaling") if scaled else tf.identity
        self.sketch_scaling = layers.Scaling(inputs.sketches, "sketch_scaling") if scaled else tf.identity
        self.built = True  # layers are built where they are made

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
        return [Player(self.settings.terms, self.trainable_variables, layers.Adam(rate))]
