"""Aligned: a projection of features that are aligned already, those of a network trained end to end.

Nothing is trained. A picture is described by its features and, where the backbone's own classifier is known, by its
similarities to that classifier's classes; both modalities share the projection (FIDELITY.md, "End to end").
"""

from dataclasses import dataclass

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
    terms = ()
    wants_classifier = True
    retired = retired_preset("tuned", "principal", likeness=True)


PRESETS = {"aligned": Preset(Settings(), epochs=0, held_out=0.0, distance="cosine")}
TABLES = Tables(of_one_width=("aligned",))


def build(settings, inputs):
    """The system for `base.Inputs`."""
    return Aligned(settings, inputs)


class Aligned(System):
    """The principal components of the described sketches as the map of both modalities."""

    def __init__(self, settings, inputs):
        super().__init__(settings, inputs, classifier=inputs.classifier)
        photo, sketch = inputs.photos.shape[1], inputs.sketches.shape[1]
        if photo != sketch:
            raise BadInput(f"photos have {photo} features, sketches {sketch}: --preset aligned needs as many of both")
        kernel = layers.principal_directions(self.sketch_scaling, inputs.sketches, settings.dim)
        self.photo_encoder = layers.fixed_encoder("photo_encoder", kernel)
        self.sketch_encoder = layers.fixed_encoder("sketch_encoder", kernel)

    def embed_photos(self, features):
        """(n, F) CNN features → (n, t) unit embeddings."""
        return tf.math.l2_normalize(self.photo_encoder(self.photo_scaling(features)), axis=1)

    def embed_sketches(self, features):
        """(n, F) CNN features → (n, t) unit embeddings."""
        return tf.math.l2_normalize(self.sketch_encoder(self.sketch_scaling(features)), axis=1)
