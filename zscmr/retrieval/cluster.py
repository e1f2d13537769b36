"""Pictures embedded on a Ray cluster, each shard written to the gallery by the process that embedded it."""

import socket
from pathlib import Path

import zscmr
from zscmr.retrieval import updates
from zscmr.retrieval.schema import File
from zscmr.retrieval.sources import open_source
from zscmr.retrieval.table import Table
from zscmr.utils.console import warn
from zscmr.utils.errors import BadInput, first_line
from zscmr.utils.files import is_uri
from zscmr.utils.processes import missing


class Cluster:
    """A Ray cluster at `address` ("local" starts one here) whose actors embed with what `open_encoder()` gives.

    Pictures, gallery and encoder have to be reachable from all its machines. A shard whose machine dies is embedded
    again by another; ids keep its pictures from being doubled.
    """

    def __init__(self, address, open_encoder, shard=updates.BLOCK):
        self.address, self.open_encoder, self.shard = address, open_encoder, shard

    def embedded(self, table, modality, source, files, encoder, step):
        """Embed and write `files`; return the paths (set) of those that can be read. Warns of others."""
        if not files:
            return set()
        ray, data = self._connected()
        import pyarrow

        rows = [vars(file) for file in files]
        shards = [
            pyarrow.Table.from_pylist(rows[start : start + self.shard]) for start in range(0, len(rows), self.shard)
        ]
        nodes = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
        each = max(1, min((cpus for cpus in nodes if cpus), default=1))  # an encoder keeps all CPUs of a machine busy
        actors = {"where": _shared(table.where), "identity": table.identity, "modality": modality}
        actors |= {"root": str(source.root), "open_encoder": self.open_encoder}
        done = data.from_arrow(shards).map_batches(
            _Embedding,
            batch_size=None,
            batch_format="pyarrow",
            num_cpus=each,
            concurrency=(1, max(1, sum(cpus // each for cpus in nodes))),
            fn_constructor_kwargs=actors,
        )
        added = set()
        try:
            for count, row in enumerate(done.iter_rows(), start=1):
                step(count)
                if row["fault"]:
                    warn(f"{row['fault']}, skipped")
                else:
                    added.add(row["path"])
        except ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[-1]  # above it are the tracebacks of the other machines
            raise BadInput(f"--ray {self.address}: the cluster could not go on ({reason})") from error
        return added

    def _connected(self):
        try:
            import ray
            from ray import data
        except ImportError as error:
            raise missing("--ray: Ray", "ray", error) from error
        if not ray.is_initialized():
            package = {"py_modules": [str(Path(zscmr.__file__).parent)]}
            try:
                _reach(self.address)
                ray.init(self.address, runtime_env=package, log_to_driver=False, logging_level="error")
            except (OSError, RuntimeError, ValueError) as error:
                raise BadInput(f"--ray {self.address}: no cluster there ({first_line(error)})") from error
        context = data.DataContext.get_current()
        context.enable_progress_bars, context.max_errored_blocks = False, 0
        return ray, data


def _reach(address):
    """Raise OSError unless something listens at HOST:PORT, which Ray itself finds out after minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host:
        socket.create_connection((host, int(port)), timeout=10).close()


class _Embedding:
    """An actor: opens encoder and gallery once, then embeds and writes shard after shard."""

    def __init__(self, where, identity, modality, root, open_encoder):
        self.table, self.modality = Table.open(where, identity), modality
        self.source, self.encoder = open_source(root), open_encoder()

    def __call__(self, shard):
        import pyarrow

        files = [File(**row) for row in shard.to_pylist()]
        added, faults = updates.embed(self.table, self.modality, self.source, files, self.encoder)
        others = [file.path for file in files if file.path not in {*added}]
        return pyarrow.table({"path": added + others, "fault": [""] * len(added) + faults})


def _shared(where):
    return where if is_uri(where) else str(Path(where).resolve())
