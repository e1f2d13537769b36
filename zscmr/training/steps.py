"""The training loop that the systems share: an epoch is one compiled function over index batches.

Scaled features and class vectors stay on the device, and a step gathers its rows by index. Features larger than a
given budget stay on disk; the rows of the next steps are read while a step runs.
"""

from functools import partial

import numpy as np
import tensorflow as tf

from zscmr.models.base import Batch
from zscmr.training.sources import stream
from zscmr.training.strategies import Gather, on_replicas

ZERO = tf.UnconnectedGradients.ZERO
NOISE_STREAMS = 64  # noise seeds set aside per step, one for each draw of a system
#: --precision -> Keras policy; weights stay float32
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
UNROLLED = 2  # short steps per turn of the compiled loop: the second starts before the first has ended
FEW_WEIGHTS = 500_000  # up to this size steps are short; two long ones evict each other's matrices from the cache
FEW_STEPS = 8  # shorter epochs would not win back the time to compile a second step


class EpochRunner:
    """Trains epoch after epoch: runner(triads, first step) -> mean of each loss term over the steps, (terms,) float32.

    To be made and called under the scope of the strategy that `state` was made under. Each replica encodes its share of
    a batch. Dropout noise is a function of (seed, step).
    """

    def __init__(self, state, source, names, weights, seed, jit=False):
        """Prepare the steps; the first call compiles them.

        Args:
            state: `State` of a system.
            source: `Source` to read from.
            names: loss terms to report.
            weights: {loss term: weight} of the objective.
            seed: int, of the noise.
            jit: compile the step with XLA.
        """
        self.state, self.source, self.names, self.weights, self.seed = state, source, names, weights, seed
        model = state.model
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        self.gather = Gather(replicas)
        self.blocks = 1, 1 + model.negative_photos, 1 + model.negative_sketches  # of labels, photos, sketches
        self.short = replicas == 1 and model.count_params() <= FEW_WEIGHTS
        if source.streamed:
            self.read_photos, self.read_sketches = model.photo_scaling, model.sketch_scaling
        else:
            self.read_photos, self.read_sketches = (partial(tf.gather, x) for x in (source.photos, source.sketches))
        self.run_step = on_replicas(tf.function(self.step, jit_compile=True) if jit else self.step)
        self.run_resident, self.run_streamed = tf.function(self._resident), tf.function(self._streamed)

    def __call__(self, triads, first):
        """Train on the index arrays (steps, batch) of `batches.Triads`; `first`: number of the first step."""
        rows = step_rows(self.source.labels, triads, self.state.model)
        if self.source.streamed:
            return self.run_streamed(stream(self.source, *rows, first), tf.constant(len(triads.photo))).numpy()
        return self.run_resident(tf.constant(np.int32(first)), tf.constant(np.concatenate(rows, axis=1))).numpy()

    def step(self, number, labels, photos, sketches):
        """Train a replica's share of step `number`; return the loss terms (terms,).

        `labels` (batch,). `photos`, `sketches`: row numbers, or features if streamed, negatives appended.
        """
        _, photo_blocks, sketch_blocks = self.blocks
        labels = self.gather.local(labels)
        photos, sketches = self.gather.local(photos, photo_blocks), self.gather.local(sketches, sketch_blocks)
        vectors = tf.gather(self.source.class_vectors, labels)
        batch = Batch(self.read_photos(photos), self.read_sketches(sketches), vectors, labels)
        noise = tf.stack([self.seed, number * NOISE_STREAMS])
        terms = train_step(self.state, self.weights, batch, noise, self.gather)
        return tf.stack([terms[name] for name in self.names])

    def _resident(self, first, batches):
        """Mean terms of the steps in `batches` (steps, columns), a row of which holds a step's arrays side by side.

        They are one array, since each array that a loop carries costs time.
        """
        steps, columns = batches.shape
        widths = [columns // sum(self.blocks) * count for count in self.blocks]
        turn = UNROLLED if self.short and steps > FEW_STEPS else 1
        total = tf.zeros(len(self.names))
        for i in range(steps % turn):
            total += self.run_step(first + i, *tf.split(batches[i], widths))
        for start in tf.range(steps % turn, steps, turn):
            for i in range(turn):
                total += self.run_step(first + start + i, *tf.split(batches[start + i], widths))
        return total / steps

    def _streamed(self, batches, steps):
        """Mean terms of the `tf.data.Dataset` of so many steps."""
        total = tf.zeros(len(self.names))
        for batch in batches:
            total += self.run_step(*batch)
        return total / tf.cast(steps, tf.float32)


def train_step(state, weights, batch, noise, gather):
    """Update all parameter groups once; return the loss terms of before the update.

    Args:
        state: `State` of a system.
        weights: {loss term: weight}.
        batch: `Batch`, this replica's share.
        noise: seed (2,) of the step.
        gather: `Gather`.
    """
    with tf.GradientTape(persistent=len(state.groups) > 1) as tape:
        terms = state.model.terms(batch, noise, gather)
        # each replica has the terms of the whole batch, and the gradients of all are summed
        shares = {name: value * (weights[name] / gather.replicas) for name, value in terms.items() if weights[name]}
        goals = [tf.add_n([shares[name] for name in group.terms if name in shares] or [0.0]) for group in state.groups]
    # all gradients are taken before any update; of tf.Variables, since a zero gradient needs their dtype
    gradients = [
        tape.gradient(goal, [v.value for v in group.variables], unconnected_gradients=ZERO)
        for goal, group in zip(goals, state.groups, strict=True)
    ]
    for group, gradient in zip(state.groups, gradients, strict=True):
        group.optimizer.apply(gradient, group.variables)
    return terms


def step_rows(labels, triads, model):
    """Labels (steps, batch) and rows of photos and sketches (steps, batch or 2 batch), int32, negatives appended.

    Args:
        labels: class indices (n,) of all photos.
        triads: `batches.Triads`.
        model: system, which says whether it has negatives.
    """
    photos, sketches = triads.photo, triads.sketch
    if model.negative_photos:
        photos = np.concatenate([photos, triads.negative_photo], axis=1)
    if model.negative_sketches:
        sketches = np.concatenate([sketches, triads.negative_sketch], axis=1)
    return labels[triads.photo], photos, sketches
