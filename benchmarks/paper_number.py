"""How much of ZSCMR's number each of its release's choices gives, one at a time: CNNs, cut, measure, dimensions.

    python benchmarks/paper_number.py --photos photo --sketches sketch --vectors FILE --out DIR

Train a CNN per modality on the seen classes, another pair on all classes, then presets `paper` and `released` on their
features in 64 and 300 dimensions, and print sketch→image of the unseen classes as a table, which DIR/table.md keeps.
What is finished is kept in DIR; stopped at any moment, the same command goes on.
"""

import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package of this clone

import numpy as np

from zscmr.commands.tables import train_run
from zscmr.datasets import loader
from zscmr.datasets.word_vectors import WordVectorOptions, join_vectors
from zscmr.evaluation.protocols import KNNCODE_DEPTHS
from zscmr.evaluation.scoring import evaluate
from zscmr.paper import ground
from zscmr.paper.baselines import scaled_features
from zscmr.paper.cells import Measurement, Method, Training
from zscmr.paper.worker import Worker
from zscmr.training.stage1.dataset import make_dataset
from zscmr.training.stage1.options import Stage1Options
from zscmr.utils import cli
from zscmr.utils.console import say
from zscmr.utils.files import lock, whole_file
from zscmr.utils.options import Options, setting

CUT_SHARE = 505 / 629  # sketches of the last seen class (snake) that the release's row count puts into its test part
PRESETS = ("paper", "released")
DIMS = (64, 300)  # the paper's table, the released code
DIRECTION = "sketch->image"
MEASURES = {"mAP@all": "mAP@all", "knncode-mAP": "KNNcode", "P@100": "P@100"}  # by name: head of the column


@dataclass(frozen=True)
class Settings(Options):
    photos: Path = setting(help="folder of class folders of photos", metavar="DIR")
    sketches: Path = setting(help="folder of class folders of sketches", metavar="DIR")
    vectors: Path = setting(help="file of word vectors", metavar="FILE")
    out: Path = setting(help="folder of features, runs and table", metavar="DIR")
    kind: tuple[str, ...] = setting(("word2vec-google-news",), "kinds of a .npz file", None, "NAME")
    unseen: Path = setting(Path("sketchy-25-released"), "list of unseen classes", metavar="FILE")
    backbone: str = setting("efficientnet_lite0", "CNN of both modalities", metavar="NAME")
    size: int = setting(128, "side of the pictures in pixels", least=16)
    cnn_epochs: int = setting(25, "most epochs of a CNN", least=1)
    patience: int = setting(8, "epochs without a better held-out accuracy after which a CNN's training ends", least=1)
    cnn_rate: float = setting(3e-4, "peak of a CNN's learning rate", above=0)
    first: int | None = setting(None, "pictures of each class and modality", metavar="N", least=1)
    epochs: int | None = setting(None, "epochs of stage II (default: the preset's)", least=1)
    seeds: int = setting(3, "runs of each row", least=1)


@dataclass(frozen=True)
class Numbers:
    """Means over the seeds, by name of `MEASURES`; `deviation`: of mAP@all, 0 for a single number."""

    means: dict
    deviation: float = 0.0

    def cut(self, share):
        """With `share` times as many queries more, none of which has a relevant photo: each counts 0."""
        return Numbers({name: value / (1 + share) for name, value in self.means.items()}, self.deviation / (1 + share))


def main(settings):
    with lock(settings.out / ".lock", f"--out {settings.out}: another paper_number.py is at work there"):
        datasets = {trained: features(settings, trained) for trained in ("seen", "all")}
        rows = measure(settings, datasets)
        text = table(rows, *ceilings(datasets["seen"]))
        with whole_file(settings.out / "table.md") as part:
            part.write_text(text, encoding="utf-8")
    say(text)


def features(settings, trained):
    """The `Ground` of features by CNNs that learned the "seen" classes or "all"."""
    folder = settings.out / trained
    chosen = {name: getattr(settings, name) for name in ("photos", "sketches", "unseen", "backbone", "size", "first")}
    training = {"epochs": settings.cnn_epochs, "patience": settings.patience, "learning_rate": settings.cnn_rate}
    make_dataset(Stage1Options(out=folder, leak_unseen=trained == "all", **chosen, **training))
    join_vectors(WordVectorOptions(data=folder, vectors=(settings.vectors,), kind=settings.kind))
    return ground.survey(loader.load_dataset(folder), (), settings.out / "runs")[0]


def measure(settings, datasets):
    """{row: {preset: `Numbers`}}; the features alone are rows of one column."""
    share = cut_share(datasets["seen"])
    rows = {}
    with Worker(train_run, 1e8) as worker:

        def scores(preset, trained, dim):
            changes = (("dim", dim), *((("epochs", settings.epochs),) if settings.epochs else ()))
            runs = [Training(datasets[trained], Method("zscmr", preset, changes), s) for s in range(settings.seeds)]
            return numbers_of(runs, worker)

        for row, trained, dim, is_cut in (
            ("base", "seen", DIMS[0], False),
            ("CNNs of all classes", "all", DIMS[0], False),
            ("cut inside a class", "seen", DIMS[0], True),
            (f"{DIMS[1]}-d", "seen", DIMS[1], False),
            ("all three", "all", DIMS[1], True),
        ):
            results = {preset: scores(preset, trained, dim) for preset in PRESETS}
            rows[row] = {preset: each.cut(share) if is_cut else each for preset, each in results.items()}
    for trained, each in datasets.items():
        rows[f"features alone, CNNs of {'the seen' if trained == 'seen' else 'all'} classes"] = {"": alone(each)}
    return rows


def numbers_of(runs, worker):
    """`Numbers` of the runs of one row, made where they are missing."""
    results = []
    for run in runs:
        say(run.title)
        values = {}
        for cell in (run, Measurement(run, "knncode")):
            content = cell.stored() or cell.make(worker)
            values |= content["directions"][DIRECTION]
        results.append(values)
    means = {name: statistics.mean(values[name] for values in results) for name in MEASURES}
    spread = statistics.stdev(values["mAP@all"] for values in results) if len(results) > 1 else 0.0
    return Numbers(means, spread)


def alone(of_ground):
    """`Numbers` of the features, centred, scaled and of length 1."""
    dataset, split = of_ground.dataset, of_ground.split
    vectors, labels = [], []
    for items in (dataset.photo, dataset.sketch):
        rows = np.isin(items.labels, split.unseen)
        vectors.append(scaled_features(items, split.seen)[rows])
        labels.append(items.labels[rows])
    means = {}
    for options in ({"distance": "cosine"}, {"protocol": "knncode"}):
        means |= evaluate(*vectors, *labels, directions=(DIRECTION,), **options)["directions"][DIRECTION]
    return Numbers(means)


def cut_share(of_ground):
    """Queries of the last seen class that join, in times of the unseen ones."""
    labels, split = of_ground.dataset.sketch.labels, of_ground.split
    joining = round(CUT_SHARE * int((labels == split.seen[-1]).sum()))
    return joining / int(np.isin(labels, split.unseen).sum())


def ceilings(of_ground):
    """(`Numbers` of a perfect ranking, of a random one)."""
    labels, unseen = of_ground.dataset.photo.labels, of_ground.split.unseen
    relevant = np.array([(labels == label).sum() for label in unseen])
    gallery = relevant.sum()

    def precision(depth):
        return float(np.mean(np.minimum(relevant, depth) / min(depth, gallery)))

    perfect = {"mAP@all": 1.0, "knncode-mAP": statistics.mean(map(precision, KNNCODE_DEPTHS)), "P@100": precision(100)}
    return Numbers(perfect), Numbers(dict.fromkeys(MEASURES, float(np.mean(relevant / gallery))))


def table(rows, perfect, chance):
    """The rows as Markdown: measures of each preset, and the gain in mAP@all over the first row."""
    heads = [f"`{preset}` {head}" for preset in PRESETS for head in (*MEASURES.values(), "gain")]
    lines = [["", *heads], ["---"] * (1 + len(heads))]
    base = next(iter(rows.values()))
    for row, columns in {**rows, "perfect ranking": {"": perfect}, "chance": {"": chance}}.items():
        cells = []
        for preset in PRESETS:
            numbers = columns.get(preset, columns.get(""))
            means = [f"{numbers.means[name]:.3f}" for name in MEASURES]
            if numbers.deviation:
                means[0] += f" ± {numbers.deviation:.3f}"
            gain = numbers.means["mAP@all"] - base[preset].means["mAP@all"]
            cells += [*means, f"{gain:+.3f}" if preset in columns else ""]
        lines.append([row, *cells])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


if __name__ == "__main__":
    cli.run(main, Settings, __doc__)
