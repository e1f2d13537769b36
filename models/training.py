"""The training loop that the systems share: an epoch is one compiled function over index batches.

Scaled features and class vectors stay on the device as tensors, of which a step gathers its rows by index; features
larger than a given budget stay on disk, and the rows of the next steps are read while a step runs.
"""

import contextlib
import os
from dataclasses import dataclass
from functools import partial

import numpy as np
import tensorflow as tf

from cli import BadInput
from models.system import Batch

ZERO = tf.UnconnectedGradients.ZERO
NOISE_STREAMS = 64  # noise seeds set aside per step, one for each place a system draws noise
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}  # --precision -> Keras policy; weights stay float32
FEW_CORES = 4  # of CPUs that share out operations, not their parts
UNROLLED = 2  # short steps of a turn of the compiled loop: the second begins before all of the first has ended
FEW_WEIGHTS = 500_000  # of a model of short steps; two long ones drive each other's matrices out of the cache
FEW_STEPS = 8  # of an epoch that would not win back the time it takes to compile a second step
BLOCK = 8192  # rows scaled, embedded or read from disk at once


@dataclass(frozen=True)
class Source:
    """What steps read: `photos` (n, F), `sketches` (m, F') float32; `labels` (n,) int32 on the host, the place of each
    photo's class among the trained ones, −1 for all others; `class_vectors` (C, S) of the trained classes.

    `streamed` False: photos and sketches are tensors on the device, scaled; True: arrays on the host, as read.
    """

    photos: tf.Tensor | np.ndarray
    sketches: tf.Tensor | np.ndarray
    labels: np.ndarray
    class_vectors: tf.Tensor
    streamed: bool = False


def make_source(dataset, trained, model, limit=float("inf")):
    """A `UxUyLoader.Dataset` made ready for training; `trained` are the class indices the classifier knows.

    Features of more than `limit` GB (as float32, both modalities) are streamed, all others made resident.
    """
    position = np.full(len(dataset.classes), -1, np.int32)
    position[trained] = np.arange(len(trained))
    photos, sketches = dataset.photo.features, dataset.sketch.features
    streamed = 4 * (np.prod(photos.shape) + np.prod(sketches.shape)) > limit * 1e9
    if not streamed:
        photos = _on_devices(embed(model.photo_scaling, photos))
        sketches = _on_devices(embed(model.sketch_scaling, sketches))
    return Source(
        photos=photos,
        sketches=sketches,
        labels=position[dataset.photo.labels],
        class_vectors=_on_devices(dataset.class_vectors[trained]),
        streamed=streamed,
    )


def _on_devices(array):
    """`array` as a tensor; under a strategy of several replicas as a variable, of which each device has a copy."""
    several = tf.distribute.get_strategy().num_replicas_in_sync > 1
    return tf.Variable(array, trainable=False) if several else tf.constant(array)


class State(tf.Module):
    """Everything a run has to remember between epochs; what a checkpoint holds.

    Weights, optimisers, epochs done, and the weights, score and epoch of the best epoch so far. `players` are those of
    `System.players`.
    """

    def __init__(self, model, players):
        super().__init__()
        self.model = model
        self.weights = [weight.value for weight in model.weights]  # Keras leaves out those of layers kept in a list
        self.players = players
        self.optimizers = [player.optimizer for player in self.players]
        for player in self.players:
            player.optimizer.build(player.variables)
        self.epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.best_epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.best_score = tf.Variable(-1.0, dtype=tf.float64, trainable=False)
        self.best_weights = [tf.Variable(weight.numpy(), trainable=False) for weight in model.weights]

    def note_score(self, score):
        """Keeps the present weights if `score` beats that of every epoch before; returns whether it does."""
        better = score > float(self.best_score.numpy())
        if better:
            self.best_score.assign(score)
            self.best_epoch.assign(self.epoch.numpy())
            for kept, weight in zip(self.best_weights, self.model.weights, strict=True):
                kept.assign(weight.numpy())
        return better

    def restore_best(self):
        for kept, weight in zip(self.best_weights, self.model.weights, strict=True):
            weight.assign(kept.numpy())


def restore_best(model, folder):
    """Gives `model` the weights of the best epoch from the newest checkpoint of a `State` in `folder`.

    Raises BadInput if there is none, or if it is that of another model.
    """
    newest = tf.train.latest_checkpoint(folder)
    if newest is None:
        raise BadInput(f"{folder}: no checkpoint, which holds the weights of the run")
    weights = [tf.Variable(weight.numpy(), trainable=False) for weight in model.weights]
    saved = tf.train.Checkpoint(state=tf.train.Checkpoint(best_weights=weights))
    try:
        saved.restore(newest).assert_existing_objects_matched().expect_partial()
    except (AssertionError, ValueError, tf.errors.OpError) as error:
        raise BadInput(f"{newest}: not a checkpoint of this run ({str(error).splitlines()[0]})") from error
    for weight, kept in zip(model.weights, weights, strict=True):
        weight.assign(kept.numpy())


def choose_strategy(batch, jit=False):
    """The strategy for the machine: the workers of TF_CONFIG, else all GPUs where there are several, else one device.

    Raises BadInput when `batch` triads cannot be shared equally among the replicas, or `jit` is for several.
    """
    if "TF_CONFIG" in os.environ:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    elif len(tf.config.list_logical_devices("GPU")) > 1:
        strategy = tf.distribute.MirroredStrategy()
    else:
        strategy = tf.distribute.get_strategy()
    check_share(batch, strategy)
    if jit and strategy.num_replicas_in_sync > 1:
        raise BadInput(f"--jit compiles the step for one device, there are {strategy.num_replicas_in_sync}")
    return strategy


def check_share(batch, strategy):
    replicas = strategy.num_replicas_in_sync
    if batch % replicas:
        raise BadInput(f"--batch-size {batch} is no multiple of the {replicas} devices that share a batch")


def keep_small_products_whole():
    """On a CPU of few cores, an operation of a step to each core: at 512 features it is over before a second thread
    has woken up to help (`benchmarks/bench_train.py`). Once TensorFlow has started nothing changes."""
    if (os.cpu_count() or 1) <= FEW_CORES:
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(1)


class Gather:
    """How a system sees the whole batch from one replica, which holds an equal share of its rows.

    On one device every method returns its argument.
    """

    def __init__(self, replicas):
        self.replicas = replicas

    def __call__(self, rows):
        """This replica's rows (batch / replicas, …) → those of the whole batch (batch, …); differentiable."""
        if self.replicas == 1:
            return rows
        gathered = tf.distribute.get_replica_context().all_gather(rows, axis=0)
        return tf.ensure_shape(gathered, (None, *rows.shape[1:]))  # which all_gather forgets

    def own(self, rows, blocks=1):
        """Rows of the whole batch (batch, …) → those of this replica (batch / replicas, …); of each of several blocks
        of rows, one below the other."""
        if self.replicas == 1:
            return rows
        if blocks > 1:
            return tf.concat([self.own(block) for block in tf.split(rows, blocks)], 0)
        share = tf.shape(rows)[0] // self.replicas
        first = share * tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group, tf.int32)
        return rows[first : first + share]

    def mean(self, value):
        """A replica's mean over its rows → that over the rows of the whole batch; differentiable."""
        return value if self.replicas == 1 else tf.reduce_mean(self(value[None]), 0)


def compile_epoch(state, source, names, weights, seed, jit=False):
    """Returns epoch(triads, first step) -> mean of each loss term over the epoch's steps, (terms,) float32.

    The objective is the weighted sum of the terms `names`; `weights` maps each to its weight. `triads` are the four
    index arrays (steps, batch) int32 of `UxUyLoader.draw_triads`. Dropout noise is a function of (seed, step). `jit`
    compiles the step with XLA. To be called under the scope of the strategy that `state` was made under: each replica
    encodes its share of the batch, and all compute the terms of the whole batch.
    """
    strategy = tf.distribute.get_strategy()
    replicas = strategy.num_replicas_in_sync
    gather = Gather(replicas)
    model = state.model
    if source.streamed:
        read_photos, read_sketches = model.photo_scaling, model.sketch_scaling
    else:
        read_photos, read_sketches = partial(tf.gather, source.photos), partial(tf.gather, source.sketches)
    short = replicas == 1 and model.count_params() <= FEW_WEIGHTS
    photo_blocks, sketch_blocks = 1 + model.negative_photos, 1 + model.negative_sketches

    def step(number, labels, photos, sketches):
        """`photos`, `sketches`: what is read for them and their negatives, row numbers or features."""
        labels = gather.own(labels)
        photos, sketches = gather.own(photos, photo_blocks), gather.own(sketches, sketch_blocks)
        vectors = tf.gather(source.class_vectors, labels)
        batch = Batch(read_photos(photos), read_sketches(sketches), vectors, labels)
        terms = train_step(state, weights, batch, tf.stack([seed, number * NOISE_STREAMS]), gather)
        return tf.stack([terms[name] for name in names])

    if jit:
        step = tf.function(step, jit_compile=True)

    def run_step(*arrays):
        if replicas == 1:
            return step(*arrays)
        return strategy.experimental_local_results(strategy.run(step, arrays))[0]

    @tf.function
    def resident_epoch(first, batches):
        """`batches` (steps, columns): what `step_rows` gives, side by side: each array a loop carries costs time."""
        steps, columns = batches.shape
        batch = columns // (1 + photo_blocks + sketch_blocks)
        widths = batch, photo_blocks * batch, sketch_blocks * batch
        turn = UNROLLED if short and steps > FEW_STEPS else 1
        one_step = lambda i: run_step(first + i, *tf.split(batches[i], widths))  # noqa: E731
        total = tf.zeros(len(names))
        for i in range(steps % turn):
            total += one_step(i)
        for start in tf.range(steps % turn, steps, turn):
            for i in range(turn):
                total += one_step(start + i)
        return total / steps

    @tf.function
    def streamed_epoch(batches, steps):
        total = tf.zeros(len(names))
        for batch in batches:
            total += run_step(*batch)
        return total / tf.cast(steps, tf.float32)

    def run(triads, first):
        batches = step_rows(source.labels, triads, model)
        if source.streamed:
            return streamed_epoch(stream(source, *batches, first), tf.constant(len(triads.photo))).numpy()
        return resident_epoch(tf.constant(np.int32(first)), tf.constant(np.concatenate(batches, axis=1))).numpy()

    return run


def train_step(state, weights, batch, noise, gather):
    """One step of every player on a `Batch`, terms weighted by `weights`; returns the terms as they were before it."""
    players = state.players
    # every replica computes the terms of the whole batch, and their gradients are summed
    share = lambda name, terms: terms[name] * (weights[name] / gather.replicas)  # noqa: E731
    with tf.GradientTape(persistent=len(players) > 1) as tape:
        terms = state.model.terms(batch, noise, gather)
        goals = [
            tf.add_n([share(name, terms) for name in player.terms if weights[name]] or [0.0]) for player in players
        ]
    # all gradients are of the weights before the step, whoever moves first; tf.Variables, for Keras' own have
    # names of types where a zero gradient wants types
    gradients = [
        tape.gradient(goal, [v.value for v in player.variables], unconnected_gradients=ZERO)
        for goal, player in zip(goals, players, strict=True)
    ]
    for player, gradient in zip(players, gradients, strict=True):
        player.optimizer.apply(gradient, player.variables)
    return terms


def step_rows(labels, triads, model):
    """What the steps of `triads` read: labels (steps, batch), `labels` being those of all photos, and rows of photos
    and sketches (steps, batch or 2 batch), int32. Where the model asks for negatives, a step's follow its pairs."""
    photos, sketches = triads.photo, triads.sketch
    if model.negative_photos:
        photos = np.concatenate([photos, triads.negative_photo], axis=1)
    if model.negative_sketches:
        sketches = np.concatenate([sketches, triads.negative_sketch], axis=1)
    return labels[triads.photo], photos, sketches


def stream(source, labels, photos, sketches, first):
    """The batches of `step_rows` as a `tf.data.Dataset`, in order, read ahead: the step's number, labels, features."""

    def read(index):
        rows = _rows(source.photos, photos[index]), _rows(source.sketches, sketches[index])
        return np.int32(first + index), labels[index], *rows

    shapes = [(), labels.shape[1:]]
    shapes += [(photos.shape[1], source.photos.shape[1]), (sketches.shape[1], source.sketches.shape[1])]
    kinds = [tf.int32] * 2 + [tf.float32] * 2

    def load(index):
        arrays = tf.numpy_function(read, [index], kinds)
        return tuple(tf.ensure_shape(array, shape) for array, shape in zip(arrays, shapes, strict=True))

    batches = tf.data.Dataset.range(len(labels))
    return batches.map(load, num_parallel_calls=2, deterministic=True).prefetch(tf.data.AUTOTUNE)


def _rows(features, index):
    """features[index] as float32, each row read once and in the order of the file."""
    ordered, place = np.unique(index, return_inverse=True)
    return np.asarray(features[ordered], np.float32)[place]


class TrainingRows:
    """The rows to train on of features (n, F) that may be larger than memory: shape, mean, deviation, by blocks."""

    def __init__(self, features, rows):
        self.features, self.rows = features, rows
        self.shape = (len(rows), *features.shape[1:])

    def mean(self, axis=0, dtype=np.float64):
        return self._sum(lambda block: block, dtype) / len(self.rows)

    def std(self, axis=0, dtype=np.float64):
        mean = self.mean(axis, dtype)
        return np.sqrt(self._sum(lambda block: (block - mean) ** 2, dtype) / len(self.rows))

    def _sum(self, function, dtype):
        starts = range(0, len(self.rows), BLOCK)
        blocks = (np.asarray(self.features[self.rows[start : start + BLOCK]], dtype) for start in starts)
        return sum(function(block).sum(0) for block in blocks)


def embed(function, features, batch=BLOCK):
    """`function` applied to features (n, F) in batches -> (n, t) float32 array on the host."""
    parts = [function(tf.constant(features[start : start + batch])) for start in range(0, len(features), batch)]
    return tf.concat(parts, axis=0).numpy()
