"""Rate of the feature export (decoding, backbone, writing) against that of the bare backbone on decoded pictures that
already lie in memory, alternating in one run. Bar: at least 0.85 for SqueezeNet.

    python benchmarks/bench_export.py --photos DIR --sketches DIR [--backbone squeezenet] [--pictures 6250]
"""

import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import _project  # noqa: F401  the project's root on the path
import numpy as np

from zscmr import cli, layouts, pictures
from zscmr.backbones import BACKBONES, backbone
from zscmr.backbones import weights as weight_files
from zscmr.console import say
from zscmr.options import Options, setting


@dataclass(frozen=True)
class Settings(Options):
    photos: Path = setting(help="folder of photos", metavar="DIR")
    sketches: Path = setting(help="folder of sketches", metavar="DIR")
    backbone: str = setting("squeezenet", "CNN", choices=BACKBONES)
    weights: Path | None = setting(None, "its weights (default: random)", metavar="FILE")
    pool: str = setting("average", "how maps become a vector", choices=("average", "flatten"))
    pictures: int = setting(6250, "pictures to export, of both modalities alike")
    batch_size: int = setting(64, "pictures per step")
    rounds: int = setting(5, "parts into which the pictures are cut; both rates are measured on each")


def main(settings):
    from zscmr import feature_export
    from zscmr.backbones import networks

    size = backbone(settings.backbone).size
    weights = weight_files.resolve(settings.backbone, settings.weights)
    model = networks.pooled(networks.build(settings.backbone, weights), settings.pool)
    paths = layouts.list_pictures(settings.photos, "photo").paths()
    paths += layouts.list_pictures(settings.sketches, "sketch").paths()
    paths = [paths[row] for row in np.linspace(0, len(paths) - 1, min(settings.pictures, len(paths))).astype(int)]
    bare = network = feature_export.Compiled(model)
    shown = pictures.read_pictures(paths[: settings.batch_size], size)[0]
    bare(shown)  # traced and warm

    rates = {"bare": [], "export": []}
    for number, part in enumerate(np.array_split(paths, settings.rounds)):
        order = ("bare", "export") if number % 2 else ("export", "bare")
        for which in order:
            start = time.perf_counter()
            if which == "bare":
                for _ in range(0, len(part), settings.batch_size):
                    bare(shown)
                count = -(-len(part) // settings.batch_size) * settings.batch_size
            else:
                with tempfile.TemporaryDirectory() as folder:
                    feature_export.outputs(
                        Path(folder) / "x", None, lambda: network, size, list(part), settings.batch_size, "part"
                    )
                count = len(part)
            rates[which].append(count / (time.perf_counter() - start))
        say(
            f"part {number + 1}/{settings.rounds}: bare {rates['bare'][-1]:.1f}, export {rates['export'][-1]:.1f} per s"
        )
    ratio = statistics.median(e / b for e, b in zip(rates["export"], rates["bare"], strict=True))
    say(
        f"{settings.backbone}, {len(paths)} pictures: bare {statistics.median(rates['bare']):.1f}, "
        f"export {statistics.median(rates['export']):.1f} pictures per second; ratio {ratio:.3f}"
    )


if __name__ == "__main__":
    cli.run(main, Settings, __doc__)
