"""Time of embedding photos without windows and with each mode of them, side by side in one run, and of a query.

    python benchmarks/bench_windows.py --encoder DIR --photos DIR [--pictures 16]

Decoding is included, opening a graph is not. Times are wall-clock and processor time, the lowest decile of the rounds:
other programs lengthen the rest. Ratios are to embedding without windows. The query is compared in memory with
--gallery random pictures.
"""

import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package of this clone
import numpy as np

from zscmr.datasets.listing import pictures_in
from zscmr.evaluation.nearest import Index, WindowIndex
from zscmr.inference.windows import MODES, NONE
from zscmr.retrieval import Encoder
from zscmr.retrieval.encoder import windows_of
from zscmr.utils import cli
from zscmr.utils.console import say
from zscmr.utils.errors import BadInput
from zscmr.utils.options import Options, setting


@dataclass(frozen=True)
class Settings(Options):
    encoder: Path = setting(help="run directory, or folder of an exported encoder with windows", metavar="DIR")
    photos: Path = setting(help="folder of photos", metavar="DIR")
    pictures: int = setting(16, "photos to embed", least=2)
    rounds: int = setting(30, "times that each mode embeds them, in turns", least=1)
    gallery: int = setting(3125, "pictures that a query is compared with", least=1)


def main(settings):
    encoder = Encoder.load(settings.encoder)
    paths = [str(path) for path in pictures_in(settings.photos)]
    if not paths:
        raise BadInput(f"--photos {settings.photos}: no pictures in this folder")
    paths = [paths[row] for row in np.linspace(0, len(paths) - 1, min(settings.pictures, len(paths))).astype(int)]
    modes = {mode: windows_of(encoder.folder, mode) for mode in MODES}
    times = {mode: [] for mode in modes}
    photos = {mode: Encoder.load(settings.encoder).of_kind("photo") for mode in modes}  # each keeps one graph open
    for mode, windows in modes.items():
        embed(photos[mode], paths[:2], windows)  # opens it
    for _ in range(settings.rounds):
        for mode, windows in modes.items():
            times[mode].append(embed(photos[mode], paths, windows) / len(paths))
    fastest = {mode: np.quantile(measured, 0.1, axis=0) * 1e3 for mode, measured in times.items()}
    for mode, (clock, processor) in fastest.items():
        by_clock, by_processor = fastest[mode] / fastest[NONE]
        rows = 1 + modes[mode].count if modes[mode] else 1
        say(
            f"  --windows {mode:9} {rows:3} vectors, {clock:6.1f} ms a photo ({by_clock:.2f}), "
            f"{processor:6.1f} ms of the processor ({by_processor:.2f})"
        )
        say(f"    {query(rows, settings.gallery, encoder.dim):.1f} ms a query among {settings.gallery:,} photos")


def embed(encoder, paths, windows):
    """Seconds (clock, processor) of embedding files."""
    began = np.array([time.perf_counter(), time.process_time()])
    encoder.embed_windows(paths, windows) if windows else encoder.embed(paths)
    return np.array([time.perf_counter(), time.process_time()]) - began


def query(rows, count, dim, repeats=20):
    """Milliseconds of one query of the ten nearest among `count` pictures of `rows` random vectors each."""
    random = np.random.default_rng(0)
    vectors = random.normal(size=(count, dim)).astype(np.float32)
    index = Index(vectors)
    if rows > 1:
        windows = random.normal(size=(count * (rows - 1), dim)).astype(np.float16)
        index = WindowIndex(vectors, windows, np.full(count, rows - 1), 0.1)
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        index.search(vectors[:1], 10)
        times.append(time.perf_counter() - began)
    return statistics.median(times) * 1e3


if __name__ == "__main__":
    cli.run(main, Settings, __doc__)
