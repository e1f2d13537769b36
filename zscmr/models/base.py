"""The contract between a system, one file of `models/`, and the trainer.

A system's module offers

    Settings   a frozen dataclass of its constants, derived from `presets.Constants`
    PRESETS    {name: `presets.Preset`}, the default first
    build      (settings, inputs) -> System
    TABLES     optional: `presets.Tables`, its part in the paper's tables

Fields of `Settings` made by `zscmr.utils.options.setting` become flags of the trainer, with help, choices and ranges.
"""

from dataclasses import dataclass
from functools import partial

import keras
import numpy as np
import tensorflow as tf

from zscmr.models import layers
from zscmr.models.adam import Adam


@dataclass(frozen=True)
class Inputs:
    """Data of the trained classes that a system is built from.

    `photos` (n, F), `sketches` (m, F'): training features, or `TrainingRows`, for the input scaling.
    `class_vectors` (C, S): row k is of the class with label k in a batch.
    `edges` (E, 2): pairs of such labels that the class graph joins; E = 0 unless the system needs them.
    `classifier` (F, A): kernel of the backbone's own classifier on the features, None if there is none.
    """

    photos: np.ndarray
    sketches: np.ndarray
    class_vectors: np.ndarray
    edges: np.ndarray
    classifier: np.ndarray | None = None


@dataclass(frozen=True)
class Batch:
    """A replica's share of a batch: `batch` pairs of a photo and a sketch of one class.

    `photos`, `sketches` (batch, F): scaled features; (2 batch, F) if the system has negatives, which come last.
    `class_vectors` (batch, S). `labels` (batch,) int32, indices among the trained classes.
    """

    photos: tf.Tensor
    sketches: tf.Tensor
    class_vectors: tf.Tensor
    labels: tf.Tensor


@dataclass(frozen=True)
class ParameterGroup:
    """Variables with an optimizer of their own, which follows the gradient of the weighted sum of `terms`."""

    terms: tuple
    variables: list
    optimizer: keras.optimizers.Optimizer


class System(keras.Model):
    """A map of both modalities into one space.

    Subclasses add layers and define the methods that raise NotImplementedError here.

    `photo_scaling` and `sketch_scaling` map features (n, F) to the scaled ones of a batch; they are fixed before
    training. `negative_photos`, `negative_sketches`: whether a batch has as many photos, or sketches, of other classes.
    """

    negative_photos = negative_sketches = False

    def __init__(self, settings, inputs, scaled=True, classifier=None, name=None):
        """Make the scaling of both modalities.

        Args:
            settings: the system's `Settings`.
            inputs: `Inputs`.
            scaled: False leaves features as they are.
            classifier: kernel (F, A), or None; with it scaled features are (n, F + A), `layers.ClassSimilarity`.
            name: of the model, left out: of its class.
        """
        super().__init__(name=name)
        self.settings = settings
        make = partial(layers.make_scaling, classifier=classifier)
        self.photo_scaling = make(inputs.photos, "photo_scaling") if scaled else tf.identity
        self.sketch_scaling = make(inputs.sketches, "sketch_scaling") if scaled else tf.identity
        self.built = True  # each layer builds itself when it is made

    def embed_photos(self, features):
        """(n, F) CNN features → (n, t) embeddings."""
        raise NotImplementedError

    def embed_sketches(self, features):
        """(n, F') CNN features → (n, t) embeddings."""
        raise NotImplementedError

    def embed(self, features, modality):
        """Embeddings (n, t) of CNN features (n, F) of "photo" or "sketch"."""
        return (self.embed_photos if modality == "photo" else self.embed_sketches)(features)

    def terms(self, batch, noise, gather):
        """{name: scalar loss} of the whole batch, in the order of `settings.terms`.

        Args:
            batch: `Batch`, this replica's share.
            noise: (2,) int seed; seeds up to NOISE_STREAMS higher in the second number belong to the step too.
            gather: `Gather`, to average over replicas, and for losses over all pairs of the batch.
        """
        raise NotImplementedError

    def parameter_groups(self, rate):
        """The `ParameterGroup`s to train; one Adam for all variables, unless overridden.

        `rate`: the learning rate or its schedule.
        """
        terms = self.settings.terms
        return [ParameterGroup(terms, self.trainable_variables, Adam(rate))] if terms else []
