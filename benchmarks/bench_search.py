"""Search and gallery, measured side by side in one run.

    python benchmarks/bench_search.py --parts index gallery writers
    python benchmarks/bench_search.py --parts table --rows 10000000

index: a search in an `Index` in turns with a float32 product and `argpartition`, which any exact search has to do but
which give no order, and with faiss-cpu's IndexFlatIP where it is installed; answers are compared with a full sort.
gallery: opening a gallery and adding 1,000 pictures, without the time of embedding, by the wall and the processor.
writers: additions killed with SIGKILL, and eight at once. table: vectors that stay in the table: its index built,
latency, recall, memory.
Vectors are 64-d and random, those of `table` about 2,000 class points; cosine, the ten nearest.
"""

import multiprocessing
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package of this clone
import numpy as np

from tests.helpers import toy_gallery
from zscmr.evaluation.ranking import rank
from zscmr.retrieval import Identity, Index, Table, TableIndex
from zscmr.retrieval.schema import File, rows
from zscmr.utils import cli
from zscmr.utils.console import say
from zscmr.utils.options import Options, setting

DIM, TOP = 64, 10
IDENTITY = Identity(DIM, "cosine", "benchmark")
SPREAD = 0.5  # standard deviation of a picture about the point of its class, in each dimension; points have 1
PARTS = ("index", "gallery", "writers", "table")


@dataclass(frozen=True)
class Settings(Options):
    parts: tuple[str, ...] = setting(PARTS[:3], "what is measured", choices=PARTS)
    sizes: tuple[int, ...] = setting((10_000, 100_000, 1_000_000), "items of `index`", metavar="N", least=TOP)
    queries: tuple[int, ...] = setting((1,), "queries at once", metavar="Q", least=1)
    turns: int = setting(31, "turns of each way; medians are printed", least=1)
    rows: int = setting(1_000_000, "pictures of `gallery` and of `table`", least=20_000)
    kills: int = setting(50, "additions killed by `writers`", least=1)
    work: Path = setting(Path(tempfile.gettempdir()), "folder for the galleries, removed at the end", metavar="DIR")


def main(settings):
    if "index" in settings.parts:
        compare_index(settings)
    for part, measure in (("gallery", measure_gallery), ("writers", measure_writers), ("table", measure_table)):
        if part in settings.parts:
            with tempfile.TemporaryDirectory(dir=settings.work) as folder:
                measure(settings, Path(folder))


def compare_index(settings):
    for size in settings.sizes:
        random = np.random.default_rng(0)
        gallery = random.normal(size=(size, DIM)).astype(np.float32)
        unit = gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
        index, flat = Index(gallery, "cosine"), faiss_index(unit)
        for count in settings.queries:
            queries = random.normal(size=(count, DIM)).astype(np.float32)
            assert (index.search(queries[:1], TOP)[0] == rank(queries[:1], gallery, "cosine")[:, :TOP]).all()
            ways = {
                "index": lambda queries=queries, index=index: index.search(queries, TOP),
                "product": lambda queries=queries, unit=unit: np.argpartition(-(queries @ unit.T), TOP, axis=1),
                "faiss": lambda queries=queries, flat=flat: flat.search(queries, TOP),
            }
            for other in ("product", "faiss") if flat else ("product",):  # its threads keep spinning for a while
                both = {name: ways[name] for name in ("index", other)}
                report(f"{size:>9,} items, {count:>3} at once", timed(both, settings.turns))


def faiss_index(unit):
    try:
        import faiss
    except ImportError:
        say("faiss-cpu is not installed: not compared")
        return None
    index = faiss.IndexFlatIP(DIM)
    index.add(unit)
    return index


def timed(ways, turns):
    """{way: [ms of each turn]}, the ways in turns; one turn before is not counted."""
    times = {name: [] for name in ways}
    for _ in range(turns + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: column[1:] for name, column in times.items()}


def report(label, times):
    """Medians and least times, and the ratio of the index to each other way: of medians of turns, and of the least."""
    shown = ", ".join(f"{name} {statistics.median(ms):.2f} ({min(ms):.2f}) ms" for name, ms in times.items())
    own, ratios = times["index"], []
    for name, ms in times.items():
        if name != "index":
            median = statistics.median(a / b for a, b in zip(own, ms, strict=True))
            ratios.append(f"{median:.2f} ({min(own) / min(ms):.2f}) × {name}")
    say(f"{label}: {shown}; index {', '.join(ratios)}")


def class_vectors(count, seed):
    """Vectors (count, DIM) about 2,000 class points, and their class numbers."""
    points = np.random.default_rng(1).normal(size=(2000, DIM)).astype(np.float32)
    random = np.random.default_rng(seed)
    classes = random.integers(0, len(points), count)
    return points[classes] + SPREAD * random.normal(size=(count, DIM)).astype(np.float32), classes


def batches(count, folder="/photos", seed=2, step=50_000):
    """Record batches of `count` photos in a folder."""
    for start in range(0, count, step):
        vectors, classes = class_vectors(min(step, count - start), seed=(seed, start))
        files = [File(f"{folder}/class {n}/{start + row}.jpg", f"class {n}") for row, n in enumerate(classes)]
        yield rows(IDENTITY, "photo", files, classes % 5 == 0, vectors)


def filled(where, count):
    """A gallery of `count` photos."""
    start = time.perf_counter()
    gallery = Table.open(where, IDENTITY, lambda: batches(count))
    size = sum(file.stat().st_size for file in Path(where).rglob("*") if file.is_file())
    say(f"{count:,} pictures written in {time.perf_counter() - start:.0f} s, {size / 1e9:.2f} GB")
    return gallery


class Instant:
    """An encoder that takes no time worth counting."""

    seen = frozenset()

    def embed(self, paths, step=None, notice=None):
        return class_vectors(len(paths), seed=3)[0], np.ones(len(paths), bool)

    def faults(self, paths, readable):
        return []


def measure_gallery(settings, folder):
    filled(folder / "gallery", settings.rows)
    for number in range(3):
        toy_gallery.write_files(folder / f"new {number}", 1000)
        start = clocks()
        gallery = Table.open(folder / "gallery", IDENTITY)
        opened = clocks()
        held = len(gallery.pictures("photo").ids)
        read = clocks()
        gallery.update("photo", folder / f"new {number}", Instant(), lambda *_: None)
        opening, reading, addition = (shown(*pair) for pair in ((start, opened), (opened, read), (read, clocks())))
        say(f"{held:,} pictures: opened in {opening}, read in {reading}; 1,000 added in {addition} without embedding")


def clocks():
    """(seconds of the wall, seconds of the processor in this process)."""
    return time.perf_counter(), time.process_time()


def shown(start, end):
    return f"{end[0] - start[0]:.2f} s ({end[1] - start[1]:.2f} s of processor)"


def adding(where, folder, seconds, block=100):
    words = [sys.executable, toy_gallery.__file__, where, folder, str(seconds), str(block)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def measure_writers(settings, folder):
    """Kills come as a random one of 500 pictures is embedded, 100 a commit; then eight writers add five folders."""
    gallery, random = Table.open(folder / "gallery", toy_gallery.IDENTITY), np.random.default_rng(0)
    counts = [0]
    for number in range(settings.kills):
        toy_gallery.write_files(folder / "in", 500, start=500 * number)
        process = adding(gallery.location, folder / "in", 1e-4)
        for _ in range(random.integers(500)):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()
        counts.append(gallery.count("photo"))
        assert counts[-1] >= counts[-2], "pictures lost"
    say(f"{settings.kills} additions killed; {counts[-1]:,} pictures were written by them")
    for number in range(4):
        toy_gallery.write_files(folder / f"in {number}", 500)
    folders = [folder / "in", *[folder / f"in {number}" for number in range(4)]]
    together = [adding(gallery.location, one, 1e-4) for one in [*folders, *folders[:3]]]
    for process in together:
        process.communicate()
    assert not any(process.returncode for process in together)
    found = gallery.pictures("photo").paths.tolist()
    files = [str(file) for one in folders for file in one.rglob("*.png")]
    assert len(found) == len(files) and {*found} == {*files}, "pictures lost or doubled"
    say(f"{len(together)} writers at once: {len(found):,} pictures, none lost, none twice")


def measure_table(settings, folder):
    gallery = filled(folder / "gallery", settings.rows)
    start = time.perf_counter()
    index = TableIndex(gallery, "photo")
    recall = index.recall()
    size = sum(file.stat().st_size for file in (folder / "gallery").rglob("_indices/**/*") if file.is_file())
    say(f"index built and measured in {time.perf_counter() - start:.0f} s, {size / 1e9:.2f} GB")
    spawn = multiprocessing.get_context("spawn")
    answers = spawn.SimpleQueue()
    process = spawn.Process(target=serve, args=(folder / "gallery", 100, answers))
    process.start()
    times, found, peak = answers.get()
    process.join()
    queries = class_vectors(100, seed=4)[0][:20]
    start = time.perf_counter()
    exact = TableIndex(gallery, "photo").search(queries, TOP, exact=True)
    scanned = time.perf_counter() - start
    shares = [len({hit.id for hit in one} & ids) / TOP for one, ids in zip(exact, found[:20], strict=True)]
    say(
        f"{settings.rows:,} pictures in the table: median {statistics.median(times):.1f} ms, 95 % within "
        f"{np.percentile(times, 95):.1f} ms; recall@{TOP} {np.mean(shares):.3f} of 20 queries, {recall:.3f} as "
        f"measured when built; memory {peak / 1e9:.2f} GB; a scan for 20 queries takes {scanned:.1f} s"
    )


def peak_memory():
    """Most bytes that this process has held in memory; `getrusage` would count what its parent held when it began."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return 1024 * int(status["VmHWM"].split()[0])


def serve(where, count, answers):
    """In a process of its own: answer `count` queries one by one; put (ms of each, ids of each, peak bytes)."""
    index = TableIndex(Table.open(where, IDENTITY), "photo")
    times, found = [], []
    for query in class_vectors(count, seed=4)[0]:
        start = time.perf_counter()
        (answer,) = index.search(query[None], TOP)
        times.append(1e3 * (time.perf_counter() - start))
        found.append({hit.id for hit in answer})
    answers.put((times, found, peak_memory()))


if __name__ == "__main__":
    cli.run(main, Settings, __doc__)
