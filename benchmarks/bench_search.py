"""Time of a search in an `Index` beside a float32 product with `argpartition`, in turns in one run.

The product and the partition are what any exact search has to do; they give no order, and rounding may exchange items.
Answers of the index are compared with a full sort. Random 64-d vectors, cosine, the ten nearest.
"""

import statistics
import time
from dataclasses import dataclass

import _project  # noqa: F401  the project's root on the path
import numpy as np

from zscmr import cli
from zscmr.console import say
from zscmr.evaluation.ranking import rank
from zscmr.options import Options, setting
from zscmr.retrieval import Index

DIM, TOP = 64, 10


@dataclass(frozen=True)
class Settings(Options):
    sizes: tuple[int, ...] = setting((10_000, 100_000, 1_000_000), "items in the gallery", metavar="N", least=TOP)
    queries: tuple[int, ...] = setting((1, 100), "queries at once", metavar="Q", least=1)
    turns: int = setting(15, "turns of each way; medians are printed", least=1)


def main(settings):
    for size in settings.sizes:
        random = np.random.default_rng(0)
        gallery = random.normal(size=(size, DIM)).astype(np.float32)
        unit = gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
        index = Index(gallery, "cosine")
        for count in settings.queries:
            queries = random.normal(size=(count, DIM)).astype(np.float32)
            own, other, ratio = compare(index, gallery, unit, queries, settings.turns)
            say(
                f"{size:>9,} items, {count:>3} queries: index {own:8.2f} ms, product {other:8.2f} ms, ratio {ratio:.2f}"
            )


def compare(index, gallery, unit, queries, turns):
    """(ms of the index, ms of product and partition, median of their ratios)."""
    found = index.search(queries, TOP)[0]
    assert (found[:1] == rank(queries[:1], gallery, "cosine")[:, :TOP]).all(), "not the nearest"
    times = []
    for _ in range(turns):
        start = time.perf_counter()
        index.search(queries, TOP)
        middle = time.perf_counter()
        np.argpartition(-(queries @ unit.T), TOP, axis=1)
        times.append((1e3 * (middle - start), 1e3 * (time.perf_counter() - middle)))
    own, other = (statistics.median(column) for column in zip(*times, strict=True))
    return own, other, statistics.median(a / b for a, b in times)


if __name__ == "__main__":
    cli.run(main, Settings, __doc__)
