"""Pictures -> embeddings, through the CNN and the encoder of a run."""

from pathlib import Path

import numpy as np

from zscmr import runs
from zscmr.errors import BadInput
from zscmr.files import read_json
from zscmr.retrieval.cnn_weights import find_weights

MODALITIES = ("photo", "sketch")


class Encoder:
    """The way from pictures of one modality to the embeddings of a run.

    Thread-safe; prints nothing and changes no argument.
    """

    def __init__(self, network, encode, backbone, shrink=None):
        """`network`: a `feature_export.Compiled`; `encode`: features (n, F) -> embeddings (n, t)."""
        self.network, self.encode, self.shrink = network, encode, shrink
        self.preprocessing, self.batch = backbone.preprocessing, backbone.recipe.batch_size

    @classmethod
    def open(cls, run, modality, weights=None):
        """The encoder of a modality, "photo" or "sketch", of the run in the directory `run`.

        `weights`: where the CNN's weights are if they have moved, a file for a frozen backbone, else the dataset
        directory. Raises BadInput for a run whose CNN is unknown, missing or another.
        """
        run = Path(run)
        config = read_json(run / runs.CONFIG)
        if "dataset" not in config:
            raise BadInput(
                f"{run / runs.CONFIG}: no 'dataset'; the run was made before there was a search, train again"
            )
        provenance, widths = config["features"], config["dataset"]
        # where the run's command saw the dataset, so that a project that has moved as a whole finds it, or where it was
        places = Path(config["settings"]["data"]), Path(config["dataset"]["directory"])
        file = find_weights(provenance, places, modality, weights, run)
        from zscmr.backbones import backbone
        from zscmr.training import cnn, feature_export, stage2
        from zscmr.training.precision import half_precision_on_gpu

        with half_precision_on_gpu():
            network = cnn.restored(provenance, file)
        if network.output_shape[1] != widths[modality]:
            raise BadInput(
                f"{run}: was trained on {modality} features {widths[modality]}-d, and the CNN that it names gives "
                f"{network.output_shape[1]}-d; the features are of another origin"
            )
        model = stage2.load_model(run)
        encode = model.embed_photos if modality == "photo" else model.embed_sketches
        network = feature_export.Compiled(network)
        return cls(network, encode, backbone(provenance["backbone"]), provenance.get("shrink"))

    def embed(self, paths):
        """(embeddings (n, t) float32, readable (n,) bool) of the picture files `paths`; unreadable ones give zeros."""
        from zscmr.training import feature_export

        paths = [str(path) for path in paths]
        features, readable = feature_export.outputs_now(
            self.network, self.preprocessing, paths, self.batch, self.shrink
        )
        return self._embedded(features, readable), readable

    def embed_kept(self, paths, folder, identity, label):
        """`embed` for many pictures: what the CNN gives is kept in `folder`, so that a killed call resumes.

        `identity`: a JSON value that tells these pictures from others. Shows progress under `label`.
        """
        from zscmr.training import feature_export

        paths = [str(path) for path in paths]
        features, readable = feature_export.outputs(
            folder, identity, lambda: self.network, self.preprocessing, paths, self.batch, label, self.shrink
        )
        return self._embedded(features, readable), readable

    def _embedded(self, features, readable):
        from zscmr.training.sources import embed

        rows = embed(self.encode, features[readable]) if readable.any() else np.empty((0, 0), np.float32)
        vectors = np.zeros((len(readable), rows.shape[1]), np.float32)
        vectors[readable] = rows
        return vectors
