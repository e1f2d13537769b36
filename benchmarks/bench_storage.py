"""A gallery's table on object storage, asked by one host while another writes to it; beside the same on a local disk.

    npm install s3rver
    python benchmarks/bench_storage.py --rows 10000000 --server node_modules/.bin/s3rver     (as root, on Linux)

The hosts are namespaces of this machine (`tests/helpers/hosts.py`). s3rver keeps objects in files and reads the parts
that are asked for, where moto reads whole objects. For each place a host writes the pictures of
`bench_search.py --parts table` and builds their index. Then another asks, query by query, first alone, then while the
first adds 1,000 pictures and a quarter of the rows, and builds the index anew.
"""

import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]  # the package of this clone
import numpy as np
from bench_search import IDENTITY, TOP, Instant, batches, class_vectors, filled, peak_memory
from helpers import hosts, toy_gallery

from zscmr.retrieval import Table, TableIndex
from zscmr.utils import cli
from zscmr.utils.console import say
from zscmr.utils.options import Options, setting

QUERIES = 100
AWS = {"AWS_ACCESS_KEY_ID": "S3RVER", "AWS_SECRET_ACCESS_KEY": "S3RVER", "AWS_REGION": "us-east-1"}
AWS |= {"AWS_ENDPOINT": "http://storage:5000", "AWS_ALLOW_HTTP": "true"}
ROLES = ("all", "fill", "ask", "add")


@dataclass(frozen=True)
class Settings(Options):
    rows: int = setting(1_000_000, "pictures of the gallery", least=20_000)
    role: str = setting("all", "what this process does; all starts the others", choices=ROLES)
    gallery: str = setting("", "the gallery of another role, a folder or s3:// URI", metavar="PLACE")
    until: Path | None = setting(
        None, "file at whose appearance `ask` ends; left out: a hundred queries", metavar="FILE"
    )
    server: Path = setting(Path("s3rver"), "the S3 server", metavar="FILE")
    work: Path = setting(Path(tempfile.gettempdir()), "folder for the galleries, removed at the end", metavar="DIR")


def main(settings):
    if settings.role != "all":
        say(json.dumps({"fill": fill, "ask": ask, "add": add}[settings.role](settings)))
        return
    hosts.SECONDS = 7200
    with tempfile.TemporaryDirectory(dir=settings.work) as folder, hosts.Hosts("storage", "writer", "asker") as layout:
        words = ["-d", f"{folder}/s3", "-a", "0.0.0.0", "-p", "5000", "--configure-bucket", "bucket", "-s"]
        layout["storage"].start("sh", "-c", 'exec "$@" >server.log 2>&1', "sh", settings.server.resolve(), *words)
        time.sleep(5)
        for place in ("s3://bucket/gallery", f"{folder}/local"):
            measure(layout, settings.rows, place, Path(folder) / "grown")


def measure(layout, count, place, grown):
    """Say what one place takes. `grown`: a file that tells the host that asks when the other has ended."""

    def started(host, role, *more):
        words = ["--role", role, "--gallery", place, "--rows", count, *more]
        return layout[host].start(sys.executable, __file__, *words, **AWS)

    grown.unlink(missing_ok=True)
    say(f"{place}\n  written, index built: {answer(started('writer', 'fill'))}")
    say(f"  asked alone: {answer(started('asker', 'ask'))}")
    asker = started("asker", "ask", "--until", grown)
    say(f"  grown: {answer(started('writer', 'add'))}")
    grown.touch()
    say(f"  asked meanwhile: {answer(asker)}")
    say(f"  asked after it: {answer(started('asker', 'ask'))}")


def answer(process):
    """What a process says at its end, as JSON."""
    out, faults = process.communicate()
    if process.returncode:
        sys.exit(faults)
    return json.loads(out.splitlines()[-1], parse_float=lambda text: round(float(text), 3))


def fill(settings):
    start = time.perf_counter()
    gallery = filled(settings.gallery, settings.rows)
    written = time.perf_counter()
    recall = TableIndex(gallery, "photo").recall()
    return {"written, s": written - start, "index, s": time.perf_counter() - written, "recall": recall} | peak()


def ask(settings):
    start = time.perf_counter()
    index = TableIndex(Table.open(settings.gallery, IDENTITY), "photo")
    index.recall()
    opened = time.perf_counter() - start
    times, queries = [], class_vectors(QUERIES, seed=4)[0]
    while len(times) < QUERIES or (settings.until and not settings.until.exists()):
        began = time.perf_counter()
        index.search(queries[len(times) % QUERIES][None], TOP)
        times.append(1e3 * (time.perf_counter() - began))
    spread = {"median": statistics.median(times), "95 %": np.percentile(times, 95), "most": max(times)}
    return {"opened, s": opened, "queries": len(times), "ms": {"first": times[0]} | spread} | peak()


def add(settings):
    gallery = Table.open(settings.gallery, IDENTITY)
    with tempfile.TemporaryDirectory() as folder:
        toy_gallery.write_files(Path(folder), 1000)
        start = time.perf_counter()
        gallery.update("photo", Path(folder), Instant(), lambda *_: None)
    added = time.perf_counter()
    more = settings.rows // 4  # rows outside the index from which on it is built anew
    for batch in batches(more, "/more", seed=5):
        gallery.table().add(batch)
    written = time.perf_counter()
    recall = TableIndex(gallery, "photo").recall()
    times = {"1,000 added, s": added - start, f"{more:,} more, s": written - added}
    return times | {"index anew, s": time.perf_counter() - written, "recall": recall} | peak()


def peak():
    return {"GB of memory": peak_memory() / 1e9}


if __name__ == "__main__":
    cli.run(main, Settings, __doc__)
