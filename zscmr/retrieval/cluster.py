"""Pictures embedded on a Ray cluster, each shard written to the gallery by the process that embedded it."""

import atexit
import logging
import os
import queue
import shutil
import threading
import time
import weakref
from contextlib import contextmanager, suppress
from pathlib import Path

import zscmr
from zscmr.inference.engines import LITERT
from zscmr.retrieval import updates
from zscmr.retrieval.encoder import ModalityEncoder
from zscmr.retrieval.probes import Probe
from zscmr.retrieval.schema import File, picture_id
from zscmr.retrieval.sources import open_source
from zscmr.retrieval.table import Table
from zscmr.utils.errors import BadInput, first_line
from zscmr.utils.files import is_uri, temporary_folder
from zscmr.utils.processes import missing, stderr_held_back
from zscmr.utils.sockets import reach

SMALLEST, SHARDS = 32, 8  # pictures of a shard; shards an actor embeds, so that none waits long for the last
ATTEMPTS, PAUSE = 15, 2  # attempts on storage that does not answer, and seconds between them
LOOK, GONE = 5, 40  # seconds: between looks at the cluster; without an answer, after which the command ends
#: Read by Ray as it starts: it prints nothing about its machines, and no thread that is left connects it again.
QUIET = {"RAY_DEDUP_LOGS_SKIP_REGEX": ".", "RAY_BACKEND_LOG_LEVEL": "fatal", "RAY_ENABLE_AUTO_CONNECT": "0"}


class PackedEncoder:
    """The files of an encoder's folder, which a machine that lacks them can open."""

    def __init__(self, folder, kind, engine=LITERT):
        """`folder`: with about.json; `kind`: "photo" or "sketch"; `engine`: as of `Encoder.load`."""
        self._files = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
        self._kind, self._engine = kind, engine

    def __call__(self):
        """Open the `ModalityEncoder`, of files that go with this object, or with the next one if it is killed."""
        folder = temporary_folder("zscmr-encoder")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        for name, content in self._files.items():
            (folder / name).write_bytes(content)
        return ModalityEncoder.read(folder, self._kind, self._engine)


class Cluster:
    """A Ray cluster at `address` ("local" starts one here) whose actors embed with what `open_encoder()` gives.

    Pictures and gallery have to be reachable from all its machines. A shard whose machine dies is embedded again by
    another; ids keep its pictures from being doubled.
    """

    def __init__(self, address, open_encoder, shard=None):
        """`open_encoder`: such as a `PackedEncoder`; `shard`: pictures, by default as the machines share them best."""
        self.address, self.open_encoder, self.shard = address, open_encoder, shard

    def embedded(self, table, modality, source, files, encoder, step, once):
        """Embed and write `files`; return the paths (set) of those that can be read. Warns of others by a `Once`."""
        if not files:
            return set()
        ray, data = self._connected()
        import pyarrow

        nodes = list(_machines(ray).values())
        each = min(nodes, default=1)  # an encoder keeps all CPUs of a machine busy
        actors = max(1, sum(cpus // each for cpus in nodes))
        size = self.shard or min(updates.BLOCK, max(SMALLEST, len(files) // (SHARDS * actors)))
        rows = [vars(file) for file in files]
        shards = [pyarrow.Table.from_pylist(rows[start : start + size]) for start in range(0, len(rows), size)]
        done = data.from_arrow(shards).map_batches(
            _Embedding,
            batch_size=None,
            batch_format="pyarrow",
            num_cpus=each,
            compute=data.ActorPoolStrategy(min_size=1, max_size=actors),
            fn_constructor_args=[_Job(table, modality, source, ray.put(self.open_encoder))],
        )
        added = set()
        try:
            for count, row in enumerate(self._rows(ray, done, table), start=1):
                step(count)
                if row["fault"]:
                    once.warn(f"{row['fault']}, skipped")
                else:
                    added.add(row["path"])
        except ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[-1]  # above it are the tracebacks of the other machines
            raise BadInput(f"--ray {self.address}: the cluster could not go on ({reason})") from error
        return added

    def _rows(self, ray, dataset, table):
        """Yield the rows of a dataset as they come.

        Raises BadInput when none comes and the head, all machines or the storage are silent, which Ray waits for.
        """
        rows, end = queue.SimpleQueue(), object()

        def fill():
            try:
                for row in dataset.iter_rows():
                    rows.put(row)
                rows.put(end)
            except Exception as error:
                rows.put(error)

        threading.Thread(target=fill, daemon=True).start()
        with _probes(ray, table) as probes:
            while True:
                try:
                    row = rows.get(timeout=LOOK)
                except queue.Empty:
                    for name, probe in probes.items():
                        if probe.silence() > GONE:
                            atexit.register(os._exit, 2)  # before Ray's own end, which waits for minutes
                            raise BadInput(f"--ray {self.address}: no answer from {name}") from None
                    continue
                if row is end:
                    return
                if isinstance(row, Exception):
                    raise row
                yield row

    def _connected(self):
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        try:
            import ray
            from ray import data
        except ImportError as error:
            raise missing("--ray: Ray", "ray", error) from error
        if not ray.is_initialized():
            package = {"py_modules": [str(Path(zscmr.__file__).parent)]}
            try:
                if ":" in self.address:  # Ray itself would wait for minutes
                    reach(self.address)
                with stderr_held_back():  # that the level of its log was set
                    ray.init(self.address, runtime_env=package, log_to_driver=False, logging_level="error")
            except (OSError, RuntimeError, ValueError) as error:
                raise BadInput(f"--ray {self.address}: no cluster there ({first_line(error)})") from error
        logging.getLogger("ray.data").setLevel("ERROR")
        context = data.DataContext.get_current()
        context.enable_progress_bars, context.max_errored_blocks = False, 0
        return ray, data


def _machines(ray):
    """{address of a machine with CPUs: their number}."""
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
    return {f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}": int(node["Resources"]["CPU"]) for node in nodes}


@contextmanager
def _probes(ray, table):
    """Yield {name: `Probe`} of all that the work needs."""
    head = ray.get_runtime_context().gcs_address

    def any_machine():
        for address in _machines(ray):
            with suppress(OSError):
                return reach(address)
        raise ConnectionError

    looks = {"the head": lambda: reach(head), "any machine with CPUs": any_machine, table.location: table.version}
    probes = {name: Probe(look, LOOK) for name, look in looks.items()}
    try:
        yield probes
    finally:
        for probe in probes.values():
            probe.stop()


class _Job:
    """What an actor has to know. No dataclass and no dict: Ray writes those to its logs, and this holds credentials."""

    def __init__(self, table, modality, source, open_encoder):
        """`open_encoder`: as of `Cluster`, in Ray's object store."""
        self.location = table.location if is_uri(table.location) else str(Path(table.location).resolve())
        self.identity, self.modality, self.root = table.identity, modality, str(source.root)
        self.open_encoder = open_encoder
        self.environment = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}


class _Embedding:
    """An actor: opens encoder and gallery once, then embeds and writes shard after shard."""

    def __init__(self, job):
        import ray

        os.environ.update(job.environment)
        self._open_encoder = ray.get(job.open_encoder)  # the files of the encoder go with it
        self._modality, self._encoder = job.modality, self._open_encoder()
        self._table = _patiently(lambda: Table.open(job.location, job.identity))
        self._source = _patiently(lambda: open_source(job.root))

    def __call__(self, shard):
        import pyarrow

        files = [File(**row) for row in shard.to_pylist()]
        added, faults = _patiently(lambda: self._embedded(files))
        written = {*added}
        others = [file.path for file in files if file.path not in written]
        return pyarrow.table({"path": added + others, "fault": [""] * len(added) + faults})

    def _embedded(self, files):
        """`updates.embed` of those files that neither another command nor a machine that died has written before."""
        stored = self._table.stored([picture_id(self._modality, file.path) for file in files]).values()
        written = {File(one.path, one.class_name, one.size, one.modified) for one in stored}
        new = [file for file in files if file not in written]
        added, faults = updates.embed(self._table, self._modality, self._source, new, self._encoder)
        return [file.path for file in files if file in written] + added, faults


def _patiently(work):
    """`work()`, repeated for half a minute as long as it raises BadInput."""
    for _ in range(ATTEMPTS - 1):
        try:
            return work()
        except BadInput:
            time.sleep(PAUSE)
    return work()
