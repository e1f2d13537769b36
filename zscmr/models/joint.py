"""The objective of end-to-end training: classes told apart by angle, pairs of a batch pulled together or apart.

A system for `zscmr.training.stage1.end_to_end`, whose features change as it trains; ZSCMR's objectives serve there too.
"""

from dataclasses import dataclass

import tensorflow as tf

from zscmr.models import layers
from zscmr.models.base import Constants, Preset, System
from zscmr.models.losses import contrastive_loss, cross_entropy, crossing_loss
from zscmr.utils.options import setting


@dataclass(frozen=True)
class Settings(Constants):
    dim: int = setting(64, "size t of the embedding space", least=1)
    scale: float = setting(16.0, "multiplies the cosines of embeddings and classes", above=0)
    temperature: float = setting(0.1, "divides the cosines of two embeddings, or of two features", above=0)
    terms = ("classification", "contrast", "crossing")


PRESETS = {
    "joint": Preset(Settings(), batch_size=32, batches="balanced", schedule="cosine", held_out=0.0, distance="cosine")
}


def build(settings, inputs):
    """The system with fresh weights, for `base.Inputs`."""
    return Joint(settings, inputs)


class Joint(System):
    """One linear map of both modalities to the unit sphere, and a unit vector for each trained class."""

    def __init__(self, settings, inputs):
        super().__init__(settings, inputs, scaled=False)
        self.map = layers.Linear("map", inputs.photos.shape[1], settings.dim)
        self.classes = layers.Linear("classes", settings.dim, len(inputs.class_vectors), use_bias=False)

    def embed_photos(self, features):
        """(n, F) features → unit embeddings (n, t)."""
        return tf.math.l2_normalize(self.map(features), axis=1)

    embed_sketches = embed_photos

    def terms(self, batch, noise, gather):
        rows = [gather(self.embed_photos(features)) for features in (batch.photos, batch.sketches)]
        # features retrieve better than embeddings: the map keeps only what tells the seen classes apart
        centred = [_centred(gather(features)) for features in (batch.photos, batch.sketches)]
        crossing = crossing_loss(*centred, gather(batch.labels), self.settings.temperature)
        rows, labels = tf.concat(rows, 0), tf.tile(gather(batch.labels), [2])
        cosines = tf.matmul(rows, tf.math.l2_normalize(self.classes.kernel, axis=0))
        return {
            "classification": cross_entropy(self.settings.scale * cosines, labels),
            "contrast": contrastive_loss(rows, labels, self.settings.temperature),
            "crossing": crossing,
        }


def _centred(rows):
    """Unit rows (n, F) about the mean of the batch: what sets the modalities apart as a whole does not count."""
    return tf.math.l2_normalize(rows - tf.reduce_mean(rows, axis=0, keepdims=True), axis=1)
