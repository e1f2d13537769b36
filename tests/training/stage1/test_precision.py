"""Precision: which one is used, and steps whose gradients are not finite, which change nothing but their count."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from zscmr.models.adam import Adam
from zscmr.training.stage1 import precision
from zscmr.training.stage1.precision import StepGuard, computing_in, norm_statistics, restore_unless, usual_precision


class OneWeight:
    """A weight moved by Adam along given gradients, within a compiled step."""

    def __init__(self, guard):
        self.weight, self.optimizer, self.guard = tf.Variable([1.0, 2.0]), Adam(0.1), guard
        self.optimizer.build([self.weight])
        self.step = tf.function(self.step)

    def step(self, loss_gradient):
        gradient = loss_gradient * self.guard.scale_loss(tf.constant(1.0))
        return self.guard.apply([gradient], lambda gradients: self.optimizer.apply_summed(gradients, [self.weight]))

    def numbers(self):
        variables = (self.weight, *self.optimizer.first, *self.optimizer.second, self.optimizer.iterations)
        return [variable.numpy().tolist() for variable in variables]


@pytest.mark.parametrize("kind", ["float32", "bfloat16", "float16"])
def test_a_step_that_is_not_finite_changes_nothing(kind):
    guard = StepGuard(kind)
    model = OneWeight(guard)
    assert model.step(tf.constant([1.0, 1.0]))
    before = model.numbers()
    for gradient in ([np.nan, 1.0], [np.inf, -np.inf]):
        assert not model.step(tf.constant(gradient))
    assert model.numbers() == before and int(guard.skipped) == int(guard.in_a_row) == 2
    assert model.step(tf.constant([1.0, 1.0]))
    assert model.numbers() != before and (int(guard.skipped), int(guard.in_a_row)) == (2, 0)


def test_scale_finds_its_way():
    """The gradient 2¹⁰⁰ overflows float32 by a scale of 2⁴⁰, 2³⁹ … 2²⁸: after 13 halvings, 2²⁷, it does not."""
    guard = StepGuard("float16", start=2.0**40)
    model = OneWeight(guard)
    applied = [bool(model.step(tf.constant([2.0**100, 0.0]))) for _ in range(15)]
    assert applied == [False] * 13 + [True] * 2 and guard.scale.numpy() == 2.0**27


def test_scale_grows_after_steady_steps(monkeypatch):
    monkeypatch.setattr(precision, "STEADY", 3)
    guard = StepGuard("float16", start=8.0)
    model = OneWeight(guard)
    scales = []
    for _ in range(7):
        model.step(tf.constant([1.0, 1.0]))
        scales.append(float(guard.scale))
    assert scales == [8, 8, 16, 16, 16, 32, 32]


def test_scaled_and_unscaled_steps_are_the_same():
    one, other = OneWeight(StepGuard("float32")), OneWeight(StepGuard("float16"))
    for gradient in ([1.0, -2.0], [0.5, 3.0]):
        one.step(tf.constant(gradient)), other.step(tf.constant(gradient))
    assert one.numbers() == other.numbers()


def test_statistics_are_kept_from_a_skipped_step():
    norm = keras.layers.BatchNormalization()
    inputs = keras.Input((2,))
    model = keras.Model(inputs, norm(inputs))
    statistics = norm_statistics(model, model)
    assert statistics == [norm.moving_mean, norm.moving_variance]

    @tf.function
    def step(rows, applied):
        before = [tf.identity(variable.value) for variable in statistics]
        model(rows, training=True)
        restore_unless(applied, statistics, before)

    step(tf.fill((4, 2), np.float32(np.inf)), tf.constant(False))
    assert [weight.numpy().tolist() for weight in statistics] == [[0, 0], [1, 1]]
    step(tf.ones((4, 2)), tf.constant(True))
    assert norm.moving_mean.numpy()[0] > 0
    norm.trainable = False
    assert norm_statistics(model) == []


def test_precision_of_the_machine(monkeypatch):
    assert usual_precision() == "float32" or precision.has_gpu()
    monkeypatch.setattr(precision, "has_gpu", lambda: True)
    for capability, expected in (((7, 5), "float16"), ((8, 0), "bfloat16"), ((9, 0), "bfloat16"), (None, "float16")):
        details = {} if capability is None else {"compute_capability": capability}
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a GPU"])
        monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu, found=details: found)
        assert usual_precision() == expected


def test_policy_ends_with_its_block():
    with pytest.raises(KeyError, match="stop"), computing_in("bfloat16"):
        assert keras.mixed_precision.global_policy().name == "mixed_bfloat16"
        raise KeyError("stop")
    assert keras.mixed_precision.global_policy().name == "float32"
