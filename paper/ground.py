"""What numbers are measured on: a dataset and an unseen list, and how they differ from what the paper used.

Whether a number may stand beside a published one is derived here from what the dataset directory says of itself, never
asserted.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import runs
import Unified_XY_triads as trainer
import UxUyLoader as loader
from cli import BadInput
from pretrain import literature

PUBLISHED = runs.read_json(Path(__file__).with_name("published.json"))


@dataclass(frozen=True, eq=False)  # as a part of keys: the same ground is the same object
class Ground:
    """A dataset directory with one list of unseen classes."""

    dataset: loader.Dataset
    split: loader.Split  # none held out: that is each run's own matter
    unseen_file: Path | None  # as the trainer is given it
    list_name: str  # of the literature's list with these classes, else the file's
    folder: Path  # of the cells; its name holds a digest of features and split, so other data never mix with these
    differences: tuple[str, ...]  # from what the paper used; none: comparable
    leaked: str  # which unseen classes the CNNs were trained on; empty if none

    @property
    def name(self):
        return self.dataset.directory.resolve().name

    @property
    def backbone(self):
        made = self.dataset.made_with
        if "backbone" not in made:
            return "features of unknown origin"
        trained = {"nothing": "frozen", "head": "frozen, trained head", "last-block": "last block trained"}
        return f"{made['backbone']} ({trained.get(made.get('train'), 'trained')})"

    @property
    def pictures(self):
        """The dataset in words, whatever the unseen list."""
        photo, sketch = self.dataset.photo, self.dataset.sketch
        return (
            f"dataset {self.name} ({len(photo.labels):,} photos and {len(sketch.labels):,} sketches of "
            f"{len(self.dataset.classes)} classes), features {self.backbone}, {' and '.join(map(str, self.widths))}-d"
        )

    @property
    def unseen(self):
        """The unseen list in words."""
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


def survey(data, unseen_files, root):
    """The `Ground` of the dataset's unseen.txt, if it has one, and of each further list; lists alike count once.

    Raises BadInput for a dataset or list that cannot be used, before anything runs.
    """
    dataset = loader.load_dataset(data)
    own = data / "unseen.txt"
    files = ([None] if own.exists() or not unseen_files else []) + list(unseen_files)
    features = digest_features(dataset)
    found = {}
    for file in files:
        where = file or own
        listed = loader.read_class_list(where)
        split = loader.split_classes(dataset.classes, listed, where, held_out_share=0)
        name = literature.list_name(listed, where.stem)
        mark = hashlib.sha256(f"{features} {split.unseen.tolist()}".encode()).hexdigest()[:8]
        ground = Ground(
            dataset,
            split,
            file,
            name,
            root / f"{data.resolve().name}-{name}-{mark}",
            differences(dataset, split, name),
            trainer.leak(dataset, split),
        )
        found.setdefault(tuple(split.unseen.tolist()), ground)
    names = [ground.list_name for ground in found.values()]
    if len(set(names)) < len(names):
        raise BadInput(f"--unseen: two lists of different classes are both called {max(names, key=names.count)}")
    return list(found.values())


def digest_features(dataset):
    """Hexadecimal digest of everything of a dataset that all training depends on, and of what its tables say of it."""
    digest = hashlib.sha256()
    for array in (
        dataset.photo.features,
        dataset.photo.labels,
        dataset.sketch.features,
        dataset.sketch.labels,
        dataset.class_vectors,
        dataset.edges[:0],  # those of a graph are told apart by the cells that want one (`cells.Training.edges`)
    ):
        digest.update(f"{array.dtype} {array.shape}".encode())
        for start in range(0, len(array), 4096):  # a memory map is read in pieces
            digest.update(np.ascontiguousarray(array[start : start + 4096]).data)
    made = {key: dataset.made_with.get(key) for key in ("backbone", "train", "trained_on")}
    digest.update(json.dumps([dataset.classes, made]).encode())
    return digest.hexdigest()


def differences(dataset, split, unseen_list):
    """Sentences, each a reason why numbers of this dataset and split cannot stand beside the published ones."""
    known = literature.recognised(dataset.classes)
    if not known:
        return (f"another dataset than {' and '.join(PUBLISHED['datasets'])}",)
    facts, reasons = PUBLISHED["datasets"][known.name], []
    for what, ours, counts in (
        ("photos", len(dataset.photo.labels), known.photos),
        ("sketches", len(dataset.sketch.labels), known.sketches),
    ):
        if ours not in counts:
            reasons.append(f"{ours:,} {what}, where {known.name} has {next(iter(counts)):,}")
    for what in ("seen", "unseen"):
        if (ours := len(getattr(split, what))) != facts[what]:
            reasons.append(f"{ours} {what} classes, where the paper has {facts[what]}")
    if facts["implied_list"] not in (None, unseen_list):
        reasons.append(f"unseen list {unseen_list}, where the released code implies {facts['implied_list']}")
    backbone = dataset.made_with.get("backbone", "unknown")
    if backbone not in PUBLISHED["backbones"]:
        reasons.append(f"backbone {backbone}, where the release has {' or '.join(PUBLISHED['backbones'])}")
    elif dataset.made_with.get("train") == "nothing":
        reasons.append(f"{backbone} not trained on the dataset, where the release trains it")
    return tuple(reasons)
