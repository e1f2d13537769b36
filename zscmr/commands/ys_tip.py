"""PCMSN by the command of its release: train on data/sketchy or data/tuberlin with the published settings.

python ys_tip.py --dataset Sketchy            as Unified_XY_triads.py --model pcmsn --preset sketchy
python ys_tip.py --dataset TU-Berlin --test   scores the newest such run, or that in --path, as knn_eval.py does
"""

from dataclasses import dataclass
from pathlib import Path

from zscmr.commands import evaluate, train
from zscmr.formats import runs
from zscmr.formats.dataset_directory import CLASS_VECTORS, FILES
from zscmr.utils.console import say
from zscmr.utils.errors import BadInput
from zscmr.utils.options import Options, command, setting

PRESETS = {"Sketchy": "sketchy", "TU-Berlin": "tuberlin"}  # also the dataset directory under data/
UNSEEN = {"Sketchy": "sketchy-25-sempcyc", "TU-Berlin": "tuberlin-30-sake"}


@dataclass(frozen=True)
class Settings(Options):
    dataset: str = setting(help="what to train on or to score", choices=tuple(PRESETS))
    test: bool = setting(False, "score a finished run, train nothing")
    path: Path | None = setting(
        None, "run directory; left out: a new one under runs/, with --test the newest of the dataset", metavar="DIR"
    )
    epochs: int | None = setting(None, "epochs of 100 steps (left out: the published 30)")
    seed: int = setting(0, "seed of initial weights, held-out classes, batches and noise")


def main(settings):
    folder = Path("data") / PRESETS[settings.dataset]
    if settings.test:
        run = settings.path or newest_run(settings.dataset, folder)
        evaluate.main(evaluate.Settings(features=run / runs.EMBEDDINGS))
        return
    check_dataset(settings.dataset, folder)
    options = train.Settings(
        data=folder,
        model="pcmsn",
        preset=PRESETS[settings.dataset],
        path=settings.path,
        epochs=settings.epochs,
        seed=settings.seed,
    )
    say(f"$ {command('Unified_XY_triads.py', options)}")
    train.main(options)


def check_dataset(dataset, folder):
    """Raise BadInput, which names the command to run, where a file of the dataset directory is missing."""
    photos, _ = FILES["photo"]["features"]
    vectors, _ = CLASS_VECTORS
    if not (folder / photos).exists():
        raise BadInput(
            f"{folder / photos}: no such file; python pretrain/finetune.py --photos DIR --sketches DIR --unseen "
            f"data/splits/{UNSEEN[dataset]}.txt --backbone vgg16 --weights imagenet --train head --dense 512 "
            f"--out {folder} makes it (data/README.md)"
        )
    if not (folder / vectors).exists():
        raise BadInput(
            f"{folder / vectors}: no such file; python pretrain/word_vectors.py --data {folder} --vectors FILE.npz "
            "--kind word2vec-google-news hieremb-jcn makes it (data/README.md)"
        )


def newest_run(dataset, folder):
    """The complete run of PCMSN on the dataset that was started last under runs/."""
    for config in sorted(runs.ROOT.glob(f"*/{runs.CONFIG}"), key=lambda file: file.stat().st_mtime, reverse=True):
        stored = runs.Run(config.parent).config()["settings"]
        expected = {"model": "pcmsn", "preset": PRESETS[dataset], "data": str(folder)}
        same = all(stored.get(name) == value for name, value in expected.items())
        if same and runs.Run(config.parent).results():
            return config.parent
    raise BadInput(f"{runs.ROOT}: no complete run of pcmsn on {folder}; python ys_tip.py --dataset {dataset} makes one")
