"""Layers that the systems share, and the mixing of training features."""

import keras
import numpy as np
import tensorflow as tf

from zscmr.datasets.scaling import usable_deviation

WITHIN = 16.0  # times that scatter within a class is weighed
WHITENING = 0.4  # 0: principal components as they are, 0.5: whitened, all of variance 1
LIKENESS_TEMPERATURE = 0.06  # divides cosines with the directions of a classifier's classes
LIKENESS_WEIGHT = 2.0  # length of a row's likenesses, of its features 1


def fixed_weight(layer, name, values):
    """A weight of `layer` that holds the array `values` and is not trained."""
    initializer = keras.initializers.Constant(values)
    return layer.add_weight(shape=values.shape, initializer=initializer, trainable=False, name=name)


class Scaling(keras.layers.Layer):
    """(x − mean) / deviation per feature, both fixed from training features, then each row to length √F.

    The mean square of a scaled row is 1, so a mean over F of a squared error is a share of the row's energy.
    """

    def __init__(self, features, name):
        super().__init__(name=name, trainable=False, dtype="float32")
        self.mean = fixed_weight(self, "mean", features.mean(0, np.float64))
        self.deviation = fixed_weight(self, "deviation", usable_deviation(features.std(0, dtype=np.float64)))

    def call(self, features):
        x = (features - self.mean) / self.deviation
        return x * tf.math.rsqrt(tf.reduce_mean(x * x, axis=-1, keepdims=True) + 1e-12)


class Likeness(keras.layers.Layer):
    """Features (n, F) → (n, F + A), of the same mean square as `Scaling`'s: the scaled features, and beside them how
    like each of the A classes of a classifier the picture is.

    Likenesses are the square roots of a softmax over cosines of the scaled features with the classes' directions, the
    columns of `classifier` (F, A) about their mean; they are taken about their own mean over the training `features`
    (`TrainingRows`). What a network was taught of A classes tells unseen ones apart that the seen ones do not.
    """

    def __init__(self, features, name, classifier):
        super().__init__(name=name, trainable=False, dtype="float32")
        self.scaling = Scaling(features, "scaling")
        directions = classifier - classifier.mean(1, keepdims=True)
        directions /= np.linalg.norm(directions, axis=0) + 1e-12
        self.directions = fixed_weight(self, "directions", directions)
        total = sum(self._likenesses(self._unit(tf.constant(rows))).numpy().sum(0) for rows, _ in features.blocks())
        self.mean = fixed_weight(self, "mean", total / features.shape[0])

    def _unit(self, features):
        return tf.math.l2_normalize(self.scaling(features), axis=-1)

    def _likenesses(self, rows):
        return tf.sqrt(tf.nn.softmax(tf.matmul(rows, self.directions) / LIKENESS_TEMPERATURE))

    def call(self, features):
        rows = self._unit(features)
        likenesses = tf.math.l2_normalize(self._likenesses(rows) - self.mean, axis=-1)
        both = tf.concat([rows, LIKENESS_WEIGHT * likenesses], axis=-1)
        return both * (both.shape[-1] / (1 + LIKENESS_WEIGHT**2)) ** 0.5


def make_scaling(features, name, classifier=None):
    """The `Scaling` of training features, or with a `classifier` (F, A) their `Likeness`."""
    return Scaling(features, name) if classifier is None else Likeness(features, name, classifier)


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
    need. Each component is divided by its variance^WHITENING. F: of the scaled features. Columns beyond F are 0."""
    classes = np.unique(features.labels)
    width = scaling(tf.zeros((1, features.shape[1]))).shape[1]
    if features.shape[0] == 1:  # as where weights are restored: a row has no components
        return np.zeros((width, count), np.float32)
    total, sums, counts = np.zeros((width, width)), np.zeros((len(classes), width)), np.zeros(len(classes))
    for rows, labels in features.blocks():
        scaled = scaling(tf.constant(rows)).numpy().astype(np.float64)
        total += scaled.T @ scaled
        places = np.searchsorted(classes, labels)
        np.add.at(sums, places, scaled)
        counts += np.bincount(places, minlength=len(classes))
    means = sums / counts[:, None]
    mean = sums.sum(0) / counts.sum()
    between = (means * counts[:, None]).T @ means
    scatter = WITHIN * total + (1 - WITHIN) * between - counts.sum() * np.outer(mean, mean)
    variances, directions = np.linalg.eigh(scatter)
    variances, directions = variances[::-1][:count], directions[:, ::-1][:, :count]
    varying = variances > 1e-9 * variances[0]
    kernel = np.zeros((width, count), np.float32)
    kernel[:, : len(variances)][:, varying] = directions[:, varying] * (variances[varying] / variances[0]) ** -WHITENING
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
