"""The ground that numbers are measured on: a dataset and an unseen list, and how they differ from the paper's.

Whether a number is comparable with a published one is derived from the dataset directory, never asserted.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from zscmr.datasets import literature
from zscmr.datasets.classes import UNSEEN, Split, read_class_list, split_classes
from zscmr.evaluation.embeddings import drawn_photo, stems
from zscmr.formats.dataset_directory import of_modality
from zscmr.training.stage2.records import cnn_leak, features_digest
from zscmr.utils.errors import BadInput
from zscmr.utils.files import read_json

PUBLISHED = read_json(Path(__file__).with_name("published.json"))


@dataclass(frozen=True, eq=False)  # part of keys, compared by identity
class Ground:
    """A dataset directory with one list of unseen classes."""

    dataset: object  # a `UxUyLoader.Dataset`
    split: Split  # without held-out classes, which each run draws itself
    unseen_file: Path | None  # the trainer's --unseen
    list_name: str  # of the literature's list with these classes, else the file's
    folder: Path  # of the cells; named by a digest of features and split
    differences: tuple[str, ...]  # from what the paper used; none: comparable
    leaked: str  # sentence on unseen classes that the CNNs were trained on; empty if none

    @property
    def name(self):
        return self.dataset.directory.resolve().name

    @property
    def backbone(self):
        provenance = self.dataset.provenance
        if "backbone" not in provenance:
            return "features of unknown origin"
        trained = {"nothing": "frozen", "head": "frozen, trained head", "last-block": "last block trained"}
        names = dict.fromkeys((provenance["backbone"], of_modality(provenance, "sketch")["backbone"]))
        return f"{' and '.join(names)} ({trained.get(provenance.get('train'), 'trained')})"

    @property
    def pictures(self):
        """Describe dataset and features, without the unseen list."""
        photo, sketch = self.dataset.photo, self.dataset.sketch
        return (
            f"dataset {self.name} ({len(photo.labels):,} photos and {len(sketch.labels):,} sketches of "
            f"{len(self.dataset.classes)} classes), features {self.backbone}, {' and '.join(map(str, self.widths))}-d"
        )

    @property
    def unseen(self):
        """Name of the unseen list and number of its classes."""
        return f"{self.list_name} ({len(self.split.unseen)} classes)"

    @property
    def widths(self):
        """Feature widths of photo and sketch, once if they are alike."""
        return tuple(dict.fromkeys(items.features.shape[1] for items in (self.dataset.photo, self.dataset.sketch)))

    @property
    def unseen_pictures(self):
        """(photos, sketches) of the unseen classes."""
        sides = self.dataset.photo, self.dataset.sketch
        return tuple(int(np.isin(items.labels, self.split.unseen).sum()) for items in sides)

    @cached_property
    def paired(self):
        """Whether file names of unseen sketches name the photo of the dataset that they were drawn from."""
        photos = set(stems(self.dataset.photo))
        drawn = (drawn_photo(*identity) for identity in stems(self.dataset.sketch))
        return any(photo in photos for photo in drawn if photo[0] in self.split.unseen)


@dataclass(frozen=True)
class Elsewhere:
    """The ground of a run's numbers on another dataset's pictures; has the fields of `Ground` that tables print."""

    name: str  # both datasets, and which classes
    list_name: str
    backbone: str
    leaked: str
    differences: tuple[str, ...] = ("trained on one dataset, tested on another",)


def survey(dataset, unseen_files, root):
    """The `Ground` of the dataset's unseen.txt, if it has one, and of each further list; equal lists count once.

    Raises BadInput for a dataset or list that cannot be used, before anything runs.
    """
    data = dataset.directory
    default = data / UNSEEN
    files = ([None] if default.exists() or not unseen_files else []) + list(unseen_files)
    features = digest_features(dataset)
    grounds = {}
    for file in files:
        listing = file or default
        listed = read_class_list(listing)
        split = split_classes(dataset.classes, listed, listing, held_out_share=0)
        name = literature.list_name(listed, listing.stem)
        mark = hashlib.sha256(f"{features} {split.unseen.tolist()}".encode()).hexdigest()[:8]
        ground = Ground(
            dataset,
            split,
            file,
            name,
            root / f"{data.resolve().name}-{name}-{mark}",
            reasons_not_comparable(dataset, split, name),
            cnn_leak(dataset, split),
        )
        grounds.setdefault(tuple(split.unseen.tolist()), ground)
    names = [ground.list_name for ground in grounds.values()]
    if len(set(names)) < len(names):
        raise BadInput(f"--unseen: two lists of different classes are both called {max(names, key=names.count)}")
    return list(grounds.values())


def digest_features(dataset):
    """Hexadecimal digest of the data that training reads, and of what tables print of the dataset."""
    digest = features_digest(dataset)
    digest.update(b"int64 (0, 2)")  # edges are part of the cells that need a graph
    about = {key: dataset.provenance.get(key) for key in ("backbone", "train", "trained_on")}
    about |= {"sketch": dataset.provenance["sketch"]} if "sketch" in dataset.provenance else {}
    digest.update(json.dumps([dataset.classes, about]).encode())
    return digest.hexdigest()


def reasons_not_comparable(dataset, split, unseen_list):
    """Sentences, each a reason why numbers of this dataset and split cannot be compared with the published ones."""
    recognised = literature.recognised(dataset.classes)
    if not recognised or recognised.name not in PUBLISHED["datasets"]:
        return (f"another dataset than {' and '.join(PUBLISHED['datasets'])}",)
    facts, reasons = PUBLISHED["datasets"][recognised.name], []
    for what, measured, counts in (
        ("photos", len(dataset.photo.labels), recognised.photos),
        ("sketches", len(dataset.sketch.labels), recognised.sketches),
    ):
        if measured not in counts:
            reasons.append(f"{measured:,} {what}, where {recognised.name} has {next(iter(counts)):,}")
    for what in ("seen", "unseen"):
        if (measured := len(getattr(split, what))) != facts[what]:
            reasons.append(f"{measured} {what} classes, where the paper has {facts[what]}")
    if facts["implied_list"] not in (None, unseen_list):
        reasons.append(f"unseen list {unseen_list}, where the released code implies {facts['implied_list']}")
    backbone = dataset.provenance.get("backbone", "unknown")
    if backbone not in PUBLISHED["backbones"]:
        reasons.append(f"backbone {backbone}, where the release has {' or '.join(PUBLISHED['backbones'])}")
    elif dataset.provenance.get("train") == "nothing":
        reasons.append(f"{backbone} not trained on the dataset, where the release trains it")
    return tuple(reasons)
