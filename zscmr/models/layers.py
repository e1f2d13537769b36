"""Layers that the systems share, and the mixing of training features."""

import keras
import numpy as np
import tensorflow as tf

from zscmr.scaling import usable_deviation

WITHIN = 4.0


def fixed_weight(layer, name, values):
    """A weight of `layer` that holds the array `values` and is not trained."""
    initializer = keras.initializers.Constant(values)
    return layer.add_weight(shape=values.shape, initializer=initializer, trainable=False, name=name)


class Scaling(keras.layers.Layer):
    """(x − mean) / deviation^power per feature, both fixed from training features, then each row to length √F.

    The mean square of a scaled row is 1, so a mean over F of a squared error is a share of the row's energy.
    """

    def __init__(self, features, name, power=1.0):
        super().__init__(name=name, trainable=False, dtype="float32")
        self.mean = fixed_weight(self, "mean", features.mean(0, np.float64))
        deviation = usable_deviation(features.std(0, dtype=np.float64))
        self.deviation = fixed_weight(self, "deviation", deviation**power)

    def call(self, features):
        x = (features - self.mean) / self.deviation
        return x * tf.math.rsqrt(tf.reduce_mean(x * x, axis=-1, keepdims=True) + 1e-12)


class Linear(keras.layers.Dense):
    """x W + b, (n, `inputs`) → (n, `outputs`); the result is float32 in every precision, since losses are."""

    def __init__(self, name, inputs, outputs, **options):
        super().__init__(outputs, name=name, **options)
        self.build((None, inputs))

    def call(self, x):
        return tf.cast(super().call(x), tf.float32)


class Encoder(keras.layers.Layer):
    """Scaled features (n, F) → embeddings (n, t): one linear layer, as released.

    With `hidden`, a branch of so many ReLU units is added to it. `biases`: initialiser of the linear layer's bias.
    """

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
    """Give the layer of the sketches the first weights of that of the photos, if their widths agree.

    Features of one backbone are then near each other from the first step.
    """
    weights = photo.get_weights()
    if [weight.shape for weight in weights] == [weight.shape for weight in sketch.get_weights()]:
        sketch.set_weights(weights)


def principal_directions(scaling, features, count):
    """Kernel (F, count) of the largest principal components of scaled training features (`TrainingRows`), with
    deviations within a class weighed WITHIN times: what tells the seen classes apart is not all that other classes
    need. Columns beyond F are 0."""
    width, classes = features.shape[1], np.unique(features.labels)
    within, sums, counts = np.zeros((width, width)), np.zeros((len(classes), width)), np.zeros(len(classes))
    for rows, labels in features.blocks():
        scaled = scaling(tf.constant(rows)).numpy().astype(np.float64)
        within += scaled.T @ scaled
        places = np.searchsorted(classes, labels)
        np.add.at(sums, places, scaled)
        counts += np.bincount(places, minlength=len(classes))
    means = sums / counts[:, None]
    between = (means * counts[:, None]).T @ means  # about 0, the mean of the unscaled features
    _, directions = np.linalg.eigh(WITHIN * within + (1 - WITHIN) * between)
    kernel = np.zeros((width, count), np.float32)
    kernel[:, : min(width, count)] = directions[:, ::-1][:, :count]
    return kernel


def after(other, x):
    """x, computed after `other`."""
    with tf.control_dependencies([other]):
        return tf.identity(x)


def dropout(x, rate, seed):
    """x with a share `rate` of its elements zeroed, the others raised to keep the mean; a function of `seed` (2,)."""
    return tf.nn.experimental.stateless_dropout(x, rate, seed) if rate else x


def mix_pairs(photos, sketches, modality_mix, class_mix, noise):
    """Scaled pairs (batch, F) → pairs mixed across modalities, with pairs of virtual classes below.

    A photo takes up to `modality_mix` of its sketch, and the reverse, which keeps the two maps near each other. A
    virtual class blends the two pairs of a class with those of the preceding class in the batch, at most `class_mix`
    of those: more classes to tell apart than there are seen ones. Needs balanced batches. Features of different width
    are not mixed across modalities.
    """
    batch = tf.shape(photos)[0]
    shares = tf.random.stateless_uniform((3, batch, 1), noise + 62)
    if modality_mix and photos.shape[1] == sketches.shape[1]:
        a, b = modality_mix * shares[0], modality_mix * shares[1]
        photos, sketches = (1 - a) * photos + a * sketches, (1 - b) * sketches + b * photos
    if class_mix:
        c = class_mix * tf.repeat(shares[2, ::2], 2, axis=0)  # one share a class
        length = tf.sqrt(c**2 + (1 - c) ** 2)  # keeps the energy of a blend of unrelated rows
        photos, sketches = (
            tf.concat([rows, ((1 - c) * rows + c * tf.roll(rows, 2, axis=0)) / length], 0)
            for rows in (photos, sketches)
        )
    return photos, sketches


def labels_of_mixed(labels, rows):
    """Labels (batch,) of the pairs `mix_pairs` was given → those of its `rows` rows; virtual classes get −1, −2, …."""
    return tf.concat([labels, -1 - tf.range(rows - tf.shape(labels)[0]) // 2], axis=0)
