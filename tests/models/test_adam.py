"""Adam against a slow loop in float64, and Keras' own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from zscmr.models.adam import Adam

STEPS = 50


def gradients(step):
    random = np.random.default_rng(step)
    return [random.normal(size=(3, 2)).astype(np.float32), random.normal(size=2).astype(np.float32)]


@pytest.mark.parametrize("rate", [0.01, keras.optimizers.schedules.CosineDecay(0.01, STEPS)], ids=["fixed", "cosine"])
def test_steps_are_those_of_the_formula_and_of_keras(rate):
    start = [np.ones((3, 2), np.float32), np.zeros(2, np.float32)]
    slow, m, v = [w.astype(np.float64) for w in start], [0.0, 0.0], [0.0, 0.0]
    ours, theirs = ([tf.Variable(w) for w in start] for _ in range(2))
    adam, keras_adam = Adam(rate), keras.optimizers.Adam(rate)
    adam.build(ours)
    keras_variables = [keras.Variable(w) for w in start]
    keras_adam.build(keras_variables)
    compiled = tf.function(lambda a, b: adam.apply([a, b], ours))
    for t in range(1, STEPS + 1):
        r = float(rate(t - 1)) if callable(rate) else rate
        for i, g in enumerate(gradients(t)):
            m[i], v[i] = 0.9 * m[i] + 0.1 * g, 0.999 * v[i] + 0.001 * g.astype(float) ** 2
            slow[i] = slow[i] - r * np.sqrt(1 - 0.999**t) / (1 - 0.9**t) * m[i] / (np.sqrt(v[i]) + 1e-7)
        compiled(*map(tf.constant, gradients(t)))
        keras_adam.apply(list(map(tf.constant, gradients(t))), keras_variables)
    assert int(adam.iterations) == STEPS and len(theirs) == 2
    for received, expected, keras_weight in zip(ours, slow, keras_variables, strict=True):
        np.testing.assert_allclose(received.numpy(), expected, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(received.numpy(), keras_weight.numpy(), rtol=1e-4, atol=1e-6)
