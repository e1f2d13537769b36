"""Encoders side by side in one run: pictures per second, milliseconds a query, megabytes.

    python benchmarks/bench_encoder.py --photos DIR --sketches DIR --encoders ENCODER [ENCODER ...]

An ENCODER is the name of one that comes with the project or a folder of exported graphs; the first is compared with
each of the others. They take turns, and medians are printed. `--engines litert openvino` runs each by both. Photos
are embedded whole, without windows (bench_windows.py measures those). `git show REVISION:PATH > FILE` brings back the
files of a former encoder.
"""

import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package of this clone

from zscmr import Encoder
from zscmr.datasets.listing import pictures_in
from zscmr.inference.engines import LITERT, NAMES
from zscmr.retrieval.encoder import DEFAULT
from zscmr.utils import cli
from zscmr.utils.console import say
from zscmr.utils.errors import BadInput
from zscmr.utils.options import Options, setting


@dataclass(frozen=True)
class Settings(Options):
    photos: Path = setting(help="folder of photos", metavar="DIR")
    sketches: Path = setting(help="folder of drawings", metavar="DIR")
    encoders: tuple[str, ...] = setting((DEFAULT,), "names or folders of encoders", metavar="ENCODER")
    engines: tuple[str, ...] = setting((LITERT,), f"libraries that run them: {', '.join(NAMES)}", metavar="ENGINE")
    first: int = setting(64, "pictures of each folder", least=1)
    turns: int = setting(7, "turns of each encoder", least=1)


def main(settings):
    photos, sketches = (pictures_in(folder)[: settings.first] for folder in (settings.photos, settings.sketches))
    if not photos or not sketches:
        raise BadInput("--photos, --sketches: no pictures")
    encoders = {
        source if engine == LITERT else f"{source} ({engine})": Encoder.load(source, engine)
        for source in settings.encoders
        for engine in settings.engines
    }
    seconds = {name: {"photo": [], "sketch": []} for name in encoders}
    for _ in range(settings.turns):
        for name, encoder in encoders.items():
            seconds[name]["photo"].append(timed(encoder, photos, "photo") / len(photos))
            seconds[name]["sketch"] += [timed(encoder, [sketch], "sketch") for sketch in sketches]
    medians = {name: {kind: statistics.median(all_) for kind, all_ in kinds.items()} for name, kinds in seconds.items()}
    for name, encoder in encoders.items():
        megabytes = sum(file.stat().st_size for file in encoder.folder.iterdir()) / 1e6
        rate, query = 1 / medians[name]["photo"], 1000 * medians[name]["sketch"]
        say(f"{name}: {rate:.1f} photos/s, {query:.1f} ms a query, {megabytes:.1f} MB")
    first, *others = encoders
    for other in others:
        photo, sketch = (medians[first][kind] / medians[other][kind] for kind in ("photo", "sketch"))
        say(f"{first} against {other}: {photo:.2f} × the time of a photo, {sketch:.2f} × that of a query")


def timed(encoder, pictures, kind):
    """Seconds to decode and embed pictures."""
    start = time.perf_counter()
    encoder.embed(pictures, kind=kind)
    return time.perf_counter() - start


if __name__ == "__main__":
    cli.run(main, Settings, __doc__)
