"""Training of a CNN, or of a head on its output, on the classes of one modality's pictures."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import keras
import numpy as np
import tensorflow as tf

from zscmr.datasets import pictures
from zscmr.models.adam import summed
from zscmr.models.base import ParameterGroup
from zscmr.training.stage1.examples import READ
from zscmr.training.stage1.precision import (
    MOST_SKIPPED,
    START,
    STEADY,
    all_finite,
    norm_statistics,
    out_of_range,
    restore_unless,
)
from zscmr.training.state import State, restore_newest
from zscmr.training.steps import NOISE_STREAMS
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
class LabelledInputs:
    """What a CNN learns.

    Args:
        fetch: row numbers → (inputs, readable).
        labels: (n,) class of each row, all of them among `classes`.
        classes: class indices.
        augment: (inputs, seed (2,)) → inputs, of tensors; or None.
    """

    fetch: Callable
    labels: np.ndarray
    classes: np.ndarray
    augment: Callable | None


class ClassifierTrainer:
    """Trains a model, inputs → features, in place, with a softmax over the classes of a training set.

    To be made and used within the scope of a strategy, whose replicas each take a share of every batch. Batches,
    augmentation and dropout are functions of (seed, epoch).

    Args:
        model: inputs → features (batch, F).
        training_set: `LabelledInputs`.
        options: `ClassifierOptions`.
        label: names the modality in messages.
    """

    def __init__(self, model, training_set, options, label):
        self.model, self.training_set, self.options, self.label = model, training_set, options, label
        recipe, seed = options.recipe, options.seed
        self.fitted, self.held_out = split_pictures(training_set.labels, recipe.held_out, seed)
        self.steps = max(1, len(self.fitted) // recipe.batch_size)
        self.gather = Gather(tf.distribute.get_strategy().num_replicas_in_sync)
        synchronise_norms(model)
        keras.utils.set_random_seed(seed)
        self.classifier = keras.layers.Dense(len(training_set.classes), dtype="float32", name="classes")
        self.classifier.build(model.output_shape)
        self.optimizer = self._optimizer()
        self.skipped = 0  # steps of this call
        network = keras.Sequential([model, self.classifier])
        self.state = State(network, [ParameterGroup(("cross-entropy",), network.trainable_variables, self.optimizer)])
        self.statistics = norm_statistics(model) if self._half else []
        any_batch = tf.TensorSpec((None, *model.input_shape[1:]), model.input.dtype)
        any_targets, scalar = tf.TensorSpec((None,), tf.int64), tf.TensorSpec((), tf.int32)
        self._step = tf.function(on_replicas(self.step), input_signature=(any_batch, any_targets, scalar))
        self._hits = tf.function(self._count_hits, input_signature=(any_batch, any_targets))

    @property
    def _half(self):
        """Whether gradients may leave the range of their numbers, and the loss is scaled for that."""
        return self.options.spec.precision == "float16"

    def _optimizer(self):
        recipe, steps = self.options.recipe, self.steps
        peak = recipe.learning_rate
        schedule = keras.optimizers.schedules.CosineDecay(
            peak / 10, recipe.epochs * steps, warmup_target=peak, warmup_steps=steps
        )
        optimizer = OPTIMIZERS[recipe.optimizer](schedule)
        return keras.mixed_precision.LossScaleOptimizer(optimizer, START, STEADY) if self._half else optimizer

    def fit(self, folder):
        """Train until the last epoch, or for `patience` epochs without a better accuracy on held-out pictures.

        The best epoch is kept. Each epoch leaves a checkpoint in `folder`, from which a later call resumes; only the
        chief writes. Raises BadInput for a loss or gradients that are not finite.
        """
        state, held_out = self.state, self.held_out
        saved = tf.train.Checkpoint(state=state)
        checkpoints = tf.train.CheckpointManager(saved, folder, max_to_keep=1)
        _ = saved.save_counter  # a variable made at first use; all workers have to make it, at the same time
        if restore_newest(saved, checkpoints, state):
            say(f"{self.label}: goes on after epoch {int(state.epoch.numpy())}")
        epochs = self.options.recipe.epochs
        with Progress(f"{self.label}: training, epoch", epochs) as progress:
            for epoch in range(int(state.epoch.numpy()) + 1, epochs + 1):
                if held_out.size and epoch - 1 - int(state.best_epoch.numpy()) >= self.options.patience:
                    break
                loss = self.epoch(epoch)
                if not np.isfinite(loss):
                    hint = "a lower --learning-rate may help"
                    raise BadInput(f"{self.label}: the loss of epoch {epoch} is {loss}; {hint}")
                state.epoch.assign(epoch)
                accuracy = self.accuracy() if held_out.size else float(epoch)
                state.note_score(accuracy)
                if is_chief():
                    checkpoints.save(epoch)
                shown = f"loss {loss:.3f}" + f"  held-out accuracy {accuracy:.3f}" * bool(held_out.size)
                progress.update(epoch, shown + f"  {self.skipped} steps skipped" * bool(self.skipped))
        state.restore_best()
        chosen = f"{self.label}: epoch {int(state.best_epoch.numpy())} of {int(state.epoch.numpy())} chosen"
        say(chosen + f", held-out accuracy {float(state.best_score.numpy()):.3f}" * bool(held_out.size))

    def epoch(self, number):
        """Train epoch `number`, from 1, over class-balanced batches; return the mean loss.

        Pictures that cannot be read leave their batch, as do those beyond a multiple of the replicas. Raises BadInput
        where too many steps in a row had gradients that are not finite.
        """
        batch = self.options.recipe.batch_size
        labels, classes = self.training_set.labels, self.training_set.classes
        random = generator(self.options.seed, "batches", number)
        order = self.fitted[balanced_order(labels[self.fitted], random)]
        batches = [order[start : start + batch] for start in range(0, len(order), batch)]
        total, in_a_row = np.zeros(2), 0
        for i, (inputs, rows) in enumerate(self._fetched(batches[: self.steps])):
            shared = len(rows) - len(rows) % self.gather.replicas
            inputs, rows = inputs[:shared], rows[:shared]
            targets = np.searchsorted(classes, labels[rows])
            assert (classes[targets] == labels[rows]).all(), "an unseen picture in a training batch"
            if not len(rows):
                continue
            row = self._step(inputs, tf.constant(targets), tf.constant((number - 1) * self.steps + i)).numpy()
            total += row
            in_a_row = 0 if row[1] else in_a_row + 1
            self.skipped += not row[1]
            if in_a_row == MOST_SKIPPED:
                break
        if in_a_row and (in_a_row == MOST_SKIPPED or not total[1]):
            raise out_of_range(f"{self.label}, epoch {number}", self.options.spec.precision, in_a_row)
        return total[0] / max(total[1], 1)

    def _fetched(self, batches):
        """Yield (inputs, their rows) of each batch of rows, read ahead, without the unreadable ones."""
        for rows, (inputs, readable) in zip(batches, pictures.ahead(self.training_set.fetch, batches), strict=True):
            yield tf.constant(inputs[readable]), rows[readable]

    def step(self, inputs, targets, number):
        """One step within a replica, whose share of the batch begins with its first row.

        Returns the mean loss and 1, or 0 and 0 for a step that is skipped.

        Args:
            inputs: the whole batch.
            targets: (batch,) int64 positions of the classes in `training_set.classes`.
            number: of the step, from 0, int32.
        """
        recipe, gather, classes = self.options.recipe, self.gather, self.classifier.units
        smooth = recipe.smoothing / classes
        noise = tf.stack([self.options.seed, number * NOISE_STREAMS])
        dropped = noise + tf.constant([0, 1])
        batch = tf.shape(targets)[0]
        if self.training_set.augment:
            # of the whole batch, so that it does not depend on the devices
            inputs = self.training_set.augment(inputs, noise)
        inputs, targets = gather.local(inputs), gather.local(targets)
        before = [tf.identity(variable.value) for variable in self.statistics]
        with tf.GradientTape() as tape:
            features = self.model(inputs, training=True)
            if gather.replicas == 1:
                features = tf.nn.experimental.stateless_dropout(features, recipe.dropout, dropped)
            else:
                ones = tf.ones((batch, features.shape[1]))
                features *= gather.local(tf.nn.experimental.stateless_dropout(ones, recipe.dropout, dropped))
            goal = tf.one_hot(targets, classes, 1 - recipe.smoothing + smooth, smooth)
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(goal, self.classifier(features)))
            scaled = self.optimizer.scale_loss(loss / gather.replicas)
        variables = self.state.model.trainable_variables
        gradients = tape.gradient(scaled, variables)
        self.optimizer.apply(gradients, variables)
        applied = tf.constant(True)
        if self._half:  # where it skips steps of other gradients
            applied = all_finite(summed(gradients))
            restore_unless(applied, self.statistics, before)
        row = tf.stack([gather.mean(loss), 1.0])
        return tf.where(applied, row, tf.zeros_like(row))

    def _count_hits(self, inputs, targets):
        logits = self.classifier(self.model(inputs, training=False))
        return tf.math.count_nonzero(tf.argmax(logits, axis=1) == targets)

    def accuracy(self):
        """Share of the held-out pictures whose class has the largest logit."""
        rows, batch = self.held_out, self.options.recipe.batch_size
        labels, classes = self.training_set.labels, self.training_set.classes
        right = total = 0
        for inputs, rows_read in self._fetched(np.split(rows, range(batch, len(rows), batch))):
            right += int(self._hits(inputs, tf.constant(np.searchsorted(classes, labels[rows_read]))))
            total += len(rows_read)
        return right / max(total, 1)


def split_pictures(labels, share, seed):
    """(rows to train on, held-out rows): `share` of the pictures of each class is held out, but not all of them."""
    random = generator(seed, "held-out pictures")
    fitted, held_out = [], []
    for label in np.unique(labels):
        rows = random.permutation(np.flatnonzero(labels == label))
        count = min(round(share * len(rows)), len(rows) - 1)
        held_out.append(rows[:count])
        fitted.append(rows[count:])
    return np.sort(np.concatenate(fitted)), np.sort(np.concatenate(held_out))


def balanced_order(labels, random):
    """Positions (n,) in `labels` (n,): round-robin over the classes, each reshuffled when exhausted."""
    classes = np.unique(labels)
    rounds = -(-len(labels) // len(classes))
    drawn = np.empty((rounds, len(classes)), np.int64)
    for column, label in enumerate(classes):
        rows = np.flatnonzero(labels == label)
        turns = -(-rounds // len(rows))
        drawn[:, column] = np.concatenate([random.permutation(rows) for _ in range(turns)])[:rounds]
    return random.permuted(drawn, axis=1).ravel()[: len(labels)]


def picture_source(modality):
    """fetch(rows) → (pictures, readable) of a `PictureSet`, from memory if all of them fit, else read each time."""
    if modality.nbytes > CACHE_BYTES:
        return modality.read
    parts = np.array_split(np.arange(len(modality.paths)), max(1, len(modality.paths) // READ))
    images, readable = map(np.concatenate, zip(*pictures.ahead(modality.read, parts), strict=True))
    return lambda rows: (images[rows], readable[rows])
