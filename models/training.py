"""The training loop that the systems share: an epoch is one compiled function over index batches.

Features, labels and class vectors stay on the device as tensors; a step gathers its rows by index, so nothing is
copied to the host inside an epoch. A system offers `terms(...)` (named scalar losses) and trainable variables.
"""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

NOISE_STREAMS = 64  # noise seeds set aside per step, one for each place a system draws noise


@dataclass(frozen=True)
class Resident:
    """A dataset on the device: `photos` (n, F), `sketches` (m, F') float32; `labels` (n,) int32 class of each photo;
    `class_vectors` (C, S); `position` (C,) int32 place of a class among the trained ones, −1 for all others."""

    photos: tf.Tensor
    sketches: tf.Tensor
    labels: tf.Tensor
    class_vectors: tf.Tensor
    position: tf.Tensor


def make_resident(dataset, trained):
    """Puts a `UxUyLoader.Dataset` on the device; `trained` are the class indices the classifier knows."""
    position = np.full(len(dataset.classes), -1, np.int32)
    position[trained] = np.arange(len(trained))
    return Resident(
        photos=tf.constant(dataset.photo.features),
        sketches=tf.constant(dataset.sketch.features),
        labels=tf.constant(dataset.photo.labels.astype(np.int32)),
        class_vectors=tf.constant(dataset.class_vectors),
        position=tf.constant(position),
    )


class State(tf.Module):
    """Everything a run has to remember between epochs; what a checkpoint holds.

    Weights, optimiser, epochs done, and the weights, score and epoch of the best epoch so far.
    """

    def __init__(self, model, optimizer):
        super().__init__()
        self.model = model
        self.optimizer = optimizer
        self.optimizer.build(model.trainable_variables)
        self.epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.best_epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.best_score = tf.Variable(-1.0, dtype=tf.float64, trainable=False)
        self.best_weights = [tf.Variable(weight, trainable=False) for weight in model.weights]

    def note_score(self, score):
        """Keeps the present weights if `score` beats that of every epoch before; returns whether it does."""
        better = score > float(self.best_score)
        if better:
            self.best_score.assign(score)
            self.best_epoch.assign(self.epoch)
            for kept, weight in zip(self.best_weights, self.model.weights, strict=True):
                kept.assign(weight)
        return better

    def restore_best(self):
        for kept, weight in zip(self.best_weights, self.model.weights, strict=True):
            weight.assign(kept)


def compile_epoch(state, resident, names, weights, seed):
    """Returns epoch(triads, first step) -> mean of each loss term over the epoch's steps, (terms,) float32.

    The objective is the weighted sum of the terms `names`; `weights` maps each to its weight. `triads` are the four
    index arrays (steps, batch) int32 of `UxUyLoader.draw_triads`. Dropout noise is a function of (seed, step).
    """
    model, optimizer = state.model, state.optimizer
    factors = tf.constant([weights[name] for name in names], tf.float32)

    def step(photo, sketch, negative_photo, negative_sketch, number):
        labels = tf.gather(resident.labels, photo)
        with tf.GradientTape() as tape:
            terms = model.terms(
                tf.gather(resident.photos, photo),
                tf.gather(resident.sketches, sketch),
                tf.gather(resident.photos, negative_photo),
                tf.gather(resident.sketches, negative_sketch),
                tf.gather(resident.class_vectors, labels),
                tf.gather(resident.position, labels),
                noise=tf.stack([seed, number * NOISE_STREAMS]),
            )
            values = tf.stack([terms[name] for name in names])
            objective = tf.reduce_sum(factors * values)
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(objective, variables), variables)
        return values

    @tf.function
    def epoch(photo, sketch, negative_photo, negative_sketch, first):
        steps = tf.shape(photo)[0]
        total = tf.zeros(len(names))
        for index in tf.range(steps):
            total += step(photo[index], sketch[index], negative_photo[index], negative_sketch[index], first + index)
        return total / tf.cast(steps, tf.float32)

    def run(triads, first):
        arrays = (triads.photo, triads.sketch, triads.negative_photo, triads.negative_sketch)
        return epoch(*map(tf.constant, arrays), tf.constant(first, tf.int32)).numpy()

    return run


def embed(function, features, batch=8192):
    """`function` applied to features (n, F) in batches -> (n, t) float32 array on the host."""
    parts = [function(tf.constant(features[start : start + batch])) for start in range(0, len(features), batch)]
    return tf.concat(parts, axis=0).numpy()
