"""Weights are saved and restored by name."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers.project import prepare

from zscmr.models.base import ParameterGroup
from zscmr.training.stage2 import train as stage2
from zscmr.training.state import State, load_best_weights, named_weights, restore_newest


class Twins(keras.Model):
    """Two equal layers, made in either order."""

    def __init__(self, order=("one", "other"), width=2):
        super().__init__()
        for name in order:
            layer = keras.layers.Dense(width, name=name)
            layer.build((None, 3))
            setattr(self, name, layer)
        self.built = True


def saved(model, folder):
    state = State(model, [ParameterGroup((), model.trainable_variables, keras.optimizers.SGD(0.1))])
    state.epoch.assign(1)
    state.note_score(0.5)
    checkpoint = tf.train.Checkpoint(state=state)
    tf.train.CheckpointManager(checkpoint, folder, max_to_keep=1).save(1)
    return state


def test_names_are_paths_of_layers(dataset_folder):
    model = stage2.build_state(*prepare(dataset_folder, hidden=4, batch_size=8)[:4]).model
    names = named_weights(model)
    assert len(names) == len(model.weights)
    assert {"photo_encoder/linear/kernel", "photo_encoder/hidden/bias", "sketch_scaling/mean"} <= names.keys()
    assert names["sketch_encoder/out/kernel"] is model.sketch_encoder.branch[1].kernel


def test_equal_layers_in_another_order_do_not_swap(tmp_path):
    model = Twins()
    saved(model, tmp_path)
    turned = Twins(order=("other", "one"))
    load_best_weights(turned, tmp_path)
    np.testing.assert_array_equal(turned.one.kernel.numpy(), model.one.kernel.numpy())
    np.testing.assert_array_equal(turned.other.kernel.numpy(), model.other.kernel.numpy())


def test_another_model_is_refused(tmp_path, refused):
    saved(Twins(), tmp_path)
    message = refused(load_best_weights, Twins(width=4), tmp_path)
    assert message.endswith("ckpt-1: not of this run: 'one/kernel' should have shape [3, 4], received [3, 2]")
    message = refused(load_best_weights, Twins(order=("one", "third")), tmp_path)
    assert message.endswith("ckpt-1: not of this run: 'third/kernel' should have shape [3, 2], received nothing")
    assert refused(load_best_weights, Twins(), tmp_path / "empty").startswith(f"{tmp_path / 'empty'}: no checkpoint")


@pytest.mark.parametrize("order", [("one", "third"), ("other", "one")])
def test_training_is_not_continued_with_other_weights(tmp_path, refused, order):
    """Moments have the order of the weights, so that even the same names in another order are refused."""
    saved(Twins(), tmp_path)
    model = Twins(order=order)
    state = State(model, [ParameterGroup((), model.trainable_variables, keras.optimizers.SGD(0.1))])
    checkpoint = tf.train.Checkpoint(state=state)
    manager = tf.train.CheckpointManager(checkpoint, tmp_path, max_to_keep=1)
    assert "another --path starts anew" in refused(restore_newest, checkpoint, manager, state)


def test_best_weights_of_before_are_read_by_position(tmp_path):
    """A checkpoint whose best weights are a list, in the order of `model.weights`."""
    model = Twins()
    old = tf.Module()
    old.best_weights = [tf.Variable(weight.numpy()) for weight in model.weights]
    tf.train.CheckpointManager(tf.train.Checkpoint(state=old), tmp_path, max_to_keep=1).save(1)
    restored = Twins()
    load_best_weights(restored, tmp_path)
    for one, two in zip(model.weights, restored.weights, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())
