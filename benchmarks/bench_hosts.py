"""Pictures a second that a Ray cluster of hosts embeds, beside one process on the same CPU.

    python benchmarks/bench_hosts.py --photos DIR

Hosts are laid out on this machine (tests/helpers/hosts.py; as root, on Linux). Photos and gallery lie in folders that
all reach, so that Ray is measured and not a storage. One process runs on the first CPU; so does one worker, together
with the head and the command. A second worker has the second CPU; head and command then run on both. The start and the
end are left out: rates are of the pictures between the third shard and the last but two.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]  # the package of this clone, and the hosts of its tests

from helpers.hosts import Hosts, why_not
from helpers.ray_hosts import QUIET, RayHosts

from zscmr.datasets.listing import pictures_in
from zscmr.retrieval import Searcher
from zscmr.retrieval.cluster import Cluster, PackedEncoder
from zscmr.retrieval.encoder import SHIPPED
from zscmr.utils import cli
from zscmr.utils.console import say
from zscmr.utils.errors import BadInput
from zscmr.utils.options import Options, setting

SHARD, EDGE = 64, 3  # pictures; shards at either end that are left out
WORKERS = "first", "second"


@dataclass(frozen=True)
class Settings(Options):
    photos: Path = setting(help="folder of photos, which are copied as often as it takes", metavar="DIR")
    pictures: int = setting(1920, "pictures that are embedded per worker", least=10 * SHARD)


def main(settings):
    if reason := why_not():
        raise BadInput(reason)
    photos, cpus = pictures_in(settings.photos), sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        raise BadInput("a second CPU was expected, received one")
    with tempfile.TemporaryDirectory() as folder:
        folders = [copies(photos, Path(folder) / str(many), many * settings.pictures) for many in (1, 2)]
        alone = measured(folders[0], cpus[:1], workers=0)
        say(f"one process: {alone:.1f} pictures/s")
        one = measured(folders[0], cpus[:1], workers=1)
        say(f"1 worker: {one:.1f} pictures/s, {alone / one:.2f} times the time of one process")
        two = measured(folders[1], cpus[:2], workers=2)
        say(f"2 workers: {two:.1f} pictures/s, efficiency {two / one / 2:.2f}")


def copies(photos, folder, count):
    """A folder of so many pictures: each photo copied once, its copy linked under further names."""
    folder.mkdir()
    for number in range(count):
        photo = photos[number % len(photos)]
        name = folder / f"{number:06}{photo.suffix}"
        if number < len(photos):
            shutil.copy(photo, name)
        else:
            os.link(folder / f"{number % len(photos):06}{photo.suffix}", name)
    return folder


def measured(folder, cpus, workers):
    """Pictures a second of so many workers of a cluster, a CPU each; 0: of one process."""
    names = WORKERS[:workers]
    with Hosts("head", *names) as hosts, pinned(cpus):
        if workers:
            cluster = RayHosts(hosts, workers=())
            for name, cpu in zip(names, cpus, strict=True):
                with pinned([cpu]):
                    cluster.start_worker(name)
        out, _ = hosts["head"].python(__file__, "embed", folder, workers, seconds=300, **QUIET)
        return rate(json.loads(out))


@contextmanager
def pinned(cpus):
    """Run what is started in the block on these CPUs."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def rate(stamps):
    """Pictures a second by [(seconds, pictures done)], of which those at whole shards count."""
    marks = [(seconds, done) for seconds, done in stamps if done % SHARD == 0][EDGE - 1 : -EDGE]
    return (marks[-1][1] - marks[0][1]) / (marks[-1][0] - marks[0][0])


def embed(folder, workers):
    """Embed a folder into a new gallery; print [[seconds, pictures done]]."""
    stamps = []
    cluster = Cluster("head:6379", PackedEncoder(SHIPPED, "photo"), shard=SHARD) if int(workers) else None
    with tempfile.TemporaryDirectory(dir=Path(folder).parent) as gallery:
        searcher = Searcher.shipped(gallery, True, windows="0")

        def progress(done, _):
            stamps.append((time.perf_counter(), done))

        searcher.table.update("photo", folder, searcher.encoder("photo"), progress, cluster)
    print(json.dumps(stamps))


if __name__ == "__main__":
    embed(*sys.argv[2:]) if sys.argv[1:2] == ["embed"] else cli.run(main, Settings, __doc__)
