"""Pictures per second of the feature export beside those of the bare network, in turns in one run.

    python benchmarks/bench_export.py --photos DIR --sketches DIR [--backbone efficientnet_lite0] [--pictures 1280]

Bare: the network on decoded pictures in memory, compiled by TensorFlow, and as a LiteRT graph. Export: decoding, the
LiteRT graph, writing. Features of both engines are compared.
"""

import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package of this clone
import numpy as np

from zscmr.backbones import NAMES, backbone, networks
from zscmr.backbones import weights as weight_files
from zscmr.datasets import layouts, pictures
from zscmr.inference import outputs as feature_export
from zscmr.inference.export_graph import write_tflite
from zscmr.inference.graph import Graph
from zscmr.training.compiled import Compiled
from zscmr.utils import cli
from zscmr.utils.console import say
from zscmr.utils.options import Options, setting


@dataclass(frozen=True)
class Settings(Options):
    photos: Path = setting(help="folder of photos", metavar="DIR")
    sketches: Path = setting(help="folder of sketches", metavar="DIR")
    backbone: str = setting("efficientnet_lite0", f"CNN: {NAMES}", metavar="NAME")
    weights: Path | None = setting(None, "its weights (default: those of its package, else random)", metavar="FILE")
    pool: str = setting("average", "how maps become a vector", choices=("average", "flatten"))
    pictures: int = setting(1280, "pictures to export, of both modalities alike", least=1)
    batch_size: int = setting(64, "pictures per TensorFlow step", least=1)
    rounds: int = setting(5, "parts into which the pictures are cut; all rates are measured on each", least=1)


def main(settings):
    entry = backbone(settings.backbone)
    weights = weight_files.weight_file(entry, settings.weights)
    model = networks.pooled(networks.build(entry, weights), settings.pool, entry.special)
    paths = layouts.list_pictures(settings.photos, "photo").paths()
    paths += layouts.list_pictures(settings.sketches, "sketch").paths()
    paths = [paths[row] for row in np.linspace(0, len(paths) - 1, min(settings.pictures, len(paths))).astype(int)]
    with tempfile.TemporaryDirectory() as folder:
        write_tflite(model, Path(folder) / "network.tflite")
        compiled, graph = Compiled(model), Graph(Path(folder) / "network.tflite")
    batch = pictures.read_pictures(paths[: settings.batch_size], entry.preprocessing)[0]
    expected = compiled(batch)  # compiled and warm from here on
    error = np.linalg.norm(graph(batch) - expected, axis=1) / np.linalg.norm(expected, axis=1)
    say(f"{entry.name}: LiteRT's features differ from TensorFlow's by at most {error.max():.1e} of their length")
    rates = {"TensorFlow": [], "LiteRT": [], "export": []}
    for part in np.array_split(paths, settings.rounds):
        for name, network in (("TensorFlow", compiled), ("LiteRT", graph)):
            rates[name].append(rate(network, batch, len(part)))
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            reading = feature_export.Reading(entry.preprocessing, 16)
            feature_export.outputs(Path(folder) / "kept", None, lambda: graph, reading, list(part), "part")
        rates["export"].append(len(part) / (time.perf_counter() - start))
    for name, values in rates.items():
        ratio = statistics.median(a / b for a, b in zip(values, rates["TensorFlow"], strict=True))
        say(f"  {name:12}{statistics.median(values):8.1f} pictures per second, {ratio:.2f} of TensorFlow")
    ratio = statistics.median(a / b for a, b in zip(rates["export"], rates["LiteRT"], strict=True))
    say(f"  the export runs at {ratio:.2f} of bare LiteRT")


def rate(network, batch, least):
    """Pictures per second of `network` on one batch, given as often as `least` pictures need."""
    steps = -(-least // len(batch))
    start = time.perf_counter()
    for _ in range(steps):
        network(batch)
    return steps * len(batch) / (time.perf_counter() - start)


if __name__ == "__main__":
    cli.run(main, Settings, __doc__)
