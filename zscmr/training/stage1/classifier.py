"""Training of a CNN, or of a head on its output, on the classes of one modality's pictures."""

from dataclasses import dataclass
from functools import partial

import keras
import numpy as np
import tensorflow as tf

from zscmr.datasets import pictures
from zscmr.models.base import ParameterGroup
from zscmr.training.state import State, restore_newest
from zscmr.training.strategies import Gather, is_chief, on_replicas, synchronise_norms
from zscmr.utils.console import Progress, say
from zscmr.utils.errors import BadInput
from zscmr.utils.seeds import generator

CACHE_BYTES = 2**31  # decoded pictures are kept in memory between epochs up to this size

OPTIMIZERS = {
    "adamw": partial(keras.optimizers.AdamW, weight_decay=1e-2),
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": partial(keras.optimizers.SGD, momentum=0.9, nesterov=True),
}


@dataclass(frozen=True)
class Lesson:
    """What a CNN is trained on: `fetch(rows)` gives (inputs, readable) of row numbers, `labels` (n,) the class of each
    row, all of them among `classes`; `augment(inputs, seed pair)` is a tensor function or None."""

    fetch: callable
    labels: np.ndarray
    classes: np.ndarray
    augment: callable


def train_classifier(model, lesson, settings, recipe, seed, folder, label):
    """Train `model` (inputs -> features) with a softmax over `lesson.classes`, in place.

    A share of the pictures of each class is held out. The epoch with the best accuracy on them is kept, and training
    ends after `settings.patience` epochs without a better one. Each epoch leaves a checkpoint in `folder`, from which
    a later call resumes. Batches, augmentation and dropout are functions of (seed, epoch). Under a strategy each
    replica takes its share of a batch; only the chief writes.
    """
    fitted, held_out = split_pictures(lesson.labels, settings.held_out, seed)
    steps = max(1, len(fitted) // settings.batch_size)
    synchronise_norms(model)
    keras.utils.set_random_seed(seed)
    classifier = keras.layers.Dense(len(lesson.classes), dtype="float32", name="classes")
    classifier.build(model.output_shape)
    schedule = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate / 10, settings.epochs * steps, warmup_target=settings.learning_rate, warmup_steps=steps
    )
    optimizer = OPTIMIZERS[recipe.optimizer](schedule)
    if keras.mixed_precision.global_policy().name == "mixed_float16":
        optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)
    network = keras.Sequential([model, classifier])
    state = State(network, [ParameterGroup(("cross-entropy",), network.trainable_variables, optimizer)])
    saved = tf.train.Checkpoint(state=state)
    checkpoints = tf.train.CheckpointManager(saved, folder, max_to_keep=1)
    _ = saved.save_counter  # a variable made at first use; all workers have to make it, at the same time
    if restore_newest(saved, checkpoints, state):
        say(f"{label}: goes on after epoch {int(state.epoch.numpy())}")
    step, hits = compile_steps(state, lesson.augment, recipe, seed)
    with Progress(f"{label}: training, epoch", settings.epochs) as progress:
        for epoch in range(int(state.epoch.numpy()) + 1, settings.epochs + 1):
            if held_out.size and epoch - 1 - int(state.best_epoch.numpy()) >= settings.patience:
                break
            loss = train_epoch(step, lesson, fitted, epoch, steps, settings.batch_size, seed)
            if not np.isfinite(loss):
                raise BadInput(f"{label}: the loss of epoch {epoch} is {loss}; a lower --learning-rate may help")
            state.epoch.assign(epoch)
            accuracy = held_out_accuracy(hits, lesson, held_out, settings.batch_size) if held_out.size else float(epoch)
            state.note_score(accuracy)
            if is_chief():
                checkpoints.save(epoch)
            progress.update(epoch, f"loss {loss:.3f}" + f"  held-out accuracy {accuracy:.3f}" * bool(held_out.size))
    state.restore_best()
    chosen = f"epoch {int(state.best_epoch.numpy())} of {int(state.epoch.numpy())} chosen"
    say(f"{label}: {chosen}" + f", held-out accuracy {float(state.best_score.numpy()):.3f}" * bool(held_out.size))


def split_pictures(labels, share, seed):
    """(rows to train on, held-out rows): `share` of the pictures of each class, but never its last, held out."""
    random = generator(seed, "held-out pictures")
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


def train_epoch(step, lesson, fitted, epoch, steps, batch, seed):
    """Mean loss of one epoch over class-balanced batches; pictures that cannot be read leave their batch, as do those
    beyond a multiple of the replicas."""
    order = fitted[balanced_order(lesson.labels[fitted], generator(seed, "batches", epoch))]
    batches = [order[start : start + batch] for start in range(0, len(order), batch)]
    total = 0.0
    for number, (inputs, rows) in enumerate(_fetched(lesson, batches[:steps])):
        shared = len(rows) - len(rows) % tf.distribute.get_strategy().num_replicas_in_sync
        inputs, rows = inputs[:shared], rows[:shared]
        targets = np.searchsorted(lesson.classes, lesson.labels[rows])
        assert (lesson.classes[targets] == lesson.labels[rows]).all(), "an unseen picture in a training batch"
        if len(rows):
            total += float(step(inputs, tf.constant(targets), tf.constant((epoch - 1) * steps + number)))
    return total / steps


def _fetched(lesson, batches):
    """Yield (inputs, their rows) of each batch of rows, read ahead, without the unreadable ones."""
    for rows, (inputs, readable) in zip(batches, pictures.ahead(lesson.fetch, batches), strict=True):
        yield tf.constant(inputs[readable]), rows[readable]


def held_out_accuracy(hits, lesson, rows, batch):
    """Share of the held-out pictures whose class has the largest logit."""
    right = total = 0
    for inputs, kept in _fetched(lesson, np.split(rows, range(batch, len(rows), batch))):
        right += int(hits(inputs, tf.constant(np.searchsorted(lesson.classes, lesson.labels[kept]))))
        total += len(kept)
    return right / max(total, 1)


def compile_steps(state, augment, recipe, seed):
    """step(inputs, targets, number) -> loss, updating the weights; hits(inputs, targets) -> right answers."""
    model, classifier = state.model.layers
    (optimizer,) = state.optimizers
    any_batch = tf.TensorSpec((None, *model.input_shape[1:]), model.input.dtype)
    any_targets, scalar = tf.TensorSpec((None,), tf.int64), tf.TensorSpec((), tf.int32)
    classes = classifier.units
    smooth = recipe.smoothing / classes
    gather = Gather(tf.distribute.get_strategy().num_replicas_in_sync)

    def own_step(inputs, targets, number):
        """`step` of a replica, whose share of the batch begins with its first row."""
        noise = tf.stack([seed, number])
        batch = tf.shape(targets)[0]
        if augment:
            inputs = augment(inputs, noise)  # of the whole batch, so that it does not depend on the devices
        inputs, targets = gather.own(inputs), gather.own(targets)
        with tf.GradientTape() as tape:
            features = model(inputs, training=True)
            if gather.replicas == 1:
                features = tf.nn.experimental.stateless_dropout(features, recipe.dropout, noise)
            else:
                kept = tf.nn.experimental.stateless_dropout(tf.ones((batch, features.shape[1])), recipe.dropout, noise)
                features *= gather.own(kept)
            goal = tf.one_hot(targets, classes, 1 - recipe.smoothing + smooth, smooth)
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(goal, classifier(features)))
            scaled = optimizer.scale_loss(loss / gather.replicas)
        variables = state.model.trainable_variables
        optimizer.apply(tape.gradient(scaled, variables), variables)
        return gather.mean(loss)

    step = tf.function(on_replicas(own_step), input_signature=(any_batch, any_targets, scalar))

    @tf.function(input_signature=(any_batch, any_targets))
    def hits(inputs, targets):
        logits = classifier(model(inputs, training=False))
        return tf.math.count_nonzero(tf.argmax(logits, axis=1) == targets)

    return step, hits


def picture_source(paths, preprocessing, shrink=None):
    """fetch(rows) -> (pictures, readable), from memory if all of them fit, else read anew each time."""

    def read(rows):
        return pictures.read_pictures([paths[row] for row in rows], preprocessing, shrink)

    if 3 * len(paths) * preprocessing.size**2 > CACHE_BYTES:
        return read
    parts = np.array_split(np.arange(len(paths)), max(1, len(paths) // 64))
    images, readable = map(np.concatenate, zip(*pictures.ahead(read, parts), strict=True))
    return lambda rows: (images[rows], readable[rows])


def freeze_below(model, last_block):
    """Leave only the last block, and what follows the backbone, to be trained. A frozen batch normalisation keeps
    its statistics too."""
    reached = False
    for layer in model.layers:
        reached = reached or layer.name.startswith(last_block)
        layer.trainable = reached
