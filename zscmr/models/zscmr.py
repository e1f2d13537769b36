"""ZSCMR (Chaudhuri et al., CVPR Workshops 2020): photo, sketch and class vector meet in one embedding space.

One implementation serves four objectives: that of the slides (`paper`), the same begun at the map of `aligned`
(`faithful`), that of the released code (`released`), and the slides' terms in the form that retrieves best (`tuned`).
FIDELITY.md compares each with its source.
"""

from dataclasses import dataclass

import keras
import tensorflow as tf

from zscmr.models import layers
from zscmr.models.base import System
from zscmr.models.losses import (
    all_pairs_triplet_loss,
    batch_mean_triplet_loss,
    classification_loss,
    cross_entropy,
    decoder_loss,
    frobenius,
    latent_loss,
    triplet_loss,
)
from zscmr.models.presets import Constants, Preset, Tables
from zscmr.utils.errors import BadInput
from zscmr.utils.options import setting

TERMS = ("latent", "triplet", "decoder", "classification")
RELEASED_TERMS = (*TERMS[:3], "photo_classification", "sketch_classification", "photo_norm", "sketch_norm")


@dataclass(frozen=True)
class Settings(Constants):
    """Constants of the system. Mixing (`layers.mix_pairs`) and `temperature` belong to the objective `tuned`."""

    objective: str = "paper"  # or "faithful", "released", "tuned"
    dim: int = setting(64, "size t of the embedding space", least=1)
    hidden: int = setting(0, "ReLU units beside each linear encoder, 0 for none", least=0)
    dropout: float = setting(0.0, "share of embedding components zeroed in training", least=0, below=1)
    input_dropout: float = setting(0.0, "share of feature components zeroed in training", least=0, below=1)
    margin: float = setting(5.0, "α of the triplet hinge, in units of Euclidean distance", least=0)
    temperature: float = setting(0.2, "divides the cosines of the all-pairs triplet", above=0)
    modality_mix: float = setting(0.0, "largest share of the other modality in a feature", least=0, below=1)
    class_mix: float = setting(0.0, "largest share of another class in a virtual one", least=0, below=1)

    @property
    def terms(self):
        return RELEASED_TERMS if self.objective == "released" else TERMS

    @property
    def wants_classifier(self):
        return self.objective == "faithful"

    @property
    def retired(self):
        return {"constants": {"start": "random", "likeness": False}}

    @property
    def unused(self):
        return ("margin",) if self.objective == "tuned" else ("temperature", "modality_mix", "class_mix")


PRESETS = {
    "paper": Preset(Settings()),
    "faithful": Preset(
        Settings(objective="faithful", margin=0.4),
        epochs=5,
        learning_rate=3e-4,
        schedule="cosine",
        held_out=0.0,  # seen classes say nothing of the epoch where stage I has trained on them
    ),
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
WITHOUT_TERM = {f"without {term}": {"without": (term,)} for term in ("latent", "classification", "triplet", "decoder")}
TABLES = Tables(
    ablations=dict.fromkeys(("paper", "faithful"), WITHOUT_TERM),
    of_one_width=("faithful",),
    picture_seconds={"tuned": 8e-8},  # its triplet loss is over all pairs
)


def build(settings, inputs):
    """The system with fresh weights, for `base.Inputs`."""
    return ZSCMR(settings, inputs)


def normed(embeddings, objective):
    """Embeddings (n, t), to length 1 under the objectives `tuned` and `faithful`."""
    return tf.math.l2_normalize(embeddings, axis=1) if objective in ("tuned", "faithful") else embeddings


class Branch(keras.layers.Layer):
    """Scaling and encoder of one modality."""

    def __init__(self, scaling, encoder, objective):
        super().__init__(name="branch", dtype="float32")
        self.scaling, self.encoder, self.objective = scaling, encoder, objective
        self.built = True

    def call(self, features):
        return normed(self.encoder(self.scaling(features)), self.objective)


class ZSCMR(System):
    """Three encoders into one space, two crossing decoders, two classifiers of the trained classes."""

    def __init__(self, settings, inputs):
        classifier = inputs.classifier if settings.wants_classifier else None
        super().__init__(settings, inputs, scaled=settings.objective != "released", classifier=classifier)
        self.negative_photos = settings.objective in ("paper", "faithful")
        self.negative_sketches = settings.objective != "tuned"
        described = 0 if classifier is None else classifier.shape[1]  # similarities beside the features
        photo, sketch = inputs.photos.shape[1] + described, inputs.sketches.shape[1] + described
        classes, semantic = inputs.class_vectors.shape
        biases = "glorot_uniform" if settings.objective == "released" else "zeros"
        self.photo_encoder = layers.FeatureEncoder("photo_encoder", photo, settings.dim, settings.hidden, biases)
        self.sketch_encoder = layers.FeatureEncoder("sketch_encoder", sketch, settings.dim, settings.hidden, biases)
        if settings.objective == "tuned":
            layers.start_alike(self.photo_encoder, self.sketch_encoder)
        if settings.objective != "released":  # whose code has it commented out
            self.semantic_encoder = layers.Linear("semantic_encoder", semantic, settings.dim)
        if settings.objective == "faithful":
            self._start_aligned(inputs)
        self.sketch_decoder = layers.Linear("sketch_decoder", settings.dim, sketch, bias_initializer=biases)  # g_is
        self.photo_decoder = layers.Linear("photo_decoder", settings.dim, photo, bias_initializer=biases)  # g_si
        # random classifiers would pull at the first map, which is better than what they ask for
        kernels = "zeros" if settings.objective == "faithful" else "glorot_uniform"
        readers = {"kernel_initializer": kernels, "bias_initializer": biases}
        self.photo_classifier = layers.Linear("photo_classifier", settings.dim, classes, **readers)
        self.sketch_classifier = layers.Linear("sketch_classifier", settings.dim, classes, **readers)

    def _start_aligned(self, inputs):
        """Start both encoders at the map of `aligned`."""
        photo, sketch = inputs.photos.shape[1], inputs.sketches.shape[1]
        if photo != sketch:
            raise BadInput(f"photos have {photo} features, sketches {sketch}: --preset faithful needs as many of both")
        kernel = layers.principal_directions(self.sketch_scaling, inputs.sketches, self.settings.dim)
        for encoder in (self.photo_encoder, self.sketch_encoder):
            encoder.linear.kernel.assign(kernel)

    def branch(self, modality):
        """A layer from CNN features (n, F) of "photo" or "sketch" to embeddings (n, t), with the weights it needs."""
        if modality == "photo":
            return Branch(self.photo_scaling, self.photo_encoder, self.settings.objective)
        return Branch(self.sketch_scaling, self.sketch_encoder, self.settings.objective)

    def embed_photos(self, features):
        """(n, F) CNN features → (n, t) embeddings, rows of length 1 under `tuned` and `faithful`."""
        return self._normed(self.photo_encoder(self.photo_scaling(features)))

    def embed_sketches(self, features):
        """(n, F') CNN features → (n, t) embeddings, rows of length 1 under `tuned` and `faithful`."""
        return self._normed(self.sketch_encoder(self.sketch_scaling(features)))

    def _normed(self, embeddings):
        return normed(embeddings, self.settings.objective)

    def terms(self, batch, noise, gather):
        """The loss terms of a batch of triads (`base.Batch`), as a dict in the order of `settings.terms`."""
        settings = self.settings
        if settings.objective == "tuned":
            return self._tuned_terms(batch, noise, gather)
        sketch, negative_sketch = self._encode(self.sketch_encoder, batch.sketches, (1, 2), noise, gather)
        if settings.objective == "released":
            (photo,) = self._encode(self.photo_encoder, batch.photos, (0,), noise, gather)
            return self._released_terms(photo, sketch, negative_sketch, batch, gather)
        photo, negative_photo = self._encode(self.photo_encoder, batch.photos, (0, 3), noise, gather)
        semantic = self._normed(self.semantic_encoder(batch.class_vectors))
        return {
            "latent": gather.mean(latent_loss(photo, sketch, semantic)),
            "triplet": gather.mean(triplet_loss(photo, sketch, negative_photo, negative_sketch, settings.margin)),
            **self._read_out(photo, sketch, batch, gather),
        }

    def _encode(self, encoder, rows, streams, noise, gather):
        """Embed a replica's features, blocks one below the other.

        Args:
            encoder: layer of one modality.
            rows: scaled features (n · batch / replicas, F) of n blocks.
            streams: numbers (n,) of the blocks' noise.
            noise: seed (2,) of the step.
            gather: `Gather`.

        Returns n embeddings (batch / replicas, t).
        """
        settings = self.settings
        seeds = [noise + 2 * stream for stream in streams]
        if settings.input_dropout:
            blocks = zip(tf.split(rows, len(streams)), seeds, strict=True)
            rows = tf.concat([layers.dropout(block, settings.input_dropout, seed, gather) for block, seed in blocks], 0)
        blocks = zip(tf.split(encoder(rows), len(streams)), seeds, strict=True)
        return [self._normed(layers.dropout(block, settings.dropout, seed + 1, gather)) for block, seed in blocks]

    def _pairs(self, batch):
        """A replica's photos and sketches (batch / replicas, F) without the negatives below them."""
        photos = tf.split(batch.photos, 2)[0] if self.negative_photos else batch.photos
        return photos, tf.split(batch.sketches, 2)[0] if self.negative_sketches else batch.sketches

    def _read_out(self, photo, sketch, batch, gather):
        """Decoder and classification terms of a replica's embeddings (batch / replicas, t)."""
        photos, sketches = self._pairs(batch)
        logits = self.photo_classifier(photo), self.sketch_classifier(sketch)
        # classifiers first: one that came last in a step would hold up the gradient of its encoder
        photo, sketch = layers.after(logits[0], photo), layers.after(logits[1], sketch)
        decoded = self.sketch_decoder(photo), sketches, self.photo_decoder(sketch), photos
        return {
            "decoder": gather.mean(decoder_loss(*decoded)),
            "classification": gather.mean(classification_loss(*logits, batch.labels)),
        }

    def _tuned_terms(self, batch, noise, gather):
        """The four terms on unit embeddings.

        The latent term sums over t where `paper` has a mean, since a unit row has energy 1. Rows of virtual classes
        enter the triplet term only.
        """
        settings = self.settings
        mixed = layers.mix_pairs(batch, settings.modality_mix, settings.class_mix, noise, gather)
        (photo,) = self._encode(self.photo_encoder, mixed.photos, (0,), noise, gather)
        (sketch,) = self._encode(self.sketch_encoder, mixed.sketches, (1,), noise, gather)
        triplet = all_pairs_triplet_loss(photo, sketch, mixed.labels, settings.temperature, gather)
        photo, sketch = (layers.without_virtual(rows, batch, gather) for rows in (photo, sketch))
        semantic = self._normed(self.semantic_encoder(batch.class_vectors))
        root = tf.sqrt(tf.cast(settings.dim, tf.float32))  # brings a unit row to mean square 1 for the linear layers
        return {
            "latent": gather.mean(settings.dim * latent_loss(photo, sketch, semantic)),
            "triplet": triplet,
            **self._read_out(root * photo, root * sketch, batch, gather),
        }

    def _released_terms(self, photo, sketch, negative_sketch, batch, gather):
        """The released cost's terms (FIDELITY.md, "Preset released").

        Batch norms, not means; the latent term has no class vector in it; the decoder of the sketch stream ends in a
        ReLU.
        """
        photos, sketches = self._pairs(batch)

        def norm(own_rows):
            return frobenius(gather(frobenius(own_rows)[None]))  # a number of each replica, not its (batch, F)

        return {
            "latent": frobenius(gather(photo - sketch)),
            "triplet": batch_mean_triplet_loss(photo, sketch, negative_sketch, self.settings.margin, gather),
            "decoder": norm(photos - tf.nn.relu(self.photo_decoder(sketch)))
            + norm(sketches - self.sketch_decoder(photo)),
            "photo_classification": gather.mean(cross_entropy(self.photo_classifier(photo), batch.labels)),
            "sketch_classification": gather.mean(cross_entropy(self.sketch_classifier(sketch), batch.labels)),
            "photo_norm": tf.abs(frobenius(self.photo_encoder.linear.kernel) - 1.0),
            "sketch_norm": tf.abs(frobenius(self.sketch_encoder.linear.kernel) - 1.0),
        }
