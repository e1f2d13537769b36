"""Turns pictures into features with a CNN, trains one on the pictures of one modality, and survives being killed."""

import json
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import keras
import numpy as np
import tensorflow as tf

import UxUyLoader as loader
from cli import BadInput, say, track, whole_file
from models.system import Player
from models.training import State
from pretrain import pictures
from pretrain.recipes import recipe_of

CACHE_BYTES = 2**31  # decoded pictures are kept in memory between epochs up to this size

OPTIMIZERS = {
    "adamw": lambda rate: keras.optimizers.AdamW(rate, weight_decay=1e-2),
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": lambda rate: keras.optimizers.SGD(rate, momentum=0.9, nesterov=True),
}


def has_gpu():
    return bool(tf.config.list_physical_devices("GPU"))


@contextmanager
def half_precision_on_gpu():
    """Half-precision arithmetic within the block where a GPU is there to profit; weights and features stay float32."""
    before = keras.mixed_precision.global_policy()
    if has_gpu():
        keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)


def outputs(folder, identity, make_model, size, paths, batch, label, shrink=None):
    """What a model makes of pictures, kept in `folder`: (vectors (n, F) float32, memory-mapped; readable (n,) bool).

    Rows that an earlier call left there under the same `identity` (a JSON value) are not computed again, so that a
    call that was killed, at any picture, is continued by the next. `make_model()` is called only if rows are missing.
    """
    if not _belongs(folder, identity):
        shutil.rmtree(folder, ignore_errors=True)
    files = folder / "vectors.npy", folder / "state.npy"
    model = None
    if not folder.exists():
        model = make_model()
        folder.mkdir(parents=True)
        np.lib.format.open_memmap(files[0], "w+", np.float32, (len(paths), model.output_shape[1]))
        np.lib.format.open_memmap(files[1], "w+", np.uint8, (len(paths),))
        with whole_file(folder / "identity.json") as part:  # last: without it the arrays count for nothing
            part.write_text(json.dumps(identity), encoding="utf-8")
    vectors, state = (np.load(file, mmap_mode="r+") for file in files)
    missing = np.flatnonzero(state == _MISSING)
    if len(missing):
        if missing[0]:
            say(f"{label}: {missing[0]} of {len(paths)} pictures were done before")
        _fill(vectors, state, model or make_model(), size, paths, batch, missing[0], label, shrink)
    return vectors, state == _DONE


def outputs_now(model, size, paths, batch, label, shrink=None):
    """`outputs` of a few pictures, computed anew and kept in memory."""
    vectors, state = np.zeros((len(paths), model.output_shape[1]), np.float32), np.zeros(len(paths), np.uint8)
    _fill(vectors, state, model, size, paths, batch, 0, label, shrink)
    return vectors, state == _DONE


_MISSING, _DONE, _UNREADABLE = 0, 1, 2


def _belongs(folder, identity):
    path = folder / "identity.json"
    return path.exists() and json.loads(path.read_text(encoding="utf-8")) == identity


def _fill(vectors, state, model, size, paths, batch, first, label, shrink=None):
    apply = tf.function(lambda images: model(images, training=False))
    starts = range(first, len(paths), batch)
    read = partial(pictures.read_pictures, size=size, shrink=shrink)
    decoded = pictures.ahead(lambda start: read(paths[start : start + batch]), starts)
    for start, (images, readable) in zip(starts, track(decoded, f"{label}: features", len(starts)), strict=True):
        vectors[start : start + batch] = apply(tf.constant(images))
        # after its vectors: a row that counts as done is there
        state[start : start + batch] = np.where(readable, _DONE, _UNREADABLE)


@dataclass(frozen=True)
class Training:
    """What a CNN is trained on: `fetch(rows)` gives (inputs, readable) of row numbers, `labels` (n,) the class of each
    row, all of them among `classes`; `augment(inputs, seed pair)` is a tensor function or None."""

    fetch: callable
    labels: np.ndarray
    classes: np.ndarray
    augment: callable


def train(model, training, settings, seed, folder, label):
    """Trains `model` (inputs -> features) with a softmax over `training.classes`, in place.

    Of each class a share of the pictures is held out; the epoch with the best accuracy on them is kept, and
    training ends when `settings.patience` epochs brought no better one. Each epoch leaves a checkpoint in `folder`,
    from which a later call goes on; batches, augmentation and dropout are functions of (seed, epoch).
    """
    fitted, held_out = split_pictures(training.labels, settings.held_out, seed)
    steps = max(1, len(fitted) // settings.batch_size)
    keras.utils.set_random_seed(seed)
    classifier = keras.layers.Dense(len(training.classes), dtype="float32", name="classes")
    classifier.build(model.output_shape)
    schedule = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate / 10, settings.epochs * steps, warmup_target=settings.learning_rate, warmup_steps=steps
    )
    recipe = recipe_of(settings)
    optimizer = OPTIMIZERS[recipe.optimizer](schedule)
    if keras.mixed_precision.global_policy().name == "mixed_float16":
        optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)
    network = keras.Sequential([model, classifier])
    state = State(network, [Player(("cross-entropy",), network.trainable_variables, optimizer)])
    checkpoints = tf.train.CheckpointManager(tf.train.Checkpoint(state=state), folder, max_to_keep=1)
    if checkpoints.restore_or_initialize():
        say(f"{label}: goes on after epoch {int(state.epoch)}")
    step, hits = _compile(state, training.augment, recipe, seed)
    for epoch in range(int(state.epoch) + 1, settings.epochs + 1):
        if held_out.size and epoch - 1 - int(state.best_epoch) >= settings.patience:
            break
        loss = _run_epoch(step, training, fitted, epoch, steps, settings.batch_size, seed)
        if not np.isfinite(loss):
            raise BadInput(f"{label}: the loss of epoch {epoch} is {loss}; a lower --learning-rate may help")
        state.epoch.assign(epoch)
        accuracy = _accuracy(hits, training, held_out, settings.batch_size) if held_out.size else float(epoch)
        best = state.note_score(accuracy)
        checkpoints.save(epoch)
        told = f"  held-out accuracy {accuracy:.3f}{'  *' if best else ''}" if held_out.size else ""
        say(f"  {label} epoch {epoch}/{settings.epochs}  loss {loss:.3f}{told}")
    state.restore_best()


def split_pictures(labels, share, seed):
    """(rows to train on, held-out rows): `share` of the pictures of each class, but never its last, held out."""
    random = loader.generator(seed, "held-out pictures")
    fitted, held_out = [], []
    for label in np.unique(labels):
        rows = random.permutation(np.flatnonzero(labels == label))
        count = min(round(share * len(rows)), len(rows) - 1)
        held_out.append(rows[:count])
        fitted.append(rows[count:])
    return np.sort(np.concatenate(fitted)), np.sort(np.concatenate(held_out))


def balanced_order(labels, random):
    """Positions in `labels` (n,) in an order where every class comes equally often, n of them: each class deals out its
    pictures in random order, and again when it has no more; each round takes one picture of every class."""
    classes = np.unique(labels)
    rounds = -(-len(labels) // len(classes))
    dealt = np.empty((rounds, len(classes)), np.int64)
    for column, label in enumerate(classes):
        rows = np.flatnonzero(labels == label)
        turns = -(-rounds // len(rows))
        dealt[:, column] = np.concatenate([random.permutation(rows) for _ in range(turns)])[:rounds]
    return random.permuted(dealt, axis=1).ravel()[: len(labels)]


def _run_epoch(step, training, fitted, epoch, steps, batch, seed):
    """Mean loss of one epoch over class-balanced batches; pictures that cannot be read leave their batch."""
    order = fitted[balanced_order(training.labels[fitted], loader.generator(seed, "batches", epoch))]
    batches = [order[start : start + batch] for start in range(0, len(order), batch)]
    total = 0.0
    for number, (inputs, rows) in enumerate(_fetched(training, batches[:steps])):
        targets = np.searchsorted(training.classes, training.labels[rows])
        assert (training.classes[targets] == training.labels[rows]).all(), "an unseen picture in a training batch"
        if len(rows):
            total += float(step(inputs, tf.constant(targets), tf.constant((epoch - 1) * steps + number)))
    return total / steps


def _fetched(training, batches):
    """Yields (inputs, their rows) of each batch of rows, read ahead, without the unreadable ones."""
    for rows, (inputs, readable) in zip(batches, pictures.ahead(training.fetch, batches), strict=True):
        yield tf.constant(inputs[readable]), rows[readable]


def _accuracy(hits, training, rows, batch):
    """Share of the held-out pictures whose class has the largest logit."""
    right = total = 0
    for inputs, kept in _fetched(training, np.split(rows, range(batch, len(rows), batch))):
        right += int(hits(inputs, tf.constant(np.searchsorted(training.classes, training.labels[kept]))))
        total += len(kept)
    return right / max(total, 1)


def _compile(state, augment, recipe, seed):
    """step(inputs, targets, number) -> loss, updating the weights; hits(inputs, targets) -> right answers."""
    model, classifier = state.model.layers
    (optimizer,) = state.optimizers
    any_batch = tf.TensorSpec((None, *model.input_shape[1:]), model.input.dtype)
    any_targets, scalar = tf.TensorSpec((None,), tf.int64), tf.TensorSpec((), tf.int32)
    classes = classifier.units
    smooth = recipe.smoothing / classes

    @tf.function(input_signature=(any_batch, any_targets, scalar))
    def step(inputs, targets, number):
        noise = tf.stack([seed, number])
        if augment:
            inputs = augment(inputs, noise)
        with tf.GradientTape() as tape:
            features = tf.nn.experimental.stateless_dropout(model(inputs, training=True), recipe.dropout, noise)
            goal = tf.one_hot(targets, classes, 1 - recipe.smoothing + smooth, smooth)
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(goal, classifier(features)))
            scaled = optimizer.scale_loss(loss)
        variables = state.model.trainable_variables
        optimizer.apply(tape.gradient(scaled, variables), variables)
        return loss

    @tf.function(input_signature=(any_batch, any_targets))
    def hits(inputs, targets):
        logits = classifier(model(inputs, training=False))
        return tf.math.count_nonzero(tf.argmax(logits, axis=1) == targets)

    return step, hits


def warped(images, seed, modality, warp):
    """uint8 images (batch, size, size, 3), each seen through a random window that is turned (rad), sheared, shifted (of
    its side), and flipped by chance, within the limits of `warp`, a `recipes.Warp`.

    Beyond the border a photo is continued, a sketch white. A function of `seed` (2,).
    """
    count, size = tf.shape(images)[0], images.shape[1]
    draws = tf.random.stateless_uniform((6, count), seed, -1.0, 1.0)
    angle, slant = draws[0] * warp.turn, draws[1] * warp.shear
    low, high = getattr(warp, modality)
    side = (low + high) / 2 + draws[2] * (high - low) / 2
    reach = tf.abs(1 - side) / 2 if warp.shift is None else warp.shift
    right, down = draws[3] * reach * size, draws[4] * reach * size
    mirror = tf.where(draws[5] < 0, -1.0, 1.0) if warp.flip else tf.ones(count)
    cos, sin = tf.cos(angle) * side, tf.sin(angle) * side
    middle, zero = (size - 1) / 2, tf.zeros(count)
    across, along = cos * mirror, sin * mirror
    rows = [
        across, slant - sin, middle * (1 - across + sin - slant) + right,
        along, cos, middle * (1 - along - cos) + down,
        zero, zero,
    ]  # fmt: skip
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack(rows, axis=1),
        output_shape=[size, size],
        fill_value=255.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST" if modality == "photo" else "CONSTANT",
    )


def picture_source(paths, size, shrink=None):
    """fetch(rows) -> (pictures, readable), from memory if all of them fit, else read anew each time."""

    def read(rows):
        return pictures.read_pictures([paths[row] for row in rows], size, shrink)

    if len(paths) * size * size * 3 > CACHE_BYTES:
        return read
    parts = np.array_split(np.arange(len(paths)), max(1, len(paths) // 64))
    images, readable = map(np.concatenate, zip(*pictures.ahead(read, parts), strict=True))
    return lambda rows: (images[rows], readable[rows])


def freeze_below(model, last_block):
    """Leaves only the last block, and what follows the backbone, to be trained. A frozen batch normalisation keeps
    its statistics too."""
    reached = False
    for layer in model.layers:
        reached = reached or layer.name.startswith(last_block)
        layer.trainable = reached
