"""The exponential moving average (EMA) of a network's weights over the steps of its training."""

import tensorflow as tf


class WeightEMA(tf.Module):
    """a ← d a + (1 − d) w of each variable w after each step, d = min(`decay`, (1 + step) / (10 + step)).

    The early steps, whose weights are far from the final ones, are forgotten sooner.
    """

    def __init__(self, variables, decay):
        super().__init__()
        self.decay = decay
        self.variables_ = list(variables)
        self.values = [tf.Variable(variable.numpy(), trainable=False) for variable in self.variables_]

    def update(self, step):
        """Move each average toward its variable after the step of this number, from 0."""
        step = tf.cast(step, tf.float32)
        decay = tf.minimum(self.decay, (1 + step) / (10 + step))
        for value, variable in zip(self.values, self.variables_, strict=True):
            moved = value + (1 - decay) * (variable.value - value)
            tf.raw_ops.AssignVariableOp(resource=value.handle, value=moved)

    def swap(self):
        """Exchange the variables with their averages; a second call undoes it."""
        for value, variable in zip(self.values, self.variables_, strict=True):
            now = variable.numpy()
            variable.assign(value.numpy())
            value.assign(now)
