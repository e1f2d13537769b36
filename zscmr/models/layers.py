"""Layers that the systems share, and the mixing of training features."""

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from zscmr.datasets.scaling import usable_deviation

WITHIN_CLASS_WEIGHT = 16.0  # weight of the scatter within classes; scatter between classes has weight 1
WHITENING = 0.4  # 0: principal components as they are, 0.5: whitened, all of variance 1
SIMILARITY_TEMPERATURE = 0.06  # divides cosines with the directions of a classifier's classes
SIMILARITY_LENGTH = 2.0  # of a row's similarities, where its features have length 1


def fixed_weight(layer, name, values):
    """A weight of `layer` that holds the array `values` and is not trained."""
    initializer = keras.initializers.Constant(values)
    return layer.add_weight(shape=values.shape, initializer=initializer, trainable=False, name=name)


class Scaling(keras.layers.Layer):
    """(x − mean) / deviation per feature, both fixed from training features, then each row to length √F.

    A mean over F of a squared error is then a share of the row's energy, since the mean square of a row is 1.
    """

    def __init__(self, features, name):
        super().__init__(name=name, trainable=False, dtype="float32")
        self.mean = fixed_weight(self, "mean", features.mean(0, np.float64))
        self.deviation = fixed_weight(self, "deviation", usable_deviation(features.std(0, dtype=np.float64)))

    def call(self, features):
        x = (features - self.mean) / self.deviation
        return x * tf.math.rsqrt(tf.reduce_mean(x * x, axis=-1, keepdims=True) + 1e-12)


class ClassSimilarity(keras.layers.Layer):
    """Append similarities to the classes of a classifier: features (n, F) → (n, F + A), mean square 1 as of `Scaling`.

    Similarities are the square roots of a softmax over cosines of the scaled features with the directions of the
    classes, less their mean over the training features. They separate unseen classes that seen ones do not separate.
    """

    def __init__(self, features, name, classifier):
        """`features`: `TrainingRows`; `classifier`: kernel (F, A), its columns about their mean are the directions."""
        super().__init__(name=name, trainable=False, dtype="float32")
        self.scaling = Scaling(features, "scaling")
        directions = classifier - classifier.mean(1, keepdims=True)
        directions /= np.linalg.norm(directions, axis=0) + 1e-12
        self.directions = fixed_weight(self, "directions", directions)
        total = sum(self._similarities(self._unit(tf.constant(rows))).numpy().sum(0) for rows, _ in features.blocks())
        self.mean = fixed_weight(self, "mean", total / features.shape[0])

    def _unit(self, features):
        return tf.math.l2_normalize(self.scaling(features), axis=-1)

    def _similarities(self, rows):
        return tf.sqrt(tf.nn.softmax(tf.matmul(rows, self.directions) / SIMILARITY_TEMPERATURE))

    def call(self, features):
        rows = self._unit(features)
        similarities = tf.math.l2_normalize(self._similarities(rows) - self.mean, axis=-1)
        described = tf.concat([rows, SIMILARITY_LENGTH * similarities], axis=-1)
        return described * (described.shape[-1] / (1 + SIMILARITY_LENGTH**2)) ** 0.5


def make_scaling(features, name, classifier=None):
    """The `Scaling` of training features, or with a `classifier` (F, A) their `ClassSimilarity`."""
    return Scaling(features, name) if classifier is None else ClassSimilarity(features, name, classifier)


class Linear(keras.layers.Dense):
    """x W + b, (n, `inputs`) → (n, `outputs`); the result is float32 in every precision, as losses are."""

    def __init__(self, name, inputs, outputs, **options):
        super().__init__(outputs, name=name, **options)
        self.build((None, inputs))

    def call(self, x):
        return tf.cast(super().call(x), tf.float32)


class FeatureEncoder(keras.layers.Layer):
    """Scaled features (n, F) → embeddings (n, t): one linear layer, as released, and a branch of ReLU units."""

    def __init__(self, name, inputs, outputs, hidden=0, biases="zeros"):
        """Make the layer's weights.

        Args:
            inputs, outputs: sizes F and t.
            hidden: ReLU units of the branch, 0 for none.
            biases: initialiser of the linear layer's bias.
        """
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


def fixed_encoder(name, kernel):
    """A `FeatureEncoder` that maps rows (n, F) by `kernel` (F, t)."""
    encoder = FeatureEncoder(name, *kernel.shape)
    encoder.linear.kernel.assign(kernel)
    return encoder


def start_alike(photo, sketch):
    """Give the sketches' layer the first weights of the photos' layer, if their widths agree.

    Features of one backbone are then near each other from the first step.
    """
    weights = photo.get_weights()
    if [weight.shape for weight in weights] == [weight.shape for weight in sketch.get_weights()]:
        sketch.set_weights(weights)


def principal_directions(scaling, features, count):
    """Kernel (F, count) of the largest principal components of scaled training features.

    Deviations within a class weigh WITHIN_CLASS_WEIGHT times, since unseen classes need more than what separates the
    seen ones. Each component is divided by its variance^WHITENING. Columns beyond F are 0.

    Args:
        scaling: layer from features to scaled ones (n, F).
        features: `TrainingRows`.
        count: components, ≥ 1.
    """
    classes = np.unique(features.labels)
    width = scaling(tf.zeros((1, features.shape[1]))).shape[1]
    if features.shape[0] == 1:  # of a model whose weights are restored afterwards
        return np.zeros((width, count), np.float32)
    total, sums, counts = np.zeros((width, width)), np.zeros((len(classes), width)), np.zeros(len(classes))
    for rows, labels in features.blocks():
        scaled = scaling(tf.constant(rows)).numpy().astype(np.float64)
        total += scaled.T @ scaled
        class_rows = np.searchsorted(classes, labels)
        np.add.at(sums, class_rows, scaled)
        counts += np.bincount(class_rows, minlength=len(classes))
    means = sums / counts[:, None]
    mean = sums.sum(0) / counts.sum()
    between = (means * counts[:, None]).T @ means
    weight = WITHIN_CLASS_WEIGHT
    scatter = weight * total + (1 - weight) * between - counts.sum() * np.outer(mean, mean)
    variances, directions = np.linalg.eigh(scatter)
    variances, directions = variances[::-1][:count], directions[:, ::-1][:, :count]
    varying = variances > 1e-9 * variances[0]
    kernel = np.zeros((width, count), np.float32)
    kernel[:, : len(variances)][:, varying] = directions[:, varying] * (variances[varying] / variances[0]) ** -WHITENING
    return kernel


def after(first, x):
    """x, computed after `first`."""
    with tf.control_dependencies([first]):
        return tf.identity(x)


def dropout(x, rate, seed, gather):
    """x with a share `rate` of its elements zeroed, the others raised to keep the mean.

    A function of `seed` and of a row's position in the whole batch, whatever the devices.

    Args:
        x: a replica's rows (batch / replicas, …).
        rate: from 0 to below 1.
        seed: (2,) int.
        gather: `Gather`.
    """
    return gather.local(tf.nn.experimental.stateless_dropout(gather(x), rate, seed)) if rate else x


@dataclass(frozen=True)
class MixedPairs:
    """A replica's share of mixed pairs: scaled `photos` and `sketches` (n, F), and `labels` (n,) int32 of both.

    The pairs of the batch come first, then those of virtual classes, two each, with labels −1, −2, ….
    """

    photos: tf.Tensor
    sketches: tf.Tensor
    labels: tf.Tensor


def mix_pairs(batch, modality_mix, class_mix, noise, gather):
    """Mix the pairs of a `Batch` across modalities, and append pairs of virtual classes; return `MixedPairs`.

    A photo takes up to `modality_mix` of its sketch, and the reverse, which keeps the two maps near each other. A
    virtual class blends the two pairs of a class with those of the preceding class in the batch, so that there are more
    classes to separate than the seen ones. Features of different width are not mixed across modalities.

    Args:
        batch: a balanced batch, without negatives.
        modality_mix: largest share of the other modality, from 0 to below 1.
        class_mix: largest share of the preceding class, from 0 to below 1; 0: no virtual classes.
        noise: seed (2,) of the step.
        gather: `Gather`.
    """
    photos, sketches, labels = gather(batch.photos), gather(batch.sketches), gather(batch.labels)
    count = tf.shape(photos)[0]
    shares = tf.random.stateless_uniform((3, count, 1), noise + 62)
    if modality_mix and photos.shape[1] == sketches.shape[1]:
        a, b = modality_mix * shares[0], modality_mix * shares[1]
        photos, sketches = (1 - a) * photos + a * sketches, (1 - b) * sketches + b * photos
    if class_mix:
        c = class_mix * tf.repeat(shares[2, ::2], 2, axis=0)  # one share a class
        photos, sketches = _with_blends(photos, c), _with_blends(sketches, c)
        labels = tf.concat([labels, -1 - tf.range(count) // 2], axis=0)
    return MixedPairs(gather.local(photos), gather.local(sketches), gather.local(labels))


def _with_blends(rows, share):
    """Rows (n, F), and below them their blends with the rows two places above, which have `share` (n, 1) of them."""
    length = tf.sqrt(share**2 + (1 - share) ** 2)  # keeps the energy of a blend of unrelated rows
    return tf.concat([rows, ((1 - share) * rows + share * tf.roll(rows, 2, axis=0)) / length], 0)


def without_virtual(rows, batch, gather, per_pair=1):
    """Drop the rows of virtual classes.

    Args:
        rows: a replica's share of the rows of mixed pairs (n, …).
        batch: the `Batch` that was mixed.
        gather: `Gather`.
        per_pair: rows of each pair.

    Returns this replica's share of the other rows, (per_pair · batch / replicas, …).
    """
    return gather.local(gather(rows)[: per_pair * tf.shape(batch.labels)[0] * gather.replicas])
