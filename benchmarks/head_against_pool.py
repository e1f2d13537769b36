"""Retrieval of unseen classes by the features of a trained head against the frozen pool it stands on, as they are and
after stage II.

    python benchmarks/head_against_pool.py --photos DIR --sketches DIR --weights FILE --vectors FILE --out DIR
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the project's modules lie one folder up
import knn_eval
import runs
import Unified_XY_triads as trainer
from cli import run, say, setting
from pretrain import finetune, recipes, word_vectors
from pretrain.literature import SPLITS


@dataclass(frozen=True)
class Settings:
    photos: Path = setting(help="folder of photos", metavar="DIR")
    sketches: Path = setting(help="folder of sketches", metavar="DIR")
    weights: Path = setting(help="weights of the backbone", metavar="FILE")
    vectors: Path = setting(help="class vectors for stage II", metavar="FILE")
    out: Path = setting(help="folder for features and runs", metavar="DIR")
    backbone: str = setting("squeezenet", "CNN", choices=tuple(recipes.BACKBONES))
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
                scores = [[found[space]["directions"][d]["mAP@all"] for d in knn_eval.DIRECTIONS] for found in results]
                means, spreads = np.mean(scores, axis=0), np.std(scores, axis=0, ddof=1 if len(scores) > 1 else 0)
                cells = [f"{mean:.3f} ± {spread:.3f}" for mean, spread in zip(means, spreads, strict=True)]
                lines.append(f"| {unseen.stem} | {which} | {space} | {' | '.join(cells)} |")
    say("| unseen list | stage I | space | " + " | ".join(knn_eval.DIRECTIONS) + " |")
    say("|---|---|---|" + "---|" * len(knn_eval.DIRECTIONS))
    say("\n".join(lines))


def measured(settings, unseen, which, seed):
    """(contents of results.json, seconds of stage I) of one list, kind of features and seed."""
    folder = settings.out / f"{unseen.stem}-{which.replace(' ', '-')}-{seed}"
    part = {"freeze": True} if which == "frozen pool" else {"train": "head", "seed": seed}
    start = time.perf_counter()
    finetune.main(
        finetune.Settings(
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
    word_vectors.main(word_vectors.Settings(data=folder, vectors=(settings.vectors,)))
    trainer.main(trainer.Settings(data=folder, path=folder / "run", seed=seed, overwrite=True))
    return runs.read_results(folder / "run"), seconds


if __name__ == "__main__":
    run(main, Settings, __doc__)
