"""Identity: CNN features are the embeddings.

For networks that end in the embedding space, trained by `pretrain/finetune.py --train joint --objective paper` or
`tuned`. Nothing is trained.
"""

from dataclasses import dataclass

import numpy as np

from zscmr.models import layers
from zscmr.models.base import System
from zscmr.models.presets import Constants, Preset, Tables, retired_preset
from zscmr.utils.errors import BadInput
from zscmr.utils.options import setting


@dataclass(frozen=True)
class Settings(Constants):
    """Constants of the system."""

    dim: int = setting(64, "size t of the embedding space, and of the features", least=1)
    terms = ()
    retired = retired_preset("paper", "identity", likeness=False)


PRESETS = {"end-to-end": Preset(Settings(), epochs=0, held_out=0.0)}
TABLES = Tables(only_by_name=("end-to-end",))


def build(settings, inputs):
    """The system for `base.Inputs`."""
    return IdentitySystem(settings, inputs)


class IdentitySystem(System):
    """A map with the identity as its kernel; as layers, so that runs of version 0.2 are exported to the same graphs."""

    def __init__(self, settings, inputs):
        super().__init__(settings, inputs, scaled=False)
        photo, sketch = inputs.photos.shape[1], inputs.sketches.shape[1]
        if not photo == sketch == settings.dim:
            raise BadInput(
                f"{photo}-d photos, {sketch}-d sketches: --preset end-to-end keeps features of --dim {settings.dim}"
            )
        self.photo_encoder = layers.fixed_encoder("photo_encoder", np.eye(photo, dtype=np.float32))
        self.sketch_encoder = layers.fixed_encoder("sketch_encoder", np.eye(sketch, dtype=np.float32))

    def embed_photos(self, features):
        """(n, t) CNN features → the same as embeddings."""
        return self.photo_encoder(features)

    def embed_sketches(self, features):
        """(n, t) CNN features → the same as embeddings."""
        return self.sketch_encoder(features)
