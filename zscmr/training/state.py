"""The state of a run between epochs, saved and restored by the names of the weights."""

import hashlib

import keras
import numpy as np
import tensorflow as tf

from zscmr.utils.errors import BadInput, first_line

# a weight of the best epoch has the key BEST + its name + VALUE in a checkpoint
BEST, VALUE = "state/best_weights/", "/.ATTRIBUTES/VARIABLE_VALUE"


class State(tf.Module):
    """Weights, optimizers, epochs done, and the weights, score and epoch of the best epoch so far.

    A checkpoint holds all of it, weights under their names (`named_weights`).
    """

    def __init__(self, model, groups):
        """`groups`: those of `System.parameter_groups`; their optimizers are built."""
        super().__init__()
        self.model = model
        named = named_weights(model)
        self.weights = {_key(name): weight.value for name, weight in named.items()}
        # optimizers hold their moments in the order of the names
        digest = hashlib.sha256("\n".join(named).encode()).digest()
        self.order = tf.Variable(int.from_bytes(digest[:7], "little"), dtype=tf.int64, trainable=False)
        self.groups = groups
        self.optimizers = [group.optimizer for group in groups]
        for group in groups:
            group.optimizer.build(group.variables)
        self.epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.best_epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.best_score = tf.Variable(-1.0, dtype=tf.float64, trainable=False)
        self.best_weights = {_key(name): tf.Variable(weight.numpy(), trainable=False) for name, weight in named.items()}

    def note_score(self, score):
        """Store the present weights if `score` beats those of all earlier epochs; return whether it does."""
        better = score > float(self.best_score.numpy())
        if better:
            self.best_score.assign(score)
            self.best_epoch.assign(self.epoch.numpy())
            for name, best in self.best_weights.items():
                best.assign(self.weights[name].numpy())
        return better

    def restore_best(self):
        """Give the model the weights of the best epoch."""
        for name, best in self.best_weights.items():
            self.weights[name].assign(best.numpy())


def named_weights(layer, prefix=""):
    """{name: weight} of a model or layer and its sublayers, such as `photo_encoder/linear/kernel`.

    Names consist of layer names, which the model chooses, and do not depend on the order of creation.
    """
    weights = {}
    for child in _children(layer):
        below = named_weights(child, f"{prefix}{child.name}/")
        if weights.keys() & below.keys():
            raise ValueError(f"two layers of {layer.name} are named {child.name}")
        weights |= below
    inside = {id(weight) for weight in weights.values()}
    return weights | {f"{prefix}{weight.name}": weight for weight in layer.weights if id(weight) not in inside}


def _children(layer):
    if isinstance(layer, keras.Model):
        return layer.layers
    values = [value for name, value in vars(layer).items() if not name.startswith("_")]
    values += [item for value in values if isinstance(value, list | tuple) for item in value]
    return list({id(value): value for value in values if isinstance(value, keras.Layer)}.values())


def _key(name):
    """A weight's name as a part of a checkpoint's key, in which / separates."""
    return name.replace("/", "|")


def restore_newest(checkpoint, manager, state):
    """Restore the newest checkpoint of `manager` into `checkpoint`, which holds `state`; return whether there is one.

    Raises BadInput for a checkpoint of another model, or of a version that kept weights by position.
    """
    newest = manager.latest_checkpoint
    if newest is None:
        return False
    order = state.order.numpy()
    try:
        checkpoint.restore(newest).assert_existing_objects_matched()
    except (AssertionError, ValueError, tf.errors.OpError) as error:
        raise BadInput(f"{newest}: not a checkpoint of this model and version; another --path starts anew") from error
    if state.order.numpy() != order:
        raise BadInput(f"{newest}: holds the weights of another model; another --path starts anew")
    return True


def load_best_weights(model, folder):
    """Give `model` the weights of the best epoch from the newest checkpoint in `folder`.

    Raises BadInput if there is none, or if it is that of another model.
    """
    newest = tf.train.latest_checkpoint(folder)
    if newest is None:
        raise BadInput(f"{folder}: no checkpoint, which holds the weights of the run")
    try:
        reader = tf.train.load_checkpoint(newest)
        shapes = reader.get_variable_to_shape_map()
    except (ValueError, tf.errors.OpError) as error:
        raise BadInput(f"{newest}: not a readable checkpoint ({first_line(error)})") from error
    names = named_weights(model)
    keys = {name: f"{BEST}{_key(name)}{VALUE}" for name in names}
    if f"{BEST}0{VALUE}" in shapes:  # of a version whose checkpoints list the weights in the order of model.weights
        positions = {id(weight): position for position, weight in enumerate(model.weights)}
        keys = {name: f"{BEST}{positions[id(weight)]}{VALUE}" for name, weight in names.items()}
    for name, weight in names.items():
        if shapes.get(keys[name]) != list(weight.shape):
            received = shapes.get(keys[name], "nothing")
            raise BadInput(
                f"{newest}: not of this run: '{name}' should have shape {list(weight.shape)}, received {received}"
            )
    for name, weight in names.items():
        weight.assign(np.asarray(reader.get_tensor(keys[name])))
