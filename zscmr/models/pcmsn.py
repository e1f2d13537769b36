"""PCMSN (Deng et al., IEEE Transactions on Image Processing 2020): features become class semantics, then codes.

Two generators bring photos and sketches to the space of the class vectors, and a discriminator tries to tell them from
class vectors. A head shared by both modalities projects that space to the retrieval space. The published objective
(`sketchy`, `tuberlin`) and the same terms in the form that retrieves best (`tuned`): FIDELITY.md, "PCMSN".
"""

from dataclasses import dataclass, replace

import keras
import numpy as np
import tensorflow as tf

from zscmr.models import layers
from zscmr.models.adam import Adam
from zscmr.models.base import ParameterGroup, System
from zscmr.models.losses import all_pairs_triplet_loss, classification_loss, euclidean_distance, squared_error
from zscmr.models.presets import Constants, Preset, Tables
from zscmr.utils.errors import BadInput
from zscmr.utils.options import setting

GENERATORS_TERMS = ("classification", "euclidean", "reconstruction")
ADVERSARIAL_TERMS = ("generator_adversarial", "discriminator_adversarial")
HEAD = 1024  # units of both hidden layers of the retrieval head
SIGMA = 0.3  # of the Gaussian noise on what the discriminator sees
REAL, FAKE = (0.7, 1.0), (0.0, 0.3)  # ranges of its noisy labels
MOMENTUM = 0.9  # of the discriminator's SGD
MOVING_MOMENTUM = 0.9  # share of the moving statistics that a step keeps


@dataclass(frozen=True)
class Settings(Constants):
    """Constants of the system.

    `progressive` False leaves the semantic stage out: the head reads features, the decoders read codes, and there is
    no adversary; it needs features of one width. Mixing as in `layers.mix_pairs`. `temperature` belongs to the
    objective `tuned`, whose codes have length 1.
    """

    objective: str = "published"  # or "tuned"
    progressive: bool = True
    dim: int = setting(64, "size t of the embedding space", least=1)
    dropout: float = setting(0.5, "share of hidden units zeroed in training", least=0, below=1)
    input_dropout: float = setting(0.0, "share of feature components zeroed in training", least=0, below=1)
    temperature: float = setting(0.2, "divides the cosines of codes", above=0)
    modality_mix: float = setting(0.0, "largest share of the other modality in a feature", least=0, below=1)
    class_mix: float = setting(0.0, "largest share of another class in a virtual one", least=0, below=1)

    @property
    def terms(self):
        return GENERATORS_TERMS + (ADVERSARIAL_TERMS if self.progressive else ())

    @property
    def unused(self):
        return () if self.objective == "tuned" else ("temperature",)


SKETCHY = Preset(
    Settings(),
    weights={"classification": 0.4, "euclidean": 0.4},
    epochs=30,
    batch_size=128,
    steps=100,
    batches="balanced",
    learning_rate=1e-4,
)
TUNED = Preset(
    Settings(objective="tuned", dropout=0.0, input_dropout=0.6, modality_mix=0.3, class_mix=0.5),
    weights={"classification": 0.1, "reconstruction": 0.1, "generator_adversarial": 0.1},
    epochs=60,
    batch_size=256,
    learning_rate=5e-4,
    batches="balanced",
    schedule="cosine",
    held_out=0.0,  # the rate ends at 0: the last epoch is kept
    distance="cosine",
)
PRESETS = {
    "sketchy": SKETCHY,
    "tuberlin": replace(SKETCHY, weights={"classification": 0.1, "euclidean": 0.4, "reconstruction": 0.5}),
    "tuned": TUNED,
    "direct": replace(TUNED, constants=replace(TUNED.constants, progressive=False)),
}
TABLES = Tables(
    ablations={
        "tuned": {
            "without progressive semantics": {"preset": "direct"},
            "without reconstruction": {"without": ("reconstruction",)},
            "without adversary": {"without": ("adversarial",)},
        }
    },
    of_one_width=("direct",),
    picture_seconds=dict.fromkeys(PRESETS, 4.4e-7),  # wider networks and their adversary
)


def build(settings, inputs):
    """The system with fresh weights, for `base.Inputs`."""
    return PCMSN(settings, inputs)


class PCMSN(System):
    """Generators, discriminator, retrieval head, a decoder per modality, and a classifier that is never trained."""

    def __init__(self, settings, inputs):
        super().__init__(settings, inputs)
        photo, sketch = inputs.photos.shape[1], inputs.sketches.shape[1]
        classes, semantic = inputs.class_vectors.shape
        tuned = settings.objective == "tuned"
        if not settings.progressive and photo != sketch:
            raise BadInput(f"--preset direct: photos are {photo}-d and sketches {sketch}-d, and one head reads both")
        if settings.progressive:
            self.photo_generator = translator("photo_generator", photo, semantic, settings.dropout, tuned)
            self.sketch_generator = translator("sketch_generator", sketch, semantic, settings.dropout, tuned)
            if tuned:
                layers.start_alike(self.photo_generator, self.sketch_generator)
            self.discriminator = Perceptron("discriminator", semantic, semantic // 2, 1)
        reads = semantic if settings.progressive else photo
        self.head = Perceptron("head", reads, HEAD, settings.dim, settings.dropout, tuned)
        stage = semantic if settings.progressive else settings.dim  # what the decoders read
        self.photo_decoder = translator("photo_decoder", stage, photo, settings.dropout)
        self.sketch_decoder = translator("sketch_decoder", stage, sketch, settings.dropout)
        self.classifier = FrozenClassifier("classifier", settings.dim, classes)

    def embed_photos(self, features):
        """(n, F) CNN features → (n, t) codes, rows of length 1 under the objective `tuned`."""
        x = self.photo_scaling(features)
        return self._normed(self.head(self.photo_generator(x) if self.settings.progressive else x))

    def embed_sketches(self, features):
        """(n, F') CNN features → (n, t) codes, rows of length 1 under the objective `tuned`."""
        x = self.sketch_scaling(features)
        return self._normed(self.head(self.sketch_generator(x) if self.settings.progressive else x))

    def _normed(self, codes):
        return tf.math.l2_normalize(codes, axis=1) if self.settings.objective == "tuned" else codes

    def parameter_groups(self, rate):
        """The discriminator by SGD with momentum, all else by Adam; each along its own terms."""
        if not self.settings.progressive:
            return super().parameter_groups(rate)
        inside = {id(variable) for variable in self.discriminator.trainable_variables}
        outside = [variable for variable in self.trainable_variables if id(variable) not in inside]
        (first, second), adam = ADVERSARIAL_TERMS, Adam(rate)
        sgd = keras.optimizers.SGD(rate, momentum=MOMENTUM)
        return [
            ParameterGroup((*GENERATORS_TERMS, first), outside, adam),
            ParameterGroup((second,), self.discriminator.trainable_variables, sgd),
        ]

    def terms(self, batch, noise, gather):
        """The loss terms of a batch of pairs (`base.Batch`), as a dict in the order of `settings.terms`."""
        draws = Draws(noise, gather)
        mixed = layers.mix_pairs(batch, self.settings.modality_mix, self.settings.class_mix, noise, gather)
        features, photo, sketch = self._forward(mixed, draws)
        stage = features if self.settings.progressive else in_turn(photo, sketch)
        if self.settings.class_mix:
            stage = layers.without_virtual(stage, batch, gather, 2)
        logits = [self._logits(layers.without_virtual(codes, batch, gather)) for codes in (photo, sketch)]
        means = {
            "classification": classification_loss(*logits, batch.labels),
            "reconstruction": self._reconstruction(stage, batch, draws),
        }
        if self.settings.progressive:
            means |= self._adversarial(stage, batch.class_vectors, draws)
        terms = {name: gather.mean(value) for name, value in means.items()}
        return {"euclidean": self._euclidean(photo, sketch, mixed.labels, gather), **terms}

    def _forward(self, mixed, draws):
        """(rows (2n, S) that the head reads, photo and sketch in turn; codes (n, t) of photos, of sketches)."""
        settings = self.settings
        photos, sketches = (draws.dropout(x, settings.input_dropout) for x in (mixed.photos, mixed.sketches))
        if settings.progressive:
            photos, sketches = self.photo_generator(photos, draws=draws), self.sketch_generator(sketches, draws=draws)
        features = in_turn(photos, sketches)
        codes = tf.reshape(self._normed(self.head(features, draws=draws)), (-1, 2, settings.dim))
        return features, codes[:, 0], codes[:, 1]

    def _logits(self, codes):
        tuned = self.settings.objective == "tuned"
        return self.classifier(codes) / (self.settings.temperature if tuned else 1.0)

    def _euclidean(self, photo, sketch, labels, gather):
        """Distance between the codes of a photo and a sketch of one class; `tuned` compares it with all others."""
        if self.settings.objective != "tuned":
            return gather.mean(tf.reduce_mean(euclidean_distance(photo, sketch)))
        return all_pairs_triplet_loss(photo, sketch, labels, self.settings.temperature, gather)

    def _reconstruction(self, stage, batch, draws):
        """Mean squared errors of the photo's and of the sketch's features, each from both rows of its pair."""
        photos, sketches = (tf.repeat(x, 2, axis=0) for x in (batch.photos, batch.sketches))
        return 2 * squared_error(self.photo_decoder(stage, draws=draws), photos) + 2 * squared_error(
            self.sketch_decoder(stage, draws=draws), sketches
        )

    def _adversarial(self, stage, class_vectors, draws):
        """Least squares with noisy labels: D = real + ½ fake photo + ½ fake sketch; G = photo + sketch, as if real."""
        real, fake = (self.discriminator(x + SIGMA * draws.normal(x), draws=draws) for x in (class_vectors, stage))

        def error(scores, labels):
            return tf.reduce_mean(tf.square(scores - draws.uniform(scores, *labels)))

        return dict(zip(ADVERSARIAL_TERMS, (2 * error(fake, REAL), error(real, REAL) + error(fake, FAKE)), strict=True))


def translator(name, inputs, outputs, dropout, shortcut=False):
    """A generator, or a decoder back: hidden layers half as wide as both ends together."""
    return Perceptron(name, inputs, (inputs + outputs) // 2, outputs, dropout, shortcut)


def in_turn(photos, sketches):
    """(n, d), (n, d) → (2n, d): photo, sketch, photo, …; so that a replica's rows stay together."""
    return tf.reshape(tf.stack([photos, sketches], axis=1), (-1, photos.shape[1]))


class Draws:
    """The noise of a step; each draw has a seed of its own.

    It is drawn for the whole batch, of which a replica takes its rows, so that it does not depend on the devices. Each
    method gives float32 numbers of the shape of the replica's rows (n, d).
    """

    def __init__(self, noise, gather):
        self.noise, self.gather, self.count = noise, gather, 0

    def draw(self, function, x, *range_):
        seed = self.noise + self.count
        self.count += 1
        return self.gather.local(function((tf.shape(x)[0] * self.gather.replicas, x.shape[1]), seed, *range_))

    def normal(self, x):
        return self.draw(tf.random.stateless_normal, x)

    def uniform(self, x, least, most):
        return self.draw(tf.random.stateless_uniform, x, least, most)

    def dropout(self, x, rate):
        """x with a share `rate` of its elements zeroed and the others raised to keep the mean."""
        return tf.where(self.uniform(x, 0.0, 1.0) >= rate, x / (1 - rate), 0.0) if rate else x


class Perceptron(keras.layers.Layer):
    """(n, inputs) → (n, outputs): twice a linear layer, batch normalisation, PReLU and dropout; then a linear one.

    With `shortcut` a linear map of the input is added to the output (FIDELITY.md, "PCMSN's preset tuned").
    In training, `draws` has the step's noise and gathers the rows of all replicas.
    """

    def __init__(self, name, inputs, hidden, outputs, dropout=0.0, shortcut=False):
        super().__init__(name=name)
        self.rate = dropout
        self.first = layers.Linear("first", inputs, hidden, use_bias=False)  # the normalisation has an offset
        self.second = layers.Linear("second", hidden, hidden, use_bias=False)
        self.out = layers.Linear("out", hidden, outputs)
        self.shortcut = layers.Linear("shortcut", inputs, outputs, use_bias=False) if shortcut else None
        self.activations = [Activation(f"{part}_activation", hidden) for part in ("first", "second")]
        self.built = True

    def call(self, x, draws=None):
        rows = x
        for linear, activation in zip((self.first, self.second), self.activations, strict=True):
            rows = activation(linear(rows), draws=draws)
            rows = draws.dropout(rows, self.rate) if draws else rows
        rows = self.out(rows)
        return rows + self.shortcut(x) if self.shortcut else rows


class Activation(keras.layers.Layer):
    """Batch normalisation and PReLU, (n, d) → (n, d), in float32. One slope for all units.

    Training normalises by mean and variance of the whole batch, over all devices; inference by their moving averages.
    """

    def __init__(self, name, units):
        super().__init__(name=name, dtype="float32")
        self.scale, self.offset = self._add("scale", (units,), 1.0), self._add("offset", (units,), 0.0)
        self.slope = self._add("slope", (), 0.25)
        self.mean = self._add("mean", (units,), 0.0, trainable=False, aggregation="mean")
        self.variance = self._add("variance", (units,), 1.0, trainable=False, aggregation="mean")
        self.built = True

    def _add(self, name, shape, start, **options):
        return self.add_weight(shape=shape, initializer=keras.initializers.Constant(start), name=name, **options)

    def call(self, x, draws=None):
        mean, variance = self._moments(x, draws.gather) if draws else (self.mean, self.variance)
        x = (x - mean) * (self.scale * tf.math.rsqrt(variance + 1e-5)) + self.offset
        return tf.where(x > 0, x, self.slope * x)

    def _moments(self, x, gather):
        """Mean and variance of all replicas' rows; updates the moving averages."""
        mean = gather.mean(tf.reduce_mean(x, 0))
        variance = gather.mean(tf.reduce_mean(tf.square(x - mean), 0))
        for moving, value in ((self.mean, mean), (self.variance, variance)):
            moving.assign(MOVING_MOMENTUM * moving + (1 - MOVING_MOMENTUM) * tf.stop_gradient(value))
        return mean, variance


class FrozenClassifier(keras.layers.Layer):
    """Codes (n, t) → logits (n, C): products with random unit vectors, one per class, that no training moves."""

    def __init__(self, name, dim, classes):
        super().__init__(name=name, trainable=False, dtype="float32")
        directions = np.array(keras.random.normal((dim, classes)))
        directions /= np.linalg.norm(directions, axis=0)
        self.directions = self.add_weight(
            shape=directions.shape, initializer=keras.initializers.Constant(directions), trainable=False, name="kernel"
        )
        self.built = True

    def call(self, codes):
        return tf.matmul(codes, self.directions)
