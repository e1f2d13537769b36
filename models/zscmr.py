"""ZSCMR (Chaudhuri et al., CVPR Workshops 2020): photo, sketch and class vector meet in one embedding space.

One implementation serves three objectives: the slides' (`paper`), the released code's (`released`), and the slides'
terms in the form that retrieves best (`tuned`). FIDELITY.md says what of each is kept, mended or left open.
"""

from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf

TERMS = ("latent", "triplet", "decoder", "classification")
RELEASED_TERMS = (*TERMS[:3], "photo_classification", "sketch_classification", "photo_norm", "sketch_norm")


@dataclass(frozen=True)
class Settings:
    """Sizes, constants and forms of the system.

    `dim` size t of the embedding space; `hidden` units of an additional ReLU branch beside each linear encoder, 0 for
    none; `dropout` and `input_dropout` shares of embedding and feature components zeroed in training; `margin` the α
    of the triplet hinge, in units of Euclidean distance in the embedding space; `temperature` divides cosines;
    `modality_mix` and `class_mix`: largest shares of the other modality, and of another class, in a training feature
    (objective `tuned`, `mixed_pairs`).
    """

    objective: str = "paper"  # or "released", "tuned"
    dim: int = 64
    hidden: int = 0
    dropout: float = 0.0
    input_dropout: float = 0.0
    margin: float = 5.0
    temperature: float = 0.2
    modality_mix: float = 0.0
    class_mix: float = 0.0

    @property
    def terms(self):
        return RELEASED_TERMS if self.objective == "released" else TERMS


@dataclass(frozen=True)
class Preset:
    """A system's settings, the weight of each term, and how it is trained."""

    sizes: Settings
    weights: dict = field(default_factory=lambda: dict.fromkeys(TERMS, 1.0))
    epochs: int = 60
    batch_size: int = 128
    learning_rate: float = 1e-3
    schedule: str = "constant"
    batches: str = "triads"
    held_out: float = 0.1
    distance: str = "euclidean"


PRESETS = {
    "paper": Preset(Settings()),
    "released": Preset(
        Settings(objective="released", dim=300, dropout=0.5, margin=0.5),
        weights={
            "latent": 0.0,
            "triplet": 0.1,
            "decoder": 0.0,
            "photo_classification": 0.1,
            "sketch_classification": 1.0,
            "photo_norm": 1.0,
            "sketch_norm": 1.0,
        },
        epochs=200,
        learning_rate=0.01,
        held_out=0.0,
    ),
    "tuned": Preset(
        Settings(objective="tuned", hidden=1024, input_dropout=0.6, modality_mix=0.3, class_mix=0.5),
        weights={"latent": 0.1, "triplet": 1.0, "decoder": 0.1, "classification": 0.1},
        epochs=80,
        batch_size=256,
        batches="balanced",
        schedule="cosine",
        held_out=0.0,  # the rate ends at 0, where the held-out curves are flat: the last epoch is kept
        distance="cosine",
    ),
}


def latent_loss(photo, sketch, semantic):
    """‖Img − Sem‖² + ‖Skc − Sem‖² of embeddings (batch, t), mean over the batch and over t. Scalar, ≥ 0."""
    return squared_error(photo, semantic) + squared_error(sketch, semantic)


def triplet_loss(anchor, positive, negative, margin):
    """max(d(anchor, positive) − d(anchor, negative) + margin, 0) per sample, mean over the batch; d is Euclidean.

    Arguments (batch, t); scalar, ≥ 0.
    """
    return tf.reduce_mean(tf.nn.relu(distance(anchor, positive) - distance(anchor, negative) + margin))


def decoder_loss(sketch_from_photo, sketch, photo_from_sketch, photo):
    """‖g_is(Img) − Skc‖² + ‖g_si(Skc) − Img‖² against the scaled CNN features (batch, F), mean over batch and F."""
    return squared_error(sketch_from_photo, sketch) + squared_error(photo_from_sketch, photo)


def classification_loss(photo_logits, sketch_logits, labels):
    """CE(Img) + CE(Skc): softmax cross-entropy of logits (batch, C) with labels (batch,) in 0 … C−1, in nats."""
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits
    return tf.reduce_mean(entropy(labels, photo_logits)) + tf.reduce_mean(entropy(labels, sketch_logits))


def all_pairs_loss(anchors, candidates, labels, temperature):
    """Soft-margin triplet loss of every (anchor, positive) pair against all negatives of the batch.

    log(1 + Σ_n exp((cos(a, n) − cos(a, p)) / temperature)), n over the candidates of other classes; mean over the
    positives p of an anchor, then over anchors. Unit rows (batch, t), row i of both of class labels[i]; scalar, ≥ 0.
    """
    cosines = tf.matmul(anchors, candidates, transpose_b=True) / temperature  # (batch, batch)
    same = tf.cast(labels[:, None] == labels[None, :], cosines.dtype)
    negatives = tf.reduce_logsumexp(cosines - 1e9 * same, axis=1, keepdims=True)  # (batch, 1)
    pairs = tf.nn.softplus(negatives - cosines)
    return tf.reduce_mean(tf.reduce_sum(pairs * same, axis=1) / tf.reduce_sum(same, axis=1))


def batch_mean_triplet_loss(anchor, positive, negative, margin):
    """The released triplet: max(mean d(anchor, positive) − mean d(anchor, negative) + margin, 0), means over the batch.

    Arguments (batch, t); scalar, ≥ 0.
    """
    gap = tf.reduce_mean(distance(anchor, positive)) - tf.reduce_mean(distance(anchor, negative))
    return tf.nn.relu(gap + margin)


def frobenius(matrix):
    """‖matrix‖_F, not squared; the floor keeps its gradient finite at zero."""
    return tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(matrix)), 1e-12))


def squared_error(a, b):
    """Mean over all elements of (a − b)²; as half a sum it takes one pass forward and one backward."""
    return tf.nn.l2_loss(a - b) * (2.0 / tf.cast(tf.size(a), tf.float32))


def distance(a, b):
    """Euclidean distance of rows, (batch, t) × (batch, t) → (batch,); the floor keeps its gradient finite at zero."""
    return tf.sqrt(tf.maximum(tf.reduce_sum(tf.math.squared_difference(a, b), axis=-1), 1e-12))


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


class Encoder(keras.layers.Layer):
    """Scaled features (n, F) → embeddings (n, t): one linear layer, as released, and a ReLU branch if `hidden`."""

    def __init__(self, name, inputs, settings):
        super().__init__(name=name)
        self.linear = _linear("linear", inputs, settings)
        self.branch = []
        if settings.hidden:
            self.branch = [
                keras.layers.Dense(settings.hidden, activation="relu", name="hidden"),
                Linear(settings.dim, use_bias=False, name="out"),
            ]
            self.branch[0].build((None, inputs))
            self.branch[1].build((None, settings.hidden))
        self.built = True

    def call(self, x):
        if not self.branch:
            return self.linear(x)
        return self.linear(x) + self.branch[1](self.branch[0](x))


class ZSCMR(keras.Model):
    """The system for `classes` seen classes and class vectors of `semantic` dimensions.

    `photos` (n, F) and `sketches` (m, F') are the training features, from which the fixed input scaling is taken.
    """

    def __init__(self, settings, photos, sketches, semantic, classes):
        super().__init__(name="zscmr")
        self.settings = settings
        scaled = settings.objective != "released"
        self.photo_scaling = Scaling(photos, "photo_scaling") if scaled else tf.identity
        self.sketch_scaling = Scaling(sketches, "sketch_scaling") if scaled else tf.identity
        self.photo_encoder = Encoder("photo_encoder", photos.shape[1], settings)
        self.sketch_encoder = Encoder("sketch_encoder", sketches.shape[1], settings)
        if settings.objective == "tuned" and photos.shape[1] == sketches.shape[1]:
            # both start from the same map: features of one backbone are near each other from the first step
            self.sketch_encoder.set_weights(self.photo_encoder.get_weights())
        if settings.objective != "released":  # there it is written, and commented out
            self.semantic_encoder = _linear("semantic_encoder", semantic, settings)
        self.sketch_decoder = _linear("sketch_decoder", settings.dim, settings, sketches.shape[1])  # g_is
        self.photo_decoder = _linear("photo_decoder", settings.dim, settings, photos.shape[1])  # g_si
        self.photo_classifier = _linear("photo_classifier", settings.dim, settings, classes)
        self.sketch_classifier = _linear("sketch_classifier", settings.dim, settings, classes)
        self.built = True

    def embed_photos(self, features):
        """(n, F) CNN features → (n, t) embeddings, rows of length 1 under the objective `tuned`."""
        return self._normed(self.photo_encoder(self.photo_scaling(features)))

    def embed_sketches(self, features):
        """(n, F') CNN features → (n, t) embeddings, rows of length 1 under the objective `tuned`."""
        return self._normed(self.sketch_encoder(self.sketch_scaling(features)))

    def _normed(self, embeddings):
        return tf.math.l2_normalize(embeddings, axis=1) if self.settings.objective == "tuned" else embeddings

    def terms(self, photos, sketches, negative_photos, negative_sketches, class_vectors, labels, noise, gather):
        """The loss terms of a batch of triads, as a dict in the order of `settings.terms`.

        Scaled features (batch, F) of the positive pair and of the negatives, class vectors (batch, S) of the pair's
        class, its label (batch,); `noise` a (2,) int seed of the noise. The arguments may be one replica's share of a
        batch: `gather` (`training.Gather`) brings rows of all replicas together.
        """
        settings = self.settings

        def encode(encoder, rows, stream):  # (batch / replicas, F) → (batch, t)
            if settings.input_dropout:  # drawn for the whole batch, so that the noise does not depend on the devices
                rows = gather.own(_dropout(gather(rows), settings.input_dropout, noise + 2 * stream))
            return self._normed(_dropout(gather(encoder(rows)), settings.dropout, noise + 2 * stream + 1))

        if settings.objective == "tuned":
            mixed = self._mixed_pairs(gather(photos), gather(sketches), noise)
            photo = encode(self.photo_encoder, gather.own(mixed[0]), 0)
            sketch = encode(self.sketch_encoder, gather.own(mixed[1]), 1)
            return self._tuned_terms(photo, sketch, photos, sketches, class_vectors, labels, gather)
        photo, sketch = encode(self.photo_encoder, photos, 0), encode(self.sketch_encoder, sketches, 1)
        negative_sketch = encode(self.sketch_encoder, negative_sketches, 2)
        if settings.objective == "released":
            return self._released_terms(photo, sketch, negative_sketch, photos, sketches, labels, gather)
        negative_photo = encode(self.photo_encoder, negative_photos, 3)
        semantic = gather(self.semantic_encoder(class_vectors))
        return {
            "latent": latent_loss(photo, sketch, semantic),
            "triplet": triplet_loss(photo, sketch, negative_sketch, settings.margin)
            + triplet_loss(sketch, photo, negative_photo, settings.margin),
            **self._read_out(photo, sketch, photos, sketches, labels, gather),
        }

    def _read_out(self, photo, sketch, photos, sketches, labels, gather):
        """Decoder and classification terms of embeddings (batch, t), against a replica's own features and labels.

        Both are means over the batch, so they are the mean of the replicas' means, and (batch, F) need not travel.
        """
        photo, sketch = gather.own(photo), gather.own(sketch)
        decoder = decoder_loss(self.sketch_decoder(photo), sketches, self.photo_decoder(sketch), photos)
        classification = classification_loss(self.photo_classifier(photo), self.sketch_classifier(sketch), labels)
        return {
            "decoder": tf.reduce_mean(gather(decoder[None])),
            "classification": tf.reduce_mean(gather(classification[None])),
        }

    def _mixed_pairs(self, photos, sketches, noise):
        """Scaled pairs (batch, F) → the pairs to train on: mixed across modalities, and pairs of virtual classes below.

        A photo takes up to `modality_mix` of its sketch and the reverse, so that the two maps stay near each other.
        A virtual class blends the two pairs of a class with those of the class before it in the batch, at most
        `class_mix` of that: more classes to tell apart than there are seen ones. Features of different width are left
        unmixed across modalities.
        """
        settings, batch = self.settings, tf.shape(photos)[0]
        shares = tf.random.stateless_uniform((3, batch, 1), noise + 62)
        if settings.modality_mix and photos.shape[1] == sketches.shape[1]:
            a, b = settings.modality_mix * shares[0], settings.modality_mix * shares[1]
            photos, sketches = (1 - a) * photos + a * sketches, (1 - b) * sketches + b * photos
        if settings.class_mix:
            c = settings.class_mix * tf.repeat(shares[2, ::2], 2, axis=0)  # one share a class
            length = tf.sqrt(c**2 + (1 - c) ** 2)  # keeps the energy of a blend of unrelated rows
            blend = lambda x: ((1 - c) * x + c * tf.roll(x, 2, axis=0)) / length  # noqa: E731
            photos, sketches = tf.concat([photos, blend(photos)], 0), tf.concat([sketches, blend(sketches)], 0)
        return photos, sketches

    def _tuned_terms(self, photo, sketch, photos, sketches, class_vectors, labels, gather):
        """The four terms on unit embeddings; the latent term sums over t where `paper` has a mean, since a unit row
        has energy 1. Rows beyond the batch are of virtual classes, two each, and enter the triplet only."""
        settings = self.settings
        labels_of_batch = gather(labels)
        batch = tf.shape(labels_of_batch)[0]
        groups = tf.concat([labels_of_batch, -1 - tf.range(tf.shape(photo)[0] - batch) // 2], axis=0)
        triplet = all_pairs_loss(photo, sketch, groups, settings.temperature) + all_pairs_loss(
            sketch, photo, groups, settings.temperature
        )
        photo, sketch = photo[:batch], sketch[:batch]
        semantic = self._normed(gather(self.semantic_encoder(class_vectors)))
        root = tf.sqrt(tf.cast(settings.dim, tf.float32))  # brings a unit row to mean square 1 for the linear layers
        return {
            "latent": settings.dim * latent_loss(photo, sketch, semantic),
            "triplet": triplet,
            **self._read_out(root * photo, root * sketch, photos, sketches, labels, gather),
        }

    def _released_terms(self, photo, sketch, negative_sketch, photos, sketches, labels, gather):
        """The released cost's terms (FIDELITY.md, "Preset released"): batch norms, not means; the latent term has no
        class vector in it; the decoder of the sketch stream ends in a ReLU."""
        own_photo, own_sketch = gather.own(photo), gather.own(sketch)

        def norm(own_rows):
            return tf.sqrt(tf.maximum(tf.reduce_sum(gather(tf.reduce_sum(tf.square(own_rows))[None])), 1e-12))

        def entropy(logits):
            own = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
            return tf.reduce_mean(gather(own[None]))

        return {
            "latent": frobenius(photo - sketch),
            "triplet": batch_mean_triplet_loss(photo, sketch, negative_sketch, self.settings.margin),
            "decoder": norm(photos - tf.nn.relu(self.photo_decoder(own_sketch)))
            + norm(sketches - self.sketch_decoder(own_photo)),
            "photo_classification": entropy(self.photo_classifier(own_photo)),
            "sketch_classification": entropy(self.sketch_classifier(own_sketch)),
            "photo_norm": tf.abs(frobenius(self.photo_encoder.linear.kernel) - 1.0),
            "sketch_norm": tf.abs(frobenius(self.sketch_encoder.linear.kernel) - 1.0),
        }


class Linear(keras.layers.Dense):
    """x W + b with a float32 result, whatever the precision of the product: losses are float32."""

    def call(self, x):
        return tf.cast(super().call(x), tf.float32)


def _linear(name, inputs, settings, outputs=None):
    """A built linear layer; Glorot-uniform weights, and biases too under the objective `released`."""
    biases = "glorot_uniform" if settings.objective == "released" else "zeros"
    layer = Linear(outputs or settings.dim, bias_initializer=biases, name=name)
    layer.build((None, inputs))
    return layer


def _dropout(x, rate, seed):
    return tf.nn.experimental.stateless_dropout(x, rate, seed) if rate else x
