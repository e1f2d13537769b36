"""ZSCMR (Chaudhuri et al., CVPR Workshops 2020): photo, sketch and class vector meet in one embedding space.

Encoders are single linear layers as released; two decoders cross over; one classifier per stream reads the space.
What the paper leaves open (sum or mean, scaling, dropout, margin) is said where it is decided; FIDELITY.md tells why.
"""

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

TERMS = ("latent", "triplet", "decoder", "classification")


@dataclass(frozen=True)
class Settings:
    """Sizes and constants of the system.

    `dim` size of the embedding space t; `dropout` share of embedding components zeroed in training; `margin` the α of
    the triplet hinge, in units of Euclidean distance in the embedding space.
    """

    dim: int = 64
    dropout: float = 0.0
    margin: float = 5.0


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


def squared_error(a, b):
    return tf.reduce_mean(tf.math.squared_difference(a, b))


def distance(a, b):
    """Euclidean distance of rows, (batch, t) × (batch, t) → (batch,); the floor keeps its gradient finite at zero."""
    return tf.sqrt(tf.maximum(tf.reduce_sum(tf.math.squared_difference(a, b), axis=-1), 1e-12))


class Scaling(keras.layers.Layer):
    """(x − mean) / deviation per feature, both fixed from training features, then each row to length √F.

    The mean square of a scaled row is 1, so a mean over F of a squared error is a share of the row's energy.
    """

    def __init__(self, features, name):
        super().__init__(name=name, trainable=False)
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


class ZSCMR(keras.Model):
    """The system for `classes` seen classes and class vectors of `semantic` dimensions.

    `photos` (n, F) and `sketches` (m, F') are the training features, from which the fixed input scaling is taken.
    """

    def __init__(self, settings, photos, sketches, semantic, classes):
        super().__init__(name="zscmr")
        self.settings = settings
        self.photo_scaling = Scaling(photos, "photo_scaling")
        self.sketch_scaling = Scaling(sketches, "sketch_scaling")
        self.photo_encoder = _linear("photo_encoder", photos.shape[1], settings.dim)
        self.sketch_encoder = _linear("sketch_encoder", sketches.shape[1], settings.dim)
        self.semantic_encoder = _linear("semantic_encoder", semantic, settings.dim)
        self.sketch_decoder = _linear("sketch_decoder", settings.dim, sketches.shape[1])  # g_is: photo → sketch
        self.photo_decoder = _linear("photo_decoder", settings.dim, photos.shape[1])  # g_si: sketch → photo
        self.photo_classifier = _linear("photo_classifier", settings.dim, classes)
        self.sketch_classifier = _linear("sketch_classifier", settings.dim, classes)
        self.built = True

    def embed_photos(self, features):
        """(n, F) CNN features → (n, t) embeddings."""
        return self.photo_encoder(self.photo_scaling(features))

    def embed_sketches(self, features):
        """(n, F') CNN features → (n, t) embeddings."""
        return self.sketch_encoder(self.sketch_scaling(features))

    def terms(self, photos, sketches, negative_photos, negative_sketches, class_vectors, labels, noise):
        """The four loss terms of a batch of triads, as a dict in the order of TERMS.

        CNN features (batch, F) of the positive pair and of the negatives, class vectors (batch, S) of the pair's
        class, its label (batch,); `noise` a (2,) int seed of the dropout noise.
        """
        scaled_photos, scaled_sketches = self.photo_scaling(photos), self.sketch_scaling(sketches)
        drop = lambda x, part: _dropout(x, self.settings.dropout, noise + part)  # noqa: E731
        photo = drop(self.photo_encoder(scaled_photos), 0)
        sketch = drop(self.sketch_encoder(scaled_sketches), 1)
        negative_photo = drop(self.embed_photos(negative_photos), 2)
        negative_sketch = drop(self.embed_sketches(negative_sketches), 3)
        semantic = self.semantic_encoder(class_vectors)
        margin = self.settings.margin
        return {
            "latent": latent_loss(photo, sketch, semantic),
            "triplet": triplet_loss(photo, sketch, negative_sketch, margin)
            + triplet_loss(sketch, photo, negative_photo, margin),
            "decoder": decoder_loss(
                self.sketch_decoder(photo), scaled_sketches, self.photo_decoder(sketch), scaled_photos
            ),
            "classification": classification_loss(self.photo_classifier(photo), self.sketch_classifier(sketch), labels),
        }


def _linear(name, inputs, outputs):
    layer = keras.layers.Dense(outputs, name=name)
    layer.build((None, inputs))
    return layer


def _dropout(x, rate, seed):
    return tf.nn.experimental.stateless_dropout(x, rate, seed) if rate else x
