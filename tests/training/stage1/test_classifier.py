"""The classifier's batches, held-out pictures, noise, and steps whose gradients are not finite."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from zscmr.backbones import backbone
from zscmr.backbones.base import Recipe
from zscmr.training.stage1 import classifier
from zscmr.training.stage1.options import ClassifierOptions
from zscmr.training.stage1.precision import computing_in
from zscmr.training.stage1.spec import CnnSpec


@pytest.mark.parametrize(("per_class", "rounds"), [((3, 3, 3), 3), ((1, 4, 7), 4)])
def test_batches_are_balanced_over_classes(per_class, rounds):
    """Each round of three holds every class once; a class deals all of its pictures before one comes again."""
    labels = np.repeat(np.arange(3), per_class)
    order = classifier.balanced_order(labels, np.random.default_rng(0))
    assert len(order) == len(labels)
    for start in range(0, 3 * (len(labels) // 3), 3):
        assert sorted(labels[order[start : start + 3]]) == [0, 1, 2]
    for label, count in enumerate(per_class):
        dealt = order[labels[order] == label][: min(count, rounds)]
        assert len(set(dealt)) == len(dealt)


def test_held_out_pictures_are_of_every_class_and_replayable():
    labels = np.repeat(np.arange(4), (10, 10, 2, 1))
    fitted, held_out = classifier.split_pictures(labels, 0.3, seed=2)
    assert sorted([*fitted, *held_out]) == list(range(23))
    assert np.bincount(labels[held_out], minlength=4).tolist() == [3, 3, 1, 0]
    np.testing.assert_array_equal(held_out, classifier.split_pictures(labels, 0.3, seed=2)[1])


def trainer(random, precision="float32", augment=None, rows=24):
    """A trainer of one batch-normalised layer on vectors of three classes."""
    vectors, labels = random.normal(size=(rows, 5)).astype(np.float32), np.arange(rows) % 3
    training_set = classifier.LabelledInputs(
        lambda chosen: (vectors[chosen], np.ones(len(chosen), bool)), labels, np.arange(3), augment
    )
    spec = CnnSpec(backbone("small"), "head", "average", precision=precision)
    options = ClassifierOptions(spec, 0, Recipe("adamw", 1e-2, 3, batch_size=4, held_out=0.0), 5)
    with computing_in(precision):
        inputs = keras.Input((5,))
        outputs = keras.layers.Dense(6, dtype="float32")(keras.layers.BatchNormalization()(inputs))
        return classifier.ClassifierTrainer(keras.Model(inputs, outputs), training_set, options, "photo")


def test_no_two_draws_have_one_seed(random, monkeypatch):
    """Augmentation and dropout of all steps: TensorFlow gives equal numbers for equal seeds."""
    seeds, dropout = [], tf.nn.experimental.stateless_dropout

    def augment(inputs, seed):
        seeds.append(tuple(seed.numpy()))
        return inputs

    def watched(features, rate, seed):
        seeds.append(tuple(seed.numpy()))
        return dropout(features, rate, seed)

    monkeypatch.setattr(tf.nn.experimental, "stateless_dropout", watched)
    learner = trainer(random, augment=augment)
    for number in (0, 1, 2, 63, 64, 65, 128):
        learner.step(tf.zeros((3, 5)), tf.constant([0, 1, 2], tf.int64), tf.constant(number))
    assert len(seeds) == len(set(seeds)) == 14


def test_overflow_is_skipped_and_counted(random):
    """A scale of 2²⁶ overflows at first and is halved until it does not; weights and statistics stay as they were."""
    learner = trainer(random, "float16", rows=120)
    learner.optimizer.dynamic_scale.assign(2.0**26)
    before = [weight.numpy() for weight in learner.state.model.weights]
    learner._step(*batch(learner), tf.constant(0))
    for weight, old in zip(learner.state.model.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), old)
    assert np.isfinite(learner.epoch(1)) and 0 < learner.skipped < 20
    assert all(np.isfinite(weight.numpy()).all() for weight in learner.state.model.weights)


def batch(learner):
    inputs, _ = learner.training_set.fetch(np.arange(4))
    return tf.constant(1e4 * inputs), tf.constant([0, 1, 2, 0], tf.int64)


def test_steps_that_are_all_skipped_end_the_training(random, refused):
    learner = trainer(random, "float16")
    learner.classifier.kernel.assign(np.full((6, 3), np.nan))
    message = refused(learner.epoch, 1)
    assert message.startswith(
        "photo, epoch 1: the gradients of 6 steps in a row are not finite: numbers beyond float16"
    )
