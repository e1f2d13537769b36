"""Retrieval of unseen classes by the features of a trained head against the frozen pool it stands on, as they are and
after stage II.

    python benchmarks/head_against_pool.py --photos DIR --sketches DIR --weights FILE --vectors FILE --out DIR
"""

import time
from dataclasses import dataclass
from pathlib import Path

import _project  # noqa: F401  the project's root on the path
import numpy as np

import Unified_XY_triads as trainer
from zscmr import cli, runs
from zscmr.backbones import BACKBONES
from zscmr.console import say
from zscmr.evaluation.embeddings import DIRECTIONS
from zscmr.literature import SPLITS
from zscmr.options import Options, setting
from zscmr.training.stage1 import make_dataset
from zscmr.training.stage1_options import Stage1Options
from zscmr.word_vectors import WordVectorOptions, join_vectors


@dataclass(frozen=True)
class Settings(Options):
    photos: Path = setting(help="folder of photos", metavar="DIR")
    sketches: Path = setting(help="folder of sketches", metavar="DIR")
    weights: Path = setting(help="weights of the backbone", metavar="FILE")
    vectors: Path = setting(help="class vectors for stage II", metavar="FILE")
    out: Path = setting(help="folder for features and runs", metavar="DIR")
    backbone: str = setting("squeezenet", "CNN", choices=BACKBONES)
    unseen: tuple[Path, ...] = setting(
        tuple(SPLITS / f"sketchy-25-{name}.txt" for name in ("sake", "released")),
        "lists of unseen classes",
        metavar="FILE",
    )
    seeds: tuple[int, ...] = setting((0, 1, 2), "seeds of head and stage II")


def main(settings):
    lines = []
    for unseen in settings.unseen:
        for which in ("frozen pool", "trained head"):
            results, seconds = zip(*(measured(settings, unseen, which, seed) for seed in settings.seeds), strict=True)
            say(f"{unseen.stem}, {which}: stage I took {np.mean(seconds):.1f} s with the backbone's output at hand")
            for space in results[0]:
                scores = [[found[space]["directions"][d]["mAP@all"] for d in DIRECTIONS] for found in results]
                means, spreads = np.mean(scores, axis=0), np.std(scores, axis=0, ddof=1 if len(scores) > 1 else 0)
                cells = [f"{mean:.3f} ± {spread:.3f}" for mean, spread in zip(means, spreads, strict=True)]
                lines.append(f"| {unseen.stem} | {which} | {space} | {' | '.join(cells)} |")
    say("| unseen list | stage I | space | " + " | ".join(DIRECTIONS) + " |")
    say("|---|---|---|" + "---|" * len(DIRECTIONS))
    say("\n".join(lines))


def measured(settings, unseen, which, seed):
    """(contents of results.json, seconds of stage I) of one list, kind of features and seed."""
    folder = settings.out / f"{unseen.stem}-{which.replace(' ', '-')}-{seed}"
    part = {"freeze": True} if which == "frozen pool" else {"train": "head", "seed": seed}
    start = time.perf_counter()
    make_dataset(
        Stage1Options(
            photos=settings.photos,
            sketches=settings.sketches,
            weights=settings.weights,
            backbone=settings.backbone,
            unseen=unseen,
            out=folder,
            cache=settings.out / "backbone",
            **part,
        )
    )
    seconds = time.perf_counter() - start
    join_vectors(WordVectorOptions(data=folder, vectors=(settings.vectors,)))
    trainer.main(trainer.Settings(data=folder, path=folder / "run", seed=seed, overwrite=True))
    return runs.read_results(folder / "run"), seconds


if __name__ == "__main__":
    cli.run(main, Settings, __doc__)
