"""Retrieval by the features of a trained head against that by the frozen pool it stands on, on unseen classes.

    python benchmarks/head_against_pool.py --photos DIR --sketches DIR --weights FILE --out DIR [--unseen FILE …]

Features are centred and scaled per modality on seen classes and compared by cosine, protocol `standard`.
"""

import dataclasses
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the project's modules lie one folder up
import knn_eval
import matfiles
import UxUyLoader as loader
from cli import run, say, setting
from pretrain import finetune, recipes
from Unified_XY_triads import scaled

SPLITS = Path(__file__).resolve().parents[1] / "data" / "splits"


@dataclass(frozen=True)
class Settings:
    photos: Path = setting(help="folder of photos", metavar="DIR")
    sketches: Path = setting(help="folder of sketches", metavar="DIR")
    weights: Path = setting(help="weights of the backbone", metavar="FILE")
    out: Path = setting(help="folder for the features", metavar="DIR")
    backbone: str = setting("squeezenet", "CNN", choices=tuple(recipes.BACKBONES))
    unseen: tuple[Path, ...] = setting(
        (SPLITS / "sketchy-25-sake.txt", SPLITS / "sketchy-25-released.txt"), "lists of unseen classes", metavar="FILE"
    )
    seeds: tuple[int, ...] = setting((0, 1, 2), "seeds of the head")


def main(settings):
    shared = {name: getattr(settings, name) for name in ("photos", "sketches", "weights", "backbone")}
    cache = settings.out / "backbone"
    rows = []
    for unseen in settings.unseen:
        frozen = finetune.Settings(**shared, unseen=unseen, freeze=True, out=settings.out / "frozen", overwrite=True)
        rows.append((unseen.stem, "pool, frozen", [scores(made(frozen, cache), unseen)]))
        start = time.perf_counter()
        found = []
        for seed in settings.seeds:
            folder = settings.out / f"{unseen.stem}-{seed}"
            head = finetune.Settings(**shared, unseen=unseen, train="head", seed=seed, out=folder, overwrite=True)
            found.append(scores(made(head, cache), unseen))
        each = (time.perf_counter() - start) / len(settings.seeds)
        rows.append((unseen.stem, f"head, trained in {each:.0f} s", found))
    say("| unseen list | features | " + " | ".join(knn_eval.DIRECTIONS) + " |")
    say("|---|---|" + "---|" * len(knn_eval.DIRECTIONS))
    for name, which, found in rows:
        means, spreads = np.mean(found, axis=0), np.std(found, axis=0, ddof=1) if len(found) > 1 else [None] * 4
        cells = [
            f"{mean:.3f}" + (f" ± {spread:.3f}" if spread is not None else "")
            for mean, spread in zip(means, spreads, strict=True)
        ]
        say(f"| {name} | {which} | " + " | ".join(cells) + " |")


def made(settings, cache):
    finetune.main(dataclasses.replace(settings, cache=cache))
    return settings.out


def scores(folder, unseen_file):
    """mAP@all of each direction, by the features in a dataset directory (which needs no class vectors here)."""
    photo_file, sketch_file = (folder / loader.FILES[modality]["labels"][0] for modality in ("photo", "sketch"))
    classes = matfiles.read_names(photo_file, "classes")
    split = loader.split_classes(classes, loader.read_class_list(unseen_file), unseen_file, held_out_share=0)
    vectors, labels = [], []
    for modality, file in (("photo", photo_file), ("sketch", sketch_file)):
        features = loader.read_features(folder / loader.FILES[modality]["features"][0])
        items = loader.Modality(features, matfiles.read(file, loader.FILES[modality]["labels"][1]).ravel(), ())
        rows = np.isin(items.labels, split.unseen)
        vectors.append(scaled(items, split.seen)[rows])
        labels.append(items.labels[rows])
    results = knn_eval.evaluate(*vectors, *labels, distance="cosine")["directions"]
    return [results[direction]["mAP@all"] for direction in knn_eval.DIRECTIONS]


if __name__ == "__main__":
    run(main, Settings, __doc__)
