"""The server of search.py --draw: start to first answer, POST /search for one client and for many, memory.

Beside each median stands that of the same search through `Searcher` in this process, in turns in one run, and their
ratio. The gallery is filled up to --pictures with copies of the run's own rows, a little displaced; the pictures sent
are the run's own sketches. Memory is that of the server after as many requests as fill its caches, and at the end.
"""

import http.client
import itertools
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package of this clone
import numpy as np

from zscmr.retrieval import Searcher
from zscmr.retrieval.run_gallery import identity_of
from zscmr.retrieval.schema import File, rows
from zscmr.retrieval.table import Table
from zscmr.utils import cli
from zscmr.utils.console import say
from zscmr.utils.errors import BadInput
from zscmr.utils.options import Options, setting

PNG = {"Content-Type": "image/png"}


@dataclass(frozen=True)
class Settings(Options):
    run: Path = setting(Path("runs/0001"), "run directory with encoders/", metavar="DIR")
    pictures: int = setting(10_000, "photos in the gallery", least=1)
    turns: int = setting(200, "searches of one client", least=20)
    clients: int = setting(16, "clients at once", least=1)
    seconds: float = setting(60, "that many clients search for", above=0)


def main(settings):
    with tempfile.TemporaryDirectory() as folder:
        sketches = fill(settings, folder)
        command = ["search.py", "--run", settings.run, "--gallery", folder, "--draw", "--port", "0", "--no-browser"]
        command.append("--no-token")
        began = time.perf_counter()
        server = subprocess.Popen(
            [sys.executable, *map(str, command)],
            cwd=Path(__file__).resolve().parents[1],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            port = int(server.stdout.readline().split(":")[2].split("/")[0])
            ask(http.client.HTTPConnection("127.0.0.1", port), sketches[0])
            say(f"start to first answer: {time.perf_counter() - began:.2f} s, {cpu_seconds(server.pid):.2f} s of CPU")
            one_client(settings, port, folder, sketches)
            many_clients(settings, port, server.pid, sketches)
        finally:
            server.send_signal(signal.SIGINT)
            say(f"Ctrl-C: status {server.wait()}")


def fill(settings, folder):
    """Write the gallery; the run's sketches as bytes of PNGs."""
    own = Searcher.open(settings.run.resolve()).table
    photos, sketches = own.pictures("photo"), own.pictures("sketch")
    files = [Path(path) for path in sketches.paths[:: max(1, len(sketches.paths) // 200)]]
    if not files or not all(file.is_file() for file in files):
        raise BadInput(f"{settings.run}: the sketches of the run are not on this disk")
    random = np.random.default_rng(0)
    chosen = photos.take(np.arange(settings.pictures) % len(photos.ids))
    vectors = chosen.vectors + 0.01 * photos.vectors.std() * random.normal(size=chosen.vectors.shape)
    identity = identity_of(settings.run)
    names = [f"{number}/{name}" for number, name in enumerate(chosen.names)]
    photos = [File("", class_name) for class_name in chosen.classes]
    batch = rows(identity, "photo", photos, chosen.unseen, vectors.astype(np.float32), names)
    Table.open(folder, identity).write(batch)
    return [file.read_bytes() for file in files]


def ask(connection, sketch):
    """Seconds of one search."""
    start = time.perf_counter()
    connection.request("POST", "/search?top=24", sketch, PNG)
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200 or len(json.loads(content)["found"]) != 24:
        raise BadInput(f"POST /search: expected 24 pictures, received status {answer.status}: {content[:200]}")
    return time.perf_counter() - start


def one_client(settings, port, folder, sketches):
    searcher = Searcher.open(settings.run.resolve(), folder)
    searcher.search(sketches[0])
    connection, served, own = http.client.HTTPConnection("127.0.0.1", port), [], []
    for _, sketch in zip(range(settings.turns), itertools.cycle(sketches), strict=False):
        served.append(ask(connection, sketch))
        start = time.perf_counter()
        searcher.search(sketch, top=24)
        own.append(time.perf_counter() - start)
    ratio = statistics.median(one / other for one, other in zip(served, own, strict=True))
    say(f"one client: median {ms(served, 50)}, 95 % {ms(served, 95)}; Searcher {ms(own, 50)}; ratio {ratio:.2f}")


def many_clients(settings, port, pid, sketches):
    before, end, times = memory(pid), time.perf_counter() + settings.seconds, []

    def client(first):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        for sketch in itertools.cycle(sketches[first:] + sketches[:first]):
            if time.perf_counter() > end:
                return
            times.append(ask(connection, sketch))

    with ThreadPoolExecutor(settings.clients) as pool:
        work = [pool.submit(client, number) for number in range(settings.clients)]
        time.sleep(settings.seconds / 2)
        half = memory(pid)
        for one in work:
            one.result()
    say(
        f"{settings.clients} clients: {len(times)} searches in {settings.seconds:.0f} s, median {ms(times, 50)}, "
        f"95 % {ms(times, 95)}; memory {before} MB before, {half} MB half-way, {memory(pid)} MB after"
    )


def ms(seconds, percent):
    return f"{1e3 * np.percentile(seconds, percent):.1f} ms"


def memory(pid):
    """Resident MB of a process (Linux)."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 // 10**6


def cpu_seconds(pid):
    """CPU seconds that a process has taken (Linux)."""
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13])) / 100


if __name__ == "__main__":
    cli.run(main, Settings, __doc__)
