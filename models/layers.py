"""Layers that the systems share, the mixing of training features, and the optimiser."""

import keras
import numpy as np
import tensorflow as tf


class Scaling(keras.layers.Layer):
    """(x − mean) / deviation per feature, both fixed from training features, then each row to length √F.

    The mean square of a scaled row is 1, so a mean over F of a squared error is a share of the row's energy.
    """

    def __init__(self, features, name):
        super().__init__(name=name, trainable=False, dtype="float32")
        constant = keras.initializers.Constant
        self.mean = self.add_weight(
            shape=features.shape[1:], initializer=constant(features.mean(0, np.float64)), trainable=False, name="mean"
        )
        self.deviation = self.add_weight(
            shape=features.shape[1:],
            initializer=constant(np.maximum(features.std(0, dtype=np.float64), 1e-6)),
            trainable=False,
            name="deviation",
        )

    def call(self, features):
        x = (features - self.mean) / self.deviation
        return x * tf.math.rsqrt(tf.reduce_mean(x * x, axis=-1, keepdims=True) + 1e-12)


class Linear(keras.layers.Dense):
    """x W + b, (n, `inputs`) → (n, `outputs`); float32 whatever the precision of the product: losses are float32."""

    def __init__(self, name, inputs, outputs, **options):
        super().__init__(outputs, name=name, **options)
        self.build((None, inputs))

    def call(self, x):
        return tf.cast(super().call(x), tf.float32)


class Encoder(keras.layers.Layer):
    """Scaled features (n, F) → embeddings (n, t): one linear layer, as released, and a branch of `hidden` ReLU units
    beside it if that is not 0. `biases` initialises the linear layer's."""

    def __init__(self, name, inputs, outputs, hidden=0, biases="zeros"):
        super().__init__(name=name)
        self.linear = Linear("linear", inputs, outputs, bias_initializer=biases)
        self.branch = []
        if hidden:
            relu = keras.layers.Dense(hidden, activation="relu", name="hidden")
            relu.build((None, inputs))
            self.branch = [relu, Linear("out", hidden, outputs, use_bias=False)]
        self.built = True

    def call(self, x):
        if not self.branch:
            return self.linear(x)
        return self.linear(x) + self.branch[1](self.branch[0](x))


def start_alike(photo, sketch):
    """Gives the layer of the sketches the first weights of that of the photos, if their widths agree: features of one
    backbone are then near each other from the first step."""
    weights = photo.get_weights()
    if [weight.shape for weight in weights] == [weight.shape for weight in sketch.get_weights()]:
        sketch.set_weights(weights)


class Adam(keras.optimizers.Adam):
    """Keras' Adam, each variable updated by one kernel where Keras runs a dozen, each a pass over memory."""

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        step = tf.cast(self.iterations + 1, tf.float32)
        rate = learning_rate * tf.sqrt(1 - self.beta_2**step) / (1 - self.beta_1**step)  # once, not per variable
        super()._backend_update_step(grads, trainable_variables, rate)

    def update_step(self, gradient, variable, learning_rate):
        """`learning_rate` has the correction for moments that start at 0."""
        index = self._get_variable_index(variable)
        constants = {"beta1": self.beta_1, "beta2": self.beta_2, "epsilon": self.epsilon}
        constants |= {"beta1_power": 0.0, "beta2_power": 0.0}  # no correction in the kernel
        constants = {name: tf.constant(value) for name, value in constants.items()}  # which need not wait
        with tf.control_dependencies(later_readers(variable)):
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=self._momentums[index].value.handle,
                v=self._velocities[index].value.handle,
                lr=learning_rate,
                grad=gradient,
                **constants,
            )


if not hasattr(keras.optimizers.Adam, "_backend_update_step"):
    raise ImportError("Keras has no Adam._backend_update_step any more, where the learning rate is corrected")


def after(other, x):
    """x; what takes it from here is computed after `other`."""
    with tf.control_dependencies([other]):
        return tf.identity(x)


def later_readers(variable):
    """What has been made of `variable` so far in the graph that is being traced, but for the first use of each read.

    An update that comes while a gradient still needs the old value has to write into a copy. The first use of a read
    is in the forward pass, for which the gradient waits anyway: an edge from there would only keep it from being fused
    with what follows it.
    """
    if tf.executing_eagerly():
        return []
    handle = tf.compat.v1.get_default_graph().capture(variable.handle)
    reads = [operation for operation in handle.consumers() if operation.type == "ReadVariableOp"]
    return [user for read in reads for user in read.outputs[0].consumers()[1:]]


def dropout(x, rate, seed):
    """x with a share `rate` of its elements zeroed and the others raised to keep the mean; noise is that of `seed`."""
    return tf.nn.experimental.stateless_dropout(x, rate, seed) if rate else x


def mix_pairs(photos, sketches, modality_mix, class_mix, noise):
    """Scaled pairs (batch, F) → the pairs to train on: mixed across modalities, and pairs of virtual classes below.

    A photo takes up to `modality_mix` of its sketch and the reverse, so that the two maps stay near each other.
    A virtual class blends the two pairs of a class with those of the class before it in the batch, at most
    `class_mix` of that: more classes to tell apart than there are seen ones. Wants balanced batches. Features of
    different width are left unmixed across modalities.
    """
    batch = tf.shape(photos)[0]
    shares = tf.random.stateless_uniform((3, batch, 1), noise + 62)
    if modality_mix and photos.shape[1] == sketches.shape[1]:
        a, b = modality_mix * shares[0], modality_mix * shares[1]
        photos, sketches = (1 - a) * photos + a * sketches, (1 - b) * sketches + b * photos
    if class_mix:
        c = class_mix * tf.repeat(shares[2, ::2], 2, axis=0)  # one share a class
        length = tf.sqrt(c**2 + (1 - c) ** 2)  # keeps the energy of a blend of unrelated rows
        blend = lambda x: ((1 - c) * x + c * tf.roll(x, 2, axis=0)) / length  # noqa: E731
        photos, sketches = tf.concat([photos, blend(photos)], 0), tf.concat([sketches, blend(sketches)], 0)
    return photos, sketches


def labels_of_mixed(labels, rows):
    """Labels (batch,) of the pairs `mix_pairs` was given → those of its `rows` rows; virtual classes get −1, −2, …."""
    return tf.concat([labels, -1 - tf.range(rows - tf.shape(labels)[0]) // 2], axis=0)
