"""The CNN of one modality as pictures.json records it."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from zscmr.backbones import backbone
from zscmr.backbones.base import Backbone
from zscmr.formats.dataset_directory import of_modality
from zscmr.utils.errors import BadInput
from zscmr.utils.files import file_hash

PARTS = ("head", "last-block", "all", "joint")  # what of a network may be trained
FROZEN = "nothing"
POOLS = ("average", "root", "flatten", "class")
OBJECTIVES = ("contrast", "paper", "tuned")
VIEWS = (1, 2, 4)
PRECISIONS = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class CnnSpec:
    """How a network makes features of pictures.

    Args:
        entry: of the backbone.
        train: what of it is trained, one of PARTS or FROZEN.
        pool: how its last maps become a vector, one of POOLS.
        dense: size of the Dense layer after the pool, 0 for none.
        size: side of the pictures in pixels, None for the backbone's own.
        ink: margin about the strokes that sketches are cropped to, in sides; None for whole sheets.
        shrink: side in pixels to which pictures are scaled before all else, None for as stored.
        objective: of end-to-end training, one of OBJECTIVES; else None.
        precision: of training and features, one of PRECISIONS; weights are float32.
        views: of a picture whose features are averaged, one of VIEWS (`cnn.averaged_over_views`).
        weights: file of the backbone's weights before training, None for random ones.
        weights_sha256: digest of that file.
    """

    entry: Backbone
    train: str
    pool: str
    dense: int = 0
    size: int | None = None
    ink: float | None = None
    shrink: int | None = None
    objective: str | None = None
    precision: str = "float32"
    views: int = 1
    weights: Path | None = None
    weights_sha256: str | None = None

    @property
    def trained(self):
        """Whether anything of the network is trained."""
        return self.train != FROZEN

    @property
    def gives_embeddings(self):
        """Whether the network ends in a system's embeddings, as under ZSCMR's objectives."""
        return self.objective not in (None, "contrast")

    def preprocessing(self, modality):
        """Scaling and cropping of the pictures of a modality."""
        usual = self.entry.preprocessing
        return dataclasses.replace(usual, size=self.size or usual.size, ink=self.ink if modality == "sketch" else None)

    def with_weights(self, file):
        """The same CNN with the weights of a file, which is read for its digest, or None."""
        return dataclasses.replace(self.with_file(file), weights_sha256=file_hash(file) if file else None)

    def with_file(self, file):
        """The same CNN, its weights in a file of this path, or None."""
        return dataclasses.replace(self, weights=file)

    def record(self):
        """Keys of pictures.json."""
        about = {
            "shrink": self.shrink,
            "backbone": self.entry.name,
            "weights": self.weights.name if self.weights else None,
            "weights_file": str(self.weights.resolve()) if self.weights else None,
            "weights_sha256": self.weights_sha256,
            "train": self.train,
            "pool": self.pool,
            "dense": self.dense,
            "precision": self.precision,
        }
        rare = {"size": self.size, "ink": self.ink, "objective": self.objective}
        rare |= {"views": self.views} if self.views > 1 else {}
        return about | {key: value for key, value in rare.items() if value is not None}

    @classmethod
    def read(cls, provenance, modality):
        """The CNN of a modality from contents of pictures.json, whose keys may be those of an older version.

        Raises BadInput for a missing key or a value that `record` does not write.
        """
        about = dict.fromkeys(_KEYS) | {"precision": "float32", "views": 1} | of_modality(provenance, modality)
        for key, fits in _checks(about).items():
            if not fits:
                received = ascii(about[key])[:80]
                raise BadInput(
                    f"pictures.json: '{key}' ({modality}): expected what stage I writes, received {received}"
                )
        file = about["weights_file"] or about.get("weights")
        values = {key: about[key] for key in _KEYS if key not in ("backbone", "weights_file")}
        return cls(backbone(about["backbone"]), **values, weights=Path(str(file)) if file else None)


_KEYS = (
    *("backbone", "train", "pool", "dense", "size", "ink", "shrink", "objective", "precision", "views"),
    *("weights_file", "weights_sha256"),
)


def _checks(about):
    """{key of pictures.json: whether its value is one that a `CnnSpec` records}."""
    texts = {key: isinstance(about[key], str | None) for key in ("weights_file", "weights_sha256")}
    sides = {key: about[key] is None or (type(about[key]) is int and about[key] >= 1) for key in ("size", "shrink")}
    return {
        **{"backbone": isinstance(about["backbone"], str), **texts, **sides},
        "train": about["train"] in (FROZEN, *PARTS),
        "pool": about["pool"] in POOLS,
        "dense": type(about["dense"]) is int and about["dense"] >= 0,
        "ink": about["ink"] is None or (type(about["ink"]) in (int, float) and 0 <= about["ink"] <= 1),
        "objective": about["objective"] in (None, *OBJECTIVES),
        "precision": about["precision"] in PRECISIONS,
        "views": type(about["views"]) is int and about["views"] in VIEWS,
    }
