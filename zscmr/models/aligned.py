"""Aligned: a projection of features that are aligned already, those of a network trained end to end.

Nothing is trained. A picture is described by its features and, where the backbone's own classifier is known, by its
similarities to that classifier's classes; both modalities share the projection (FIDELITY.md, "End to end").
`--trained` appends similarities to the trained classes.
"""

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from zscmr.models import layers
from zscmr.models.base import System
from zscmr.models.presets import Constants, Preset, Tables, retired_preset
from zscmr.utils.errors import BadInput
from zscmr.utils.options import setting


@dataclass(frozen=True)
class Settings(Constants):
    """Constants of the system."""

    dim: int = setting(64, "size t of the embedding space", least=1)
    trained: float = setting(
        0.0, "length of a row's similarities to the trained classes, where its features have length 1", least=0
    )
    terms = ()
    wants_classifier = True
    retired = retired_preset("tuned", "principal", likeness=True)


TRAINED_TEMPERATURE = 0.04  # divides cosines with the directions of the trained classes
TRAINED_SHRINKAGE = 1.0  # added to the scatter within classes, in units of its mean variance

PRESETS = {"aligned": Preset(Settings(), epochs=0, held_out=0.0, distance="cosine")}
TABLES = Tables(of_one_width=("aligned",))


def build(settings, inputs):
    """The system for `base.Inputs`."""
    return Aligned(settings, inputs)


class TrainedSimilarity(keras.layers.Layer):
    """Append similarities to the trained classes to described features (n, D) → (n, D + C).

    Similarities are the square roots of a softmax over cosines of the scaled features with the classes' directions,
    less their mean over the training rows, and brought to one length.
    """

    def __init__(self, description, rows, directions, length, name):
        """Make the layer.

        Args:
            description: layer from features (n, F) to (n, D), the scaled features first.
            rows: `TrainingRows` of F features.
            directions: (F, C), of length 1.
            length: of the similarities, where the scaled features have length 1.
        """
        super().__init__(name=name, trainable=False, dtype="float32")
        self.description, self.length = description, length
        self.directions = layers.fixed_weight(self, "directions", directions)
        total = sum(
            self._similarities(*self._described(tf.constant(block))).numpy().sum(0) for block, _ in rows.blocks()
        )
        self.mean = layers.fixed_weight(self, "mean", total / rows.shape[0])

    def _described(self, features):
        """(described features (n, D), lengths (n, 1) of the scaled features in them)."""
        described = self.description(features)
        return described, tf.norm(described[:, : features.shape[1]], axis=1, keepdims=True)

    def _similarities(self, described, lengths):
        cosines = tf.matmul(described[:, : self.directions.shape[0]] / (lengths + 1e-12), self.directions)
        return tf.sqrt(tf.nn.softmax(cosines / TRAINED_TEMPERATURE))

    def call(self, features):
        described, lengths = self._described(features)
        similarities = tf.math.l2_normalize(self._similarities(described, lengths) - self.mean, axis=1)
        return tf.concat([described, self.length * lengths * similarities], axis=1)


def trained_directions(scalings, sides, count):
    """Directions (F, C) of the trained classes: linear discriminants of scaled features, shrunk toward a sphere.

    A class is the mean of its photos' mean and its sketches' mean; the scatter is within class and modality.

    Args:
        scalings: of each side, layer from features (n, F) to (n, D), the scaled features first.
        sides: `TrainingRows` of photos and of sketches, of the same classes.
        count: C.
    """
    width = sides[0].shape[1]
    if sides[0].shape[0] == 1:  # a model whose weights are restored afterwards
        return np.zeros((width, count), np.float32)
    classes = np.unique(sides[0].labels)
    scatter, middle, total = np.zeros((width, width)), np.zeros((len(classes), width)), 0
    for scaling, side in zip(scalings, sides, strict=True):
        sums, counts = np.zeros((len(classes), width)), np.zeros(len(classes))
        for block, labels in side.blocks():
            rows = tf.math.l2_normalize(scaling(tf.constant(block))[:, :width], axis=1).numpy().astype(np.float64)
            positions = np.searchsorted(classes, labels)
            scatter += rows.T @ rows
            np.add.at(sums, positions, rows)
            counts += np.bincount(positions, minlength=len(classes))
        means = sums / counts[:, None]
        scatter -= sums.T @ means
        middle += means / len(sides)
        total += side.shape[0]
    middle -= middle.mean(0)
    spread = np.trace(scatter) / width
    directions = np.linalg.solve(scatter + TRAINED_SHRINKAGE * spread * np.eye(width), middle.T)
    return (directions / np.linalg.norm(directions, axis=0)).astype(np.float32)


class Aligned(System):
    """The principal components of the described sketches as the map of both modalities."""

    def __init__(self, settings, inputs):
        super().__init__(settings, inputs, classifier=inputs.classifier)
        photo, sketch = inputs.photos.shape[1], inputs.sketches.shape[1]
        if photo != sketch:
            raise BadInput(f"photos have {photo} features, sketches {sketch}: --preset aligned needs as many of both")
        if settings.trained:
            scalings, sides = (self.photo_scaling, self.sketch_scaling), (inputs.photos, inputs.sketches)
            directions = trained_directions(scalings, sides, len(inputs.class_vectors))
            self.photo_scaling, self.sketch_scaling = (
                TrainedSimilarity(scaling, side, directions, settings.trained, f"{scaling.name}_trained")
                for scaling, side in zip(scalings, sides, strict=True)
            )
        kernel = layers.principal_directions(self.sketch_scaling, inputs.sketches, settings.dim)
        self.photo_encoder = layers.fixed_encoder("photo_encoder", kernel)
        self.sketch_encoder = layers.fixed_encoder("sketch_encoder", kernel)

    def embed_photos(self, features):
        """(n, F) CNN features → (n, t) unit embeddings."""
        return tf.math.l2_normalize(self.photo_encoder(self.photo_scaling(features)), axis=1)

    def embed_sketches(self, features):
        """(n, F) CNN features → (n, t) unit embeddings."""
        return tf.math.l2_normalize(self.sketch_encoder(self.sketch_scaling(features)), axis=1)
