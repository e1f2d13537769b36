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
NOISE_STREAMS = 64  # noise seeds set aside per step, one for each place a system draws noise
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}  # --precision -> Keras policy; weights stay float32
UNROLLED = 2  # short steps per turn of the compiled loop: the second starts before the first has ended
FEW_WEIGHTS = 500_000  # up to this size steps are short; two long ones evict each other's matrices from the cache
FEW_STEPS = 8  # shorter epochs would not win back the time to compile a second step


def compile_epoch(state, source, names, weights, seed, jit=False):
    """Return epoch(triads, first step) -> mean of each loss term over the epoch's steps, (terms,) float32.

    The objective is the weighted sum of the terms `names`; `weights` maps each to its weight. `triads` are the four
    index arrays (steps, batch) int32 of `UxUyLoader.draw_triads`. Dropout noise is a function of (seed, step). `jit`
    compiles the step with XLA. To be called under the scope of the strategy that `state` was made under: each replica
    encodes its share of the batch, and all compute the terms of the whole batch.
    """
    replicas = tf.distribute.get_strategy().num_replicas_in_sync
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

    run_step = on_replicas(step)
    if source.streamed:
        run_batches = _compile_streamed(run_step, len(names))
    else:
        run_batches = _compile_resident(run_step, len(names), (1, photo_blocks, sketch_blocks), short)

    def run(triads, first):
        batches = step_rows(source.labels, triads, model)
        if source.streamed:
            return run_batches(stream(source, *batches, first), tf.constant(len(triads.photo))).numpy()
        return run_batches(tf.constant(np.int32(first)), tf.constant(np.concatenate(batches, axis=1))).numpy()

    return run


def _compile_resident(run_step, terms, blocks, short):
    """epoch(first step, batches (steps, columns)) -> mean terms; a row holds a step's index arrays side by side.

    Each array that a loop carries costs time. `blocks`: widths of the arrays in batches. `short`: two steps a turn.
    """

    @tf.function
    def epoch(first, batches):
        steps, columns = batches.shape
        widths = [columns // sum(blocks) * count for count in blocks]
        turn = UNROLLED if short and steps > FEW_STEPS else 1
        total = tf.zeros(terms)
        for i in range(steps % turn):
            total += run_step(first + i, *tf.split(batches[i], widths))
        for start in tf.range(steps % turn, steps, turn):
            for i in range(turn):
                total += run_step(first + start + i, *tf.split(batches[start + i], widths))
        return total / steps

    return epoch


def _compile_streamed(run_step, terms):
    """epoch(dataset of steps, their number) -> mean terms."""

    @tf.function
    def epoch(batches, steps):
        total = tf.zeros(terms)
        for batch in batches:
            total += run_step(*batch)
        return total / tf.cast(steps, tf.float32)

    return epoch


def train_step(state, weights, batch, noise, gather):
    """One step of every player on a `Batch`, terms weighted by `weights`; returns the terms as they were before it."""
    players = state.players
    with tf.GradientTape(persistent=len(players) > 1) as tape:
        terms = state.model.terms(batch, noise, gather)
        # every replica computes the terms of the whole batch, and their gradients are summed
        shares = {name: value * (weights[name] / gather.replicas) for name, value in terms.items() if weights[name]}
        goals = [tf.add_n([shares[name] for name in player.terms if name in shares] or [0.0]) for player in players]
    # all gradients are taken before any update; of tf.Variables, since a zero gradient needs their dtype
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
