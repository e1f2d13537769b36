"""The precision of stage I's arithmetic, and what keeps a number out of its range from spoiling the weights."""

from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

from zscmr.training.steps import POLICIES
from zscmr.training.strategies import has_gpu
from zscmr.utils.errors import BadInput

BFLOAT16_CAPABILITY = (8, 0)  # NVIDIA's compute capability from which on a GPU multiplies bfloat16
START = 2.0**12  # loss scale at first
STEADY = 1000  # applied steps after which the scale doubles
_ZERO = np.int64(0)
MOST_SKIPPED = 20  # steps in a row; halved as often, the scale is far below 1


def usual_precision():
    """The precision used unless another is chosen: float32 on a CPU, on GPUs bfloat16 where all have it, or float16."""
    if not has_gpu():
        return "float32"
    details = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
    capable = all(gpu.get("compute_capability", (0, 0)) >= BFLOAT16_CAPABILITY for gpu in details)
    return "bfloat16" if capable and details else "float16"


@contextmanager
def computing_in(precision):
    """Networks made within the block compute in `precision`; weights and features stay float32."""
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(POLICIES[precision])
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)


def norm_statistics(*networks):
    """Moving means and variances of the batch normalisations that training changes, each once."""
    norms = [layer for network in networks for layer in network.layers if _is_trained_norm(layer)]
    statistics = [variable for layer in norms for variable in (layer.moving_mean, layer.moving_variance)]
    return list({id(variable): variable for variable in statistics}.values())


def _is_trained_norm(layer):
    return isinstance(layer, keras.layers.BatchNormalization) and layer.trainable


def restore_unless(applied, variables, values):
    """Give `variables` the `values` they had, unless the scalar bool `applied` is true; within a replica."""
    for variable, value in zip(variables, values, strict=True):
        chosen = tf.where(applied, variable.value, value)
        tf.raw_ops.AssignVariableOp(resource=variable.value.handle, value=chosen)


def all_finite(arrays):
    """Whether every element of every array is finite, scalar bool."""
    return tf.reduce_all(tf.stack([tf.reduce_all(tf.math.is_finite(array)) for array in arrays]))


def out_of_range(label, precision, skipped):
    """The error of a training whose steps are skipped, `skipped` of them in a row."""
    steps = "1 step" if skipped == 1 else f"{skipped} steps in a row"
    if precision == "float16":
        cause = "numbers beyond float16's 65504; --precision bfloat16 or float32, or a lower --learning-rate, may help"
    else:
        cause = "the training diverges; a lower --learning-rate may help"
    return BadInput(f"{label}: the gradients of {steps} are not finite: {cause}")


class StepGuard(tf.Module):
    """Skips steps whose gradients are not finite, and in float16 scales the loss so that they rarely are.

    The scale halves at each skipped step and doubles after STEADY applied ones in a row. `steady` counts those since it
    last changed, `skipped` all skipped steps, `in_a_row` those since the last applied one. A checkpoint holds them all.
    """

    def __init__(self, precision, start=START):
        super().__init__()
        self.precision, self.scaled = precision, precision == "float16"
        self.scale = tf.Variable(start if self.scaled else 1.0, trainable=False)
        self.steady, self.skipped, self.in_a_row = (tf.Variable(_ZERO, trainable=False) for _ in range(3))

    def scale_loss(self, loss):
        """The loss to be differentiated."""
        return loss * self.scale.value() if self.scaled else loss

    def apply(self, gradients, update):
        """Call `update(gradients)`, without the scale, if all are finite; return whether they are, scalar bool.

        Called within a replica, with gradients that are summed over all replicas.
        """
        if self.scaled:
            gradients = [gradient / self.scale.value() for gradient in gradients]
        finite = all_finite(gradients)

        def applied():
            update(gradients)
            return self._note_applied()

        return tf.cond(finite, applied, self._note_skipped)

    def _note_applied(self):
        steady = self.steady.value() + 1
        grows = steady >= STEADY
        if self.scaled:
            _set(self.scale, tf.where(grows, 2 * self.scale.value(), self.scale.value()))
        _set(self.steady, tf.where(grows, _ZERO, steady))
        _set(self.in_a_row, _ZERO)
        return tf.constant(True)

    def _note_skipped(self):
        if self.scaled:
            _set(self.scale, self.scale.value() / 2)
        _set(self.steady, _ZERO)
        _set(self.skipped, self.skipped.value() + 1)
        _set(self.in_a_row, self.in_a_row.value() + 1)
        return tf.constant(False)

    def gives_up(self):
        """Whether MOST_SKIPPED steps in a row were skipped, scalar bool."""
        return self.in_a_row.value() >= MOST_SKIPPED


def _set(variable, value):
    """Assign within a replica: every replica does the same."""
    tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)
