"""CrossATNet (Chaudhuri et al., Image and Vision Computing 2020): attention to a photo guided by its sketch, class
anchors from a graph convolution over the classes, and embeddings that may be binary codes.

Our reading of the abstract: sizes and formulas of the paper are not available (FIDELITY.md, "CrossATNet").
"""

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from zscmr.models import layers
from zscmr.models.base import System
from zscmr.models.losses import all_pairs_triplet_loss, classification_loss, latent_loss, squared_error
from zscmr.models.presets import Constants, Preset, Tables
from zscmr.utils.options import setting

TERMS = ("latent", "triplet", "classification")


@dataclass(frozen=True)
class Settings(Constants):
    """Constants of the system.

    `attention` "sketch": in training a photo's features are gated by its sketch, elsewhere by a gate of the photo that
    imitates the sketch's; "photo": by the photo's gate alone, which imitates none. `guided`: share of training photos
    gated by their sketch. `gate_hidden`, `graph_hidden`: units of the gates and of the graph convolution. Mixing as in
    `layers.mix_pairs`.
    """

    dim: int = setting(64, "size t of the embedding space", least=1)
    bits: int = setting(0, "embeddings are binary codes of this length; takes the place of --dim", least=1)
    attention: str = setting("sketch", "what gates a photo's features in training", ("sketch", "photo", "none"))
    guided: float = 0.5
    graph: str = setting("classes", "what joins class vectors: a graph of the classes, or nothing", ("classes", "none"))
    hidden: int = setting(1024, "ReLU units beside each linear encoder, 0 for none", least=0)
    gate_hidden: int = 16
    graph_hidden: int = 16
    temperature: float = setting(0.2, "divides cosines", above=0)
    input_dropout: float = setting(0.6, "share of feature components zeroed in training", least=0, below=1)
    modality_mix: float = setting(0.3, "largest share of the other modality in a feature", least=0, below=1)
    class_mix: float = setting(0.5, "largest share of another class in a virtual one", least=0, below=1)

    @property
    def size(self):
        """t, of a real-valued embedding or of a code."""
        return self.bits or self.dim

    @property
    def binary(self):
        return bool(self.bits)

    @property
    def terms(self):
        distillation = ("distillation",) if self.attention == "sketch" else ()
        return (*TERMS, *distillation, *(("quantisation", "balance") if self.bits else ()))

    @property
    def unused(self):
        return ("dim",) if self.bits else ()

    @property
    def wants_graph(self):
        return self.graph == "classes"


PRESETS = {
    "default": Preset(
        Settings(),
        weights={
            "latent": 0.1,
            "triplet": 1.0,
            "classification": 0.1,
            "distillation": 1.0,
            "quantisation": 0.1,
            "balance": 1.0,
        },
        epochs=80,
        batch_size=256,
        batches="balanced",
        schedule="cosine",
        held_out=0.0,  # the rate ends at 0: the last epoch is kept
        distance="cosine",
    ),
}
TABLES = Tables(
    ablations={
        "default": {
            "without attention": {"attention": "none"},
            "word vectors for the graph": {"graph": "none"},
            "64 bits": {"bits": 64},
            "64 bits, without hash terms": {"bits": 64, "without": ("quantisation", "balance")},
        }
    },
    variants={"default": ({"bits": 64}, {"bits": 128})},
    against={"64 bits, without hash terms": "64 bits"},
    picture_seconds={"default": 1.1e-7},  # its triplet loss is over all pairs, its encoders are wider
)


def build(settings, inputs):
    """The system with fresh weights, for `base.Inputs`."""
    return CrossATNet(settings, inputs)


def normalised_adjacency(edges, nodes):
    """D^−½ (A + I) D^−½ of the undirected graph with `edges` (E, 2), (nodes, nodes) float32.

    D holds the row sums of A + I. An edge given twice, or both ways, counts once; without edges it is the identity.
    """
    linked = np.eye(nodes, dtype=np.float32)
    linked[edges[:, 0], edges[:, 1]] = linked[edges[:, 1], edges[:, 0]] = 1
    root = np.sqrt(linked.sum(axis=1))
    return linked / root[:, None] / root


class ClassGraph(keras.layers.Layer):
    """Two graph convolutions (Kipf and Welling, 2017) over the trained classes: Â relu(Â X W₁ + b₁) W₂ + b₂, (C, t).

    X (C, S) are the class vectors, centred and scaled per dimension and each brought to length √S.
    """

    def __init__(self, name, class_vectors, edges, hidden, outputs):
        super().__init__(name=name, dtype="float32")
        self.adjacency = layers.fixed_weight(self, "adjacency", normalised_adjacency(edges, len(class_vectors)))
        self.nodes = layers.fixed_weight(self, "nodes", layers.Scaling(class_vectors, "scaling")(class_vectors).numpy())
        self.first = layers.Linear("first", class_vectors.shape[1], hidden)
        self.second = layers.Linear("second", hidden, outputs)
        self.built = True

    def call(self, labels):
        """Labels (n,) → the anchors of those classes, (n, t)."""
        rows = tf.nn.relu(self.first(tf.matmul(self.adjacency, self.nodes)))
        return tf.gather(self.second(tf.matmul(self.adjacency, rows)), labels)


class Gate(keras.layers.Layer):
    """Scaled features (n, F) → a gate (n, outputs) in (−1, 1), which starts at 0."""

    def __init__(self, name, inputs, hidden, outputs):
        super().__init__(name=name)
        self.first = layers.Linear("first", inputs, hidden)
        self.second = layers.Linear("second", hidden, outputs, kernel_initializer="zeros")
        self.built = True

    def call(self, features):
        return tf.tanh(self.second(tf.nn.relu(self.first(features))))


class CrossATNet(System):
    """Two encoders into one space, gates of the photo's features, a classifier a stream, and the class graph."""

    def __init__(self, settings, inputs):
        super().__init__(settings, inputs)
        photo, sketch = inputs.photos.shape[1], inputs.sketches.shape[1]
        classes, size = len(inputs.class_vectors), settings.size
        self.photo_encoder = layers.FeatureEncoder("photo_encoder", photo, size, settings.hidden)
        self.sketch_encoder = layers.FeatureEncoder("sketch_encoder", sketch, size, settings.hidden)
        layers.start_alike(self.photo_encoder, self.sketch_encoder)
        if settings.attention != "none":
            self.photo_gate = Gate("photo_gate", photo, settings.gate_hidden, photo)
        if settings.attention == "sketch":
            self.sketch_gate = Gate("sketch_gate", sketch, settings.gate_hidden, photo)
        self.class_graph = ClassGraph("class_graph", inputs.class_vectors, inputs.edges, settings.graph_hidden, size)
        self.photo_classifier = layers.Linear("photo_classifier", size, classes)
        self.sketch_classifier = layers.Linear("sketch_classifier", size, classes)

    def embed_photos(self, features):
        """(n, F) CNN features → (n, t) unit embeddings, or codes of −1 and 1. Independent of any sketch."""
        photos = self.photo_scaling(features)
        if self.settings.attention != "none":
            photos = photos * (1 + self.photo_gate(photos))
        return self._final(self.photo_encoder(photos))

    def embed_sketches(self, features):
        """(n, F') CNN features → (n, t) unit embeddings, or codes of −1 and 1."""
        return self._final(self.sketch_encoder(self.sketch_scaling(features)))

    def _final(self, embeddings):
        if self.settings.bits:
            return tf.where(embeddings > 0, 1.0, -1.0)
        return tf.math.l2_normalize(embeddings, axis=1)

    def _shaped(self, embeddings):
        """Rows (n, t) of mean square 1, or of values in (−1, 1) on their way to be a code."""
        if self.settings.bits:
            return tf.tanh(embeddings)
        return tf.math.l2_normalize(embeddings, axis=1) * tf.sqrt(float(self.settings.size))

    def terms(self, batch, noise, gather):
        """The loss terms of a batch of pairs, as a dict in the order of `settings.terms`.

        Rows of virtual classes (`layers.mix_pairs`) enter triplet and distillation only.
        """
        settings = self.settings
        mixed = layers.mix_pairs(batch, settings.modality_mix, settings.class_mix, noise, gather)
        photos, sketches = (
            layers.dropout(rows, settings.input_dropout, noise + stream, gather)
            for stream, rows in enumerate((mixed.photos, mixed.sketches))
        )
        photos, distillation = self._attend(photos, sketches, noise, gather)
        photo, sketch = self._shaped(self.photo_encoder(photos)), self._shaped(self.sketch_encoder(sketches))
        units = tf.math.l2_normalize(photo, axis=1), tf.math.l2_normalize(sketch, axis=1)
        triplet = all_pairs_triplet_loss(*units, mixed.labels, settings.temperature, gather)
        photo, sketch = (layers.without_virtual(rows, batch, gather) for rows in (photo, sketch))
        logits = self.photo_classifier(photo), self.sketch_classifier(sketch)
        values = {
            "latent": gather.mean(latent_loss(photo, sketch, self._shaped(self.class_graph(batch.labels)))),
            "triplet": triplet,
            "classification": gather.mean(classification_loss(*logits, batch.labels)),
            "distillation": distillation,
        }
        if settings.bits:
            values |= {
                "quantisation": gather.mean(quantisation_loss(photo) + quantisation_loss(sketch)),
                "balance": balance_loss(photo, gather) + balance_loss(sketch, gather),
            }
        return {name: values[name] for name in settings.terms}

    def _attend(self, photos, sketches, noise, gather):
        """(gated features of a replica's photos (n, F), distillation term or None).

        Which photos their sketch gates is drawn for the whole batch, so that it does not depend on the devices.
        """
        settings = self.settings
        if settings.attention == "none":
            return photos, None
        gate = self.photo_gate(photos)
        if settings.attention == "photo":
            return photos * (1 + gate), None
        sketch_gate = self.sketch_gate(sketches)
        distillation = gather.mean(distillation_loss(gate, sketch_gate))
        draw = tf.random.stateless_uniform((tf.shape(photos)[0] * gather.replicas, 1), noise + 2)
        return photos * (1 + tf.where(gather.local(draw) < settings.guided, sketch_gate, gate)), distillation


def distillation_loss(photo_gate, sketch_gate):
    """Mean squared error of the gates (n, F) of photos to those of their sketches, which get no gradient."""
    return squared_error(photo_gate, tf.stop_gradient(sketch_gate))


def quantisation_loss(codes):
    """(|h| − 1)² of codes (batch, t) in (−1, 1), mean over batch and bits: 0 where all are signs."""
    return squared_error(tf.abs(codes), tf.ones_like(codes))


def balance_loss(codes, gather):
    """Squared mean over the whole batch of each bit of a replica's codes (batch / replicas, t), mean over bits.

    0 where each bit is set for half the rows.
    """
    return tf.reduce_mean(tf.square(gather.mean(tf.reduce_mean(codes, axis=0))))
