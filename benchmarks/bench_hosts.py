"""Pictures a second that a Ray cluster of hosts embeds, beside one process on the same CPUs.

    python benchmarks/bench_hosts.py --photos DIR

Hosts are laid out on this machine (tests/helpers/hosts.py; as root, on Linux), a worker to a CPU. Photos and gallery
lie in folders that all reach, so that Ray is measured and not a storage. Rates are of what a larger folder takes beyond
a smaller one; the rest is the start. One process and one worker with all of Ray share CPU 0; of more workers, each has
CPU 0, 1, … for itself as far as there are so many, and Ray's own processes run on all of them.
"""

import os
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]  # the package of this clone, and the hosts of its tests

from helpers.hosts import Hosts, why_not
from helpers.ray_hosts import QUIET, WORKERS, RayHosts

from zscmr.datasets.listing import pictures_in
from zscmr.utils import cli
from zscmr.utils.console import say
from zscmr.utils.errors import BadInput
from zscmr.utils.options import Options, setting


@dataclass(frozen=True)
class Settings(Options):
    photos: Path = setting(help="folder of photos", metavar="DIR")
    few: int = setting(200, "photos of the smaller folder", least=1)
    many: int = setting(1200, "photos of the larger one", least=2)
    turns: int = setting(3, "turns of each, of which the median counts", least=1)


def main(settings):
    if reason := why_not():
        raise BadInput(reason)
    photos, cpus = pictures_in(settings.photos), sorted(os.sched_getaffinity(0))
    if len(photos) < settings.many or settings.few >= settings.many:
        raise BadInput(f"--many {settings.many}: more than --few, and no more than {len(photos)} photos, were expected")
    with tempfile.TemporaryDirectory() as folder:
        folders = [fill(Path(folder) / str(count), photos[:count]) for count in (settings.few, settings.many)]
        alone = measure(settings, folders, cpus, 0)
        say(f"one process: {alone[0]:.0f} pictures/s, {alone[1]:.0f} s to start")
        rates = {}
        for workers in range(1, len(WORKERS) + 1):
            rates[workers], start = measure(settings, folders, cpus, workers)
            note = f"efficiency {rates[workers] / (workers * rates[1]):.2f}"
            if workers == 1:
                note = f"{alone[0] / rates[1]:.2f} times the time of one process"
            say(f"workers: {workers}, {rates[workers]:.0f} pictures/s, {start:.0f} s to start; {note}")


def fill(folder, photos):
    """A folder of copies of the photos, under names of their own."""
    folder.mkdir()
    for number, photo in enumerate(photos):
        shutil.copy(photo, folder / f"{number:05}{photo.suffix}")
    return folder


def measure(settings, folders, cpus, workers):
    """(pictures a second, seconds to start) of so many workers; 0: of one process. Medians."""
    names = WORKERS[:workers]
    pin = {name: str(cpus[number % len(cpus)]) for number, name in enumerate(names)}
    pin["head"] = ",".join(map(str, cpus[: max(1, workers)]))
    with Hosts("head", *names) as hosts:
        if workers:
            RayHosts(hosts, names, pin)
        seconds = [
            [embed(hosts["head"], folder, pin["head"], workers) for folder in folders] for _ in range(settings.turns)
        ]
    few, many = (statistics.median(column) for column in zip(*seconds, strict=True))
    rate = (settings.many - settings.few) / (many - few)
    return rate, few - settings.few / rate


def embed(head, folder, cpus, workers):
    """Seconds to embed a folder into a new gallery."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as gallery:
        words = ["--gallery", f"{gallery}/gallery", "--windows", 0, "--add", folder]
        words += ["--ray", "head:6379"] if workers else []
        began = time.perf_counter()
        head.run("taskset", "-c", cpus, sys.executable, ROOT / "search.py", *words, seconds=600, **QUIET)
        return time.perf_counter() - began


if __name__ == "__main__":
    cli.run(main, Settings, __doc__)
