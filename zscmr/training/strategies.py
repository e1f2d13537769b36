"""One device, several GPUs or several workers that share each batch."""

import contextlib
import json
import os

import keras
import numpy as np
import tensorflow as tf

from zscmr.utils.errors import BadInput
from zscmr.utils.processes import cores

FEW_CORES = 4  # up to this many cores, run operations in parallel, each single-threaded


def is_chief():
    """Whether this process writes the run's files: yes, unless TF_CONFIG calls it a worker other than the first."""
    if not several_workers():
        return True
    cluster, kind, index = _task()
    return kind == "chief" or (kind == "worker" and index == 0 and "chief" not in cluster)


def _task():
    """(cluster, kind of this process's task, its index) of TF_CONFIG. Raises BadInput for anything else."""
    try:
        config = json.loads(os.environ["TF_CONFIG"])
        return dict(config["cluster"]), config["task"]["type"], int(config["task"]["index"])
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(f"TF_CONFIG: expected JSON with 'cluster' and 'task' (type and index), {error!r}") from error


def several_workers():
    """Whether TF_CONFIG names a cluster of workers."""
    return "TF_CONFIG" in os.environ


def own_address():
    """HOST:PORT of this process in TF_CONFIG."""
    cluster, kind, index = _task()
    return cluster[kind][index]


def others():
    """The addresses, HOST:PORT, of the other workers of TF_CONFIG."""
    cluster, own = _task()[0], own_address()
    return [address for kind in ("chief", "worker") for address in cluster.get(kind, ()) if address != own]


def meet(strategy):
    """Wait until all workers of TF_CONFIG have come here."""
    if several_workers():
        strategy.gather(spread(strategy, np.zeros((local_replicas(strategy), 1), np.float32)), axis=0)


def choose_strategy(batch=None, jit=False):
    """The strategy for the workers of TF_CONFIG, else for all GPUs where there are several, else for one device.

    Raises BadInput when a `batch` cannot be shared equally among the replicas, or `jit` is for several.
    """
    if several_workers():
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    elif len(tf.config.list_logical_devices("GPU")) > 1:
        strategy = tf.distribute.MirroredStrategy()
    else:
        strategy = tf.distribute.get_strategy()
    if batch is not None:
        check_share(batch, strategy)
    if jit and strategy.num_replicas_in_sync > 1:
        raise BadInput(f"--jit compiles the step for one device, there are {strategy.num_replicas_in_sync}")
    return strategy


def synchronise_norms(network):
    """Let batch normalisations take their statistics from the batch of all replicas."""
    several = tf.distribute.get_strategy().num_replicas_in_sync > 1
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = several


def check_share(batch, strategy):
    replicas = strategy.num_replicas_in_sync
    if batch % replicas:
        raise BadInput(f"--batch-size {batch} is no multiple of the {replicas} devices that share a batch")


def keep_small_products_whole():
    """On a CPU of few cores, an operation of a step to each core: at 512 features it is over before a second thread
    has woken up to help (`benchmarks/bench_train.py`). Once TensorFlow has started nothing changes."""
    if cores() <= FEW_CORES:
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(1)


def on_replicas(step):
    """The function `step` on every replica of the present strategy, with the same arguments; the first one's result."""
    strategy = tf.distribute.get_strategy()
    if strategy.num_replicas_in_sync == 1:
        return step
    return lambda *arrays: strategy.experimental_local_results(strategy.run(step, arrays))[0]


class Workers:
    """The workers of TF_CONFIG, which share rows; `count` of them, of which this process is `number`."""

    BLOCK = 1024  # rows sent at once

    def __init__(self, strategy):
        cluster, kind, index = _task()
        chiefs, workers = (len(cluster.get(kind, ())) for kind in ("chief", "worker"))
        self.number = index + (chiefs if kind == "worker" else 0)
        self.count = chiefs + workers
        self.strategy = strategy

    def share(self, rows, number=None):
        """The range of row numbers, of so many rows, that this worker computes, or the worker of a `number`."""
        number = self.number if number is None else number
        return range(rows * number // self.count, rows * (number + 1) // self.count)

    def exchange(self, vectors, state):
        """Fill `vectors` (n, F) and `state` (n,), of which each worker has filled its share, with the others' rows.

        All workers have to call it at the same time.
        """
        shares = [self.share(len(vectors), number) for number in range(self.count)]
        for start in range(0, max(map(len, shares)), self.BLOCK):
            parts = [share[start : start + self.BLOCK] for share in shares]
            block = np.zeros((self.BLOCK, vectors.shape[1] + 1), np.float32)
            rows = parts[self.number]
            block[: len(rows)] = np.column_stack([vectors[rows], state[rows]])
            for part, rows in zip(parts, self._gathered(block), strict=True):
                vectors[part], state[part] = rows[: len(part), :-1], rows[: len(part), -1]

    def _gathered(self, block):
        """The block (BLOCK, F) of each worker, (count, BLOCK, F)."""
        slices = np.array_split(block, local_replicas(self.strategy))
        return self.strategy.gather(spread(self.strategy, slices), axis=0).numpy().reshape(self.count, *block.shape)


def of_this_process(strategy):
    """A strategy of the devices of this process alone, under which it can make a network without the other workers."""
    if not several_workers():
        return strategy
    gpus = [device.name for device in tf.config.list_logical_devices("GPU")]
    return tf.distribute.MirroredStrategy(gpus) if len(gpus) > 1 else tf.distribute.get_strategy()


def local_replicas(strategy):
    """How many replicas of `strategy` are of this process."""
    return 1 if strategy.num_replicas_in_sync == 1 else len(strategy.extended.worker_devices)


def spread(strategy, arrays):
    """A distributed value: an array for each replica of this process."""
    return strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(arrays[context.replica_id_in_sync_group % len(arrays)])
    )


class Gather:
    """The whole batch as seen from one replica, which holds an equal share of its rows.

    On one device every method returns its argument.
    """

    def __init__(self, replicas):
        self.replicas = replicas

    def __call__(self, rows):
        """This replica's rows (batch / replicas, …) → those of the whole batch (batch, …); differentiable."""
        if self.replicas == 1:
            return rows
        gathered = tf.distribute.get_replica_context().all_gather(rows, axis=0)
        return tf.ensure_shape(gathered, (None, *rows.shape[1:]))  # all_gather loses the static shape

    def local(self, rows, blocks=1):
        """Rows of the whole batch (batch, …) → those of this replica (batch / replicas, …).

        `blocks`: number of blocks of rows, one below the other, of each of which the replica has a share.
        """
        if self.replicas == 1:
            return rows
        if blocks > 1:
            return tf.concat([self.local(block) for block in tf.split(rows, blocks)], 0)
        share = tf.shape(rows)[0] // self.replicas
        first = share * tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int32)
        return rows[first : first + share]

    def mean(self, value):
        """A replica's mean over its rows → that over the rows of the whole batch; differentiable."""
        return value if self.replicas == 1 else tf.reduce_mean(self(value[None]), 0)


def has_gpu():
    return bool(tf.config.list_physical_devices("GPU"))
