"""Adam (Kingma and Ba, 2015), each variable updated by one kernel where Keras runs a dozen, each a pass over memory."""

import keras
import tensorflow as tf

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7  # as in Keras


class Adam(tf.Module):
    """m ← β₁ m + (1 − β₁) g, v ← β₂ v + (1 − β₂) g², w ← w − r √(1 − β₂ᵗ) / (1 − β₁ᵗ) · m / (√v + ε).

    `learning_rate` r: a number, or a function of the step such as a Keras schedule. Under a strategy `build` is called
    in its scope and `apply` in a replica, whose gradients are summed over all replicas.
    """

    def __init__(self, learning_rate):
        super().__init__()
        self.learning_rate = learning_rate
        self.iterations = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.first, self.second = [], []

    def build(self, variables):
        """Make the moments m and v of each variable, zero."""
        for moments in (self.first, self.second):
            moments += [tf.Variable(tf.zeros(v.shape, v.dtype), trainable=False) for v in variables]

    def apply(self, gradients, variables):
        """One step along `gradients`, one for each of the `variables` that `build` was given."""
        self.apply_summed(summed(gradients), variables)

    def apply_summed(self, gradients, variables):
        """`apply` for gradients that are summed over all replicas already."""
        step = tf.cast(self.iterations + 1, tf.float32)
        rate = self.learning_rate(self.iterations) if callable(self.learning_rate) else self.learning_rate
        rate = rate * tf.sqrt(1 - BETA_2**step) / (1 - BETA_1**step)  # once, not per variable
        for variable, m, v, gradient in zip(variables, self.first, self.second, gradients, strict=True):
            variable = variable.value if isinstance(variable, keras.Variable) else variable
            with tf.control_dependencies(later_readers(variable)):
                _update(variable, m, v, gradient, rate)
        tf.raw_ops.AssignAddVariableOp(resource=self.iterations.handle, value=tf.constant(1, tf.int64))


def summed(gradients):
    """Gradients of a replica → their sums over all replicas."""
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return gradients
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradients)


def _update(variable, m, v, gradient, rate):
    """`rate` corrects for moments that start at 0, so the kernel does not."""
    numbers = {"beta1": BETA_1, "beta2": BETA_2, "epsilon": EPSILON, "beta1_power": 0.0, "beta2_power": 0.0}
    constants = {name: tf.constant(value) for name, value in numbers.items()}
    handles = {"var": variable.handle, "m": m.handle, "v": v.handle}
    tf.raw_ops.ResourceApplyAdam(**handles, lr=rate, grad=gradient, **constants)


def later_readers(variable):
    """Operations that already consume a read of `variable`; the update must wait for them.

    An update that comes while a gradient still needs the old value has to write into a copy. The first consumer of a
    read is in the forward pass, for which the gradient waits anyway: an edge from there would only keep it from being
    fused with what follows it.
    """
    if tf.executing_eagerly():
        return []
    handle = tf.compat.v1.get_default_graph().capture(variable.handle)
    reads = [operation for operation in handle.consumers() if operation.type == "ReadVariableOp"]
    return [user for read in reads for user in read.outputs[0].consumers()[1:]]
