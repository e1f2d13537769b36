"""The contrastive objective of end-to-end training: classes separated by angle, pairs by supervised contrastive losses.

A system for `zscmr.training.stage1.end_to_end`, whose features change as it trains; ZSCMR's objectives serve there too.
"""

from dataclasses import dataclass

import tensorflow as tf

from zscmr.models import layers
from zscmr.models.base import System
from zscmr.models.losses import contrastive_loss, cross_entropy, cross_modal_contrastive_loss
from zscmr.models.presets import Constants, Preset
from zscmr.utils.options import setting


@dataclass(frozen=True)
class Settings(Constants):
    """Constants of the objective."""

    dim: int = setting(64, "size t of the embedding space", least=1)
    scale: float = setting(16.0, "multiplies the cosines of embeddings and classes", above=0)
    temperature: float = setting(0.1, "divides the cosines of two embeddings, or of two features", above=0)
    terms = ("classification", "contrast", "crossing")


PRESETS = {
    "contrast": Preset(
        Settings(), batch_size=32, batches="balanced", schedule="cosine", held_out=0.0, distance="cosine"
    )
}


def build(settings, inputs):
    """The system with fresh weights, for `base.Inputs`."""
    return Contrastive(settings, inputs)


class Contrastive(System):
    """One linear map of both modalities to the unit sphere, and a unit vector for each trained class."""

    def __init__(self, settings, inputs):
        super().__init__(settings, inputs, scaled=False, name="joint")  # as checkpoints call it
        self.map = layers.Linear("map", inputs.photos.shape[1], settings.dim)
        self.classes = layers.Linear("classes", settings.dim, len(inputs.class_vectors), use_bias=False)

    def embed_photos(self, features):
        """(n, F) features → unit embeddings (n, t)."""
        return tf.math.l2_normalize(self.map(features), axis=1)

    embed_sketches = embed_photos

    def classification(self, embeddings, labels):
        """Cross-entropy of embeddings (n, t) with labels (n,), mean over the rows."""
        cosines = tf.matmul(embeddings, tf.math.l2_normalize(self.classes.kernel, axis=0))
        return cross_entropy(self.settings.scale * cosines, labels)

    def terms(self, batch, noise, gather):
        """The loss terms of a batch of pairs, as a dict in the order of `settings.terms`."""
        settings = self.settings
        photo, sketch = self.embed_photos(batch.photos), self.embed_sketches(batch.sketches)
        # features retrieve better than embeddings: the map keeps only what separates the seen classes
        centred = [_centred(features, gather) for features in (batch.photos, batch.sketches)]
        crossing = cross_modal_contrastive_loss(*centred, batch.labels, settings.temperature, gather)
        embeddings, labels = tf.concat([photo, sketch], 0), tf.tile(batch.labels, [2])
        return {
            "classification": gather.mean(self.classification(embeddings, labels)),
            "contrast": contrastive_loss(embeddings, labels, settings.temperature, gather),
            "crossing": crossing,
        }


def _centred(features, gather):
    """Unit rows (n, F) about the mean of the whole batch, which removes the shift between modalities."""
    mean = gather.mean(tf.reduce_mean(features, axis=0, keepdims=True))
    return tf.math.l2_normalize(features - mean, axis=1)
