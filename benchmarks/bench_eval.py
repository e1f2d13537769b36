"""Speed and memory of scoring, as ratios of ways measured in turns in one run.

    python benchmarks/bench_eval.py             the size of TU-Berlin's test set: 2,400 sketches, 27,989 photos, 64-d
    python benchmarks/bench_eval.py --quickdraw 92,291 sketches, 54,151 photos, 64-d: time and peak memory, no others

The embeddings are random points about class centres. `cdist + scikit-learn` is how most released code of the field
measures mAP; it scores the first 100 queries only, and is counted per query. Needs requirements-dev.txt.
"""

import importlib.util
import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package of this clone
import numpy as np

from zscmr.commands import evaluate as knn_eval
from zscmr.evaluation.distances import CORES
from zscmr.utils import cli
from zscmr.utils.console import say
from zscmr.utils.errors import BadInput
from zscmr.utils.options import Options, setting

DIM, CLASSES = 64, 30
FEW = 100  # queries scored by scikit-learn


@dataclass(frozen=True)
class Settings(Options):
    rounds: int = setting(5, "measurements of each way, in turns; medians are printed")
    quickdraw: bool = setting(False, "only score a synthetic QuickDraw, with progress, and print its peak memory")


def main(settings):
    if settings.quickdraw:
        measure_memory(*embeddings(92291, 54151))
        return
    if not importlib.util.find_spec("sklearn"):
        raise BadInput("scikit-learn is missing: python -m pip install -r requirements-dev.txt")
    arrays = sketches, photos, _, _ = embeddings(2400, 27989)
    ways = {
        "evaluate": (partial(evaluated, arrays), len(sketches)),
        "evaluate, re-ranked": (partial(evaluated, arrays, rerank=True), len(sketches)),
        "cdist + scikit-learn": (partial(by_scikit_learn, arrays), FEW),
        "float32 product + argsort": (partial(product_and_argsort, sketches, photos), len(sketches)),
    }
    seconds = {name: [] for name in ways}
    for _ in range(settings.rounds):
        for name, (way, count) in ways.items():
            start = time.perf_counter()
            way()
            seconds[name].append((time.perf_counter() - start) / count)
    own = median(seconds["evaluate"])
    say(f"2,400 sketches, 27,989 photos, 64-d, {CORES} cores, NumPy {np.__version__}, {settings.rounds} rounds")
    for name, times in seconds.items():
        say(f"  {name:28}{1000 * median(times):8.3f} ms a query   evaluate takes {own / median(times):.3f} of it")


def evaluated(arrays, rerank=False):
    """mAP@all by `evaluate`."""
    sketches, photos, sketch_labels, photo_labels = arrays
    results = knn_eval.evaluate(
        photos, sketches, photo_labels, sketch_labels, directions=("sketch->image",), rerank=rerank
    )
    return results["directions"]["sketch->image"]["mAP@all"]


def by_scikit_learn(arrays):
    """mAP@all of the first queries, as most released code measures it."""
    from scipy.spatial.distance import cdist
    from sklearn.metrics import average_precision_score

    sketches, photos, sketch_labels, photo_labels = arrays
    scores = -cdist(sketches[:FEW], photos)
    pairs = zip(scores, sketch_labels[:FEW], strict=True)
    return np.mean([average_precision_score(photo_labels == label, row) for row, label in pairs])


def product_and_argsort(sketches, photos):
    """The least that a full ranking takes."""
    with ThreadPoolExecutor(CORES) as pool:
        for start in range(0, len(sketches), 128):
            product = sketches[start : start + 128] @ photos.T
            list(pool.map(partial(np.argsort, axis=1), np.array_split(product, 32)))


def embeddings(queries, gallery):
    """(sketches, photos, their labels): float32 points about 30 class centres."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(CLASSES, DIM))
    labels = random.integers(0, CLASSES, queries), random.integers(0, CLASSES, gallery)
    points = [(centres[rows] + 2 * random.normal(size=(len(rows), DIM))).astype(np.float32) for rows in labels]
    return *points, *labels


def measure_memory(sketches, photos, sketch_labels, photo_labels):
    """Score with progress; print time and peak memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    results = knn_eval.evaluate(
        photos, sketches, photo_labels, sketch_labels, directions=("sketch->image",), progress=True
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    say(f"mAP@all {results['directions']['sketch->image']['mAP@all']:.3f} of {len(sketches)} x {len(photos)}")
    say(f"  {time.perf_counter() - start:.0f} s, {(peak - before) / 1e6:.2f} GB beyond the inputs")


if __name__ == "__main__":
    cli.run(main, Settings, __doc__)
