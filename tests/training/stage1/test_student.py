"""The student's parts: what is frozen, where it is cut, how it imitates its teacher."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from zscmr.models.losses import cosine_loss, soft_cross_entropy
from zscmr.training.stage1.student import Student, bare_system, cut, freeze, vectors_of_classes
from zscmr.training.strategies import Gather


def network(name="network"):
    inputs = keras.Input((6,))
    x = keras.layers.Dense(5, name="first")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Dense(4, name="second")(x)
    return keras.Model(inputs, keras.layers.BatchNormalization(name="second_norm")(x), name=name)


@pytest.mark.parametrize(
    ("first", "norms", "trained"),
    [
        ("", True, ["first", "norm", "second", "second_norm"]),
        ("", False, ["first", "second"]),
        ("second", True, ["second", "second_norm"]),
        ("second", False, ["second"]),
    ],
)
def test_frozen_layers(first, norms, trained):
    model = network()
    freeze(model, first, norms)
    assert [layer.name for layer in model.layers if layer.weights and layer.trainable] == trained


def test_both_parts_of_a_cut_are_the_network(random):
    model, rows = network(), random.normal(size=(3, 6)).astype(np.float32)
    lower, upper = cut(model, "second")
    np.testing.assert_array_equal(upper(lower(rows)), model(rows))
    assert cut(model, "") == (None, model)
    with pytest.raises(ValueError, match="no layer begins with third"):
        cut(model, "third")


def test_shared_and_own_networks():
    one, other = network(), network("other")
    assert Student(one, one, None, None).shared and not Student(one, other, None, None).shared
    assert Student(one, one, None, None).networks == {"photo": one, "sketch": one}
    assert Student(one, other, None, None).networks == {"photo": one, "sketch": other}


def test_unpaired_sketches_should_be_taken_for_what_they_show(random):
    """By hand: -log of the probability of all right classes; sketches of things that ImageNet lacks do not count."""
    kernel, bias = random.normal(size=(4, 5)).astype(np.float32), random.normal(size=5).astype(np.float32)
    features, labels = random.normal(size=(3, 4)).astype(np.float32), [2, 0, 1]
    prototypes = np.array([[0, 0, 0, 0, 0], [0, 1, 0, 0, 1], [1, 0, 0, 0, 0]], np.float32)
    one = network()
    student = Student(one, one, None, (kernel, bias), prototypes=prototypes)
    odds = np.exp(features @ kernel + bias)
    expected = -np.log([odds[0, 0] / odds[0].sum(), (odds[2, 1] + odds[2, 4]) / odds[2].sum()]).mean()
    received = student.recognition(features, tf.constant(labels), Gather(replicas=1))
    assert float(received) == pytest.approx(expected, rel=1e-5)
    assert float(student.recognition(features, tf.constant([0, 0, 0]), Gather(replicas=1))) == 0
    assert Student(one, one, None, (kernel, bias), prototypes=prototypes[:1]).prototypes is None


def test_imitation_is_by_the_classifier_where_there_is_one(random):
    features, answers = (tf.constant(random.normal(size=(3, 4)), tf.float32) for _ in range(2))
    kernel, bias = random.normal(size=(4, 7)).astype(np.float32), random.normal(size=7).astype(np.float32)
    one = network()
    without = Student(one, one, None, None).imitation(features, answers)
    np.testing.assert_allclose(without, cosine_loss(features, answers), rtol=1e-6)
    received = Student(one, one, None, (kernel, bias)).imitation(features, answers)
    expected = soft_cross_entropy(features @ kernel + bias, answers @ kernel + bias)
    np.testing.assert_allclose(received, expected, rtol=1e-5)


def test_class_vectors_are_of_the_classes_asked_for(tmp_path):
    np.savez(tmp_path / "v.npz", classes=["bee", "ant", "cow"], vectors=np.arange(6.0).reshape(3, 2))
    np.testing.assert_array_equal(vectors_of_classes(tmp_path / "v.npz", ["ant", "bee"]), [[2, 3], [0, 1]])
    np.testing.assert_array_equal(vectors_of_classes(None, ["ant", "bee"]), np.zeros((2, 1)))


def test_bare_system_takes_features_of_the_width():
    system = bare_system("paper", 9)
    assert system.embed(tf.zeros((2, 9)), "sketch").shape == (2, 64)
