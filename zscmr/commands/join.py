"""Dataset directories of the same pictures, whose features several networks made -> one directory with the features of
all of them, side by side.

Labels, names, unseen classes, class vectors and class graph are those of the first directory. The result serves the
trainer and the tables; search takes the directory of one network.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zscmr.datasets.classes import UNSEEN, class_key, read_class_list
from zscmr.datasets.loader import load_dataset
from zscmr.formats import matfiles
from zscmr.formats.dataset_directory import (
    CLASS_GRAPH,
    CLASS_VECTORS,
    CLASSIFIER,
    FILES,
    MODALITIES,
    PAIRS,
    write_provenance,
)
from zscmr.utils.console import say
from zscmr.utils.errors import BadInput
from zscmr.utils.files import alone
from zscmr.utils.options import Options, setting

SHARED = (*(FILES[modality][part][0] for modality in MODALITIES for part in ("labels", "names")), PAIRS[0])
COPIED = (*SHARED, CLASS_VECTORS[0], CLASS_GRAPH[0], UNSEEN)


@dataclass(frozen=True)
class Settings(Options):
    data: tuple[Path, ...] = setting(help="two dataset directories or more", metavar="DIR")
    out: Path = setting(help="dataset directory to write to; it must be new or empty", metavar="DIR")


def main(settings):
    if len(settings.data) < 2:
        raise BadInput(f"--data: expected two dataset directories or more, received {len(settings.data)}")
    with alone("--out", settings.out):
        if settings.out.exists() and any(settings.out.iterdir()):
            raise BadInput(f"--out {settings.out}: holds files already; expected a new or empty folder")
        write_joined(settings.out, [load_dataset(folder, needs_vectors=False) for folder in settings.data])


def write_joined(out, datasets):
    """Write the files of a dataset directory with the features of all `datasets`, (n, F1 + F2 + …).

    Raises BadInput for datasets of other pictures, classes or unseen classes than the first.
    """
    first = datasets[0]
    for dataset in datasets[1:]:
        _check_same(first, dataset)
    out.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        if (first.directory / name).exists():
            shutil.copyfile(first.directory / name, out / name)
    for modality in MODALITIES:
        file, key = FILES[modality]["features"]
        vectors = np.concatenate([getattr(dataset, modality).features for dataset in datasets], axis=1)
        matfiles.write(out / file, {key: vectors, "classes": list(first.classes)})
        say(f"{modality}: {len(vectors):,} × {vectors.shape[1]}")
    kernels = [dataset.classifier for dataset in datasets]
    if all(kernel is not None and kernel.shape[1] == kernels[0].shape[1] for kernel in kernels):
        matfiles.write(out / CLASSIFIER[0], {CLASSIFIER[1]: np.concatenate(kernels)})
    write_provenance(out, _provenance(datasets))  # last: its presence marks the dataset as complete
    say(f"wrote the features of {len(datasets)} directories to {out}")


def _provenance(datasets):
    """Contents of pictures.json: what all share, every class that any network was trained on, and each network's."""
    records = [dataset.provenance for dataset in datasets]
    shared = {
        key: records[0][key] for key in ("photos", "sketches", "first", "pictures", "classes") if key in records[0]
    }
    trained_on = [name for record in records for name in record.get("trained_on", ())]
    parts = [{key: value for key, value in record.items() if key not in (*shared, "trained_on")} for record in records]
    backbones = " + ".join(record.get("backbone", "unknown") for record in records)
    return shared | {"backbone": backbones, "trained_on": list(dict.fromkeys(trained_on)), "joined": parts}


def _check_same(first, dataset):
    """Raise BadInput if the features of two datasets are not of the same pictures, row by row."""
    name = dataset.directory
    if list(map(class_key, dataset.classes)) != list(map(class_key, first.classes)):
        raise BadInput(f"{name}: has other classes than {first.directory}, or another order of them")
    for modality in MODALITIES:
        ours, theirs = getattr(first, modality), getattr(dataset, modality)
        if not np.array_equal(ours.labels, theirs.labels) or ours.names != theirs.names:
            raise BadInput(f"{name}: its {modality} rows are other pictures than those of {first.directory}")
    lists = [_unseen(folder) for folder in (first.directory, name)]
    if lists[0] != lists[1]:
        raise BadInput(f"{name / UNSEEN}: lists other classes than {first.directory / UNSEEN}")


def _unseen(folder):
    """Keys of the unseen classes of a dataset directory."""
    file = folder / UNSEEN
    return {class_key(name) for name in read_class_list(file, may_be_empty=True)} if file.exists() else set()
