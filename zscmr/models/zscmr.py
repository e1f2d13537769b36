"""ZSCMR (Chaudhuri et al., CVPR Workshops 2020): photo, sketch and class vector meet in one embedding space.

One implementation serves three objectives: the slides' (`paper`), the released code's (`released`), and the slides'
terms in the form that retrieves best (`tuned`). FIDELITY.md says what of each is kept, mended or left open.
"""

from dataclasses import dataclass

import keras
import tensorflow as tf

from zscmr.models import layers
from zscmr.models.base import Constants, Preset, System, Tables
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
from zscmr.utils.errors import BadInput
from zscmr.utils.options import setting

TERMS = ("latent", "triplet", "decoder", "classification")
RELEASED_TERMS = (*TERMS[:3], "photo_classification", "sketch_classification", "photo_norm", "sketch_norm")


@dataclass(frozen=True)
class Settings(Constants):
    """Constants of the system. Mixing (`layers.mix_pairs`) and `temperature` belong to the objective `tuned`."""

    objective: str = "paper"  # or "released", "tuned"
    dim: int = setting(64, "size t of the embedding space", least=1)
    hidden: int = setting(0, "ReLU units beside each linear encoder, 0 for none", least=0)
    dropout: float = setting(0.0, "share of embedding components zeroed in training", least=0, below=1)
    input_dropout: float = setting(0.0, "share of feature components zeroed in training", least=0, below=1)
    margin: float = setting(5.0, "α of the triplet hinge, in units of Euclidean distance", least=0)
    temperature: float = setting(0.2, "divides the cosines of the all-pairs triplet", above=0)
    modality_mix: float = setting(0.0, "largest share of the other modality in a feature", least=0, below=1)
    class_mix: float = setting(0.0, "largest share of another class in a virtual one", least=0, below=1)
    # "principal": both encoders begin at the `layers.principal_directions` of the sketches; "identity": features,
    # unscaled, are the embeddings
    start: str = "random"
    likeness: bool = False  # to the classes of the backbone's classifier, beside the features where it is known

    @property
    def terms(self):
        return RELEASED_TERMS if self.objective == "released" else TERMS

    @property
    def wants_classifier(self):
        return self.likeness

    @property
    def unread(self):
        return ("margin",) if self.objective == "tuned" else ("temperature", "modality_mix", "class_mix")


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
    # for features that are aligned already: a projection of them, which training has not improved
    "aligned": Preset(
        Settings(objective="tuned", start="principal", likeness=True), epochs=0, held_out=0.0, distance="cosine"
    ),
    # for features that are embeddings already, of `pretrain/finetune.py --train joint --objective paper` or `tuned`
    "end-to-end": Preset(Settings(start="identity"), epochs=0, held_out=0.0),
}
TABLES = Tables(
    ablations={
        "paper": {
            f"without {term}": {"without": (term,)} for term in ("latent", "classification", "triplet", "decoder")
        }
    },
    only_by_name=("end-to-end",),
    of_one_width=("aligned",),
    picture_seconds={"tuned": 8e-8},  # its triplet loss is over all pairs
)


def build(settings, inputs):
    """The system with fresh weights, for `base.Inputs`."""
    return ZSCMR(settings, inputs)


def normed(embeddings, objective):
    """Embeddings (n, t), to length 1 under the objective `tuned`."""
    return tf.math.l2_normalize(embeddings, axis=1) if objective == "tuned" else embeddings


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
        scaled = settings.objective != "released" and settings.start != "identity"
        classifier = inputs.classifier if settings.likeness else None
        super().__init__(settings, inputs, scaled, classifier)
        self.negative_photos = settings.objective == "paper"
        self.negative_sketches = settings.objective != "tuned"
        photo, sketch = inputs.photos.shape[1], inputs.sketches.shape[1]
        if photo != sketch and settings.start == "principal":
            raise BadInput(f"photos have {photo} features, sketches {sketch}: --preset aligned needs as many of both")
        if classifier is not None:
            photo, sketch = (width + classifier.shape[1] for width in (photo, sketch))
        classes, semantic = inputs.class_vectors.shape
        biases = "glorot_uniform" if settings.objective == "released" else "zeros"
        self.photo_encoder = layers.Encoder("photo_encoder", photo, settings.dim, settings.hidden, biases)
        self.sketch_encoder = layers.Encoder("sketch_encoder", sketch, settings.dim, settings.hidden, biases)
        if settings.objective == "tuned":
            layers.start_alike(self.photo_encoder, self.sketch_encoder)
        if settings.start != "random":
            kernel = self._first_kernel(photo, sketch, inputs)
            for encoder in (self.photo_encoder, self.sketch_encoder):
                encoder.linear.kernel.assign(kernel)
        if settings.objective != "released":  # there it is written, and commented out
            self.semantic_encoder = layers.Linear("semantic_encoder", semantic, settings.dim)
        self.sketch_decoder = layers.Linear("sketch_decoder", settings.dim, sketch, bias_initializer=biases)  # g_is
        self.photo_decoder = layers.Linear("photo_decoder", settings.dim, photo, bias_initializer=biases)  # g_si
        self.photo_classifier = layers.Linear("photo_classifier", settings.dim, classes, bias_initializer=biases)
        self.sketch_classifier = layers.Linear("sketch_classifier", settings.dim, classes, bias_initializer=biases)

    def _first_kernel(self, photo, sketch, inputs):
        """Kernel (F, t) that both encoders begin with, for features of these widths."""
        settings = self.settings
        if settings.start == "identity":
            if not photo == sketch == settings.dim:
                raise BadInput(
                    f"{photo}-d photos, {sketch}-d sketches: --preset end-to-end keeps features of --dim {settings.dim}"
                )
            return tf.eye(photo)
        return layers.principal_directions(self.sketch_scaling, inputs.sketches, settings.dim)

    def branch(self, modality):
        """A layer from CNN features (n, F) of one modality to embeddings (n, t), of the weights that takes."""
        return Branch(
            getattr(self, f"{modality}_scaling"), getattr(self, f"{modality}_encoder"), self.settings.objective
        )

    def embed_photos(self, features):
        """(n, F) CNN features → (n, t) embeddings, rows of length 1 under the objective `tuned`."""
        return self._normed(self.photo_encoder(self.photo_scaling(features)))

    def embed_sketches(self, features):
        """(n, F') CNN features → (n, t) embeddings, rows of length 1 under the objective `tuned`."""
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
        semantic = gather(self.semantic_encoder(batch.class_vectors))
        return {
            "latent": latent_loss(photo, sketch, semantic),
            "triplet": triplet_loss(photo, sketch, negative_photo, negative_sketch, settings.margin),
            **self._read_out(photo, sketch, batch, gather),
        }

    def _encode(self, encoder, rows, streams, noise, gather):
        """Features (n · batch / replicas, F) of n blocks → their n embeddings (batch, t); `streams` number the noise.

        Noise is drawn for the whole batch, block by block, so that it does not depend on the devices.
        """
        settings = self.settings
        seeds = [noise + 2 * stream for stream in streams]
        if settings.input_dropout:
            blocks = zip(tf.split(rows, len(streams)), seeds, strict=True)
            rows = tf.concat(
                [gather.own(layers.dropout(gather(block), settings.input_dropout, seed)) for block, seed in blocks], 0
            )
        blocks = zip(tf.split(encoder(rows), len(streams)), seeds, strict=True)
        return [self._normed(layers.dropout(gather(block), settings.dropout, seed + 1)) for block, seed in blocks]

    def _pairs(self, batch):
        """A replica's photos and sketches (batch / replicas, F) without the negatives below them."""
        photos = tf.split(batch.photos, 2)[0] if self.negative_photos else batch.photos
        return photos, tf.split(batch.sketches, 2)[0] if self.negative_sketches else batch.sketches

    def _read_out(self, photo, sketch, batch, gather):
        """Decoder and classification terms of embeddings (batch, t), against a replica's own features and labels.

        Both are means over the batch, so that of each replica's mean is enough, and (batch, F) need not travel.
        """
        photo, sketch = gather.own(photo), gather.own(sketch)
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
        """The four terms on unit embeddings; the latent term sums over t where `paper` has a mean, since a unit row
        has energy 1. Rows beyond the batch are of virtual classes, two each, and enter the triplet only."""
        settings = self.settings
        photos, sketches = layers.mix_pairs(
            gather(batch.photos), gather(batch.sketches), settings.modality_mix, settings.class_mix, noise
        )
        (photo,) = self._encode(self.photo_encoder, gather.own(photos), (0,), noise, gather)
        (sketch,) = self._encode(self.sketch_encoder, gather.own(sketches), (1,), noise, gather)
        labels = gather(batch.labels)
        groups = layers.labels_of_mixed(labels, tf.shape(photo)[0])
        triplet = all_pairs_triplet_loss(photo, sketch, groups, settings.temperature)
        pairs = tf.shape(labels)[0]
        photo, sketch = photo[:pairs], sketch[:pairs]
        semantic = self._normed(gather(self.semantic_encoder(batch.class_vectors)))
        root = tf.sqrt(tf.cast(settings.dim, tf.float32))  # brings a unit row to mean square 1 for the linear layers
        return {
            "latent": settings.dim * latent_loss(photo, sketch, semantic),
            "triplet": triplet,
            **self._read_out(root * photo, root * sketch, batch, gather),
        }

    def _released_terms(self, photo, sketch, negative_sketch, batch, gather):
        """The released cost's terms (FIDELITY.md, "Preset released"): batch norms, not means; the latent term has no
        class vector in it; the decoder of the sketch stream ends in a ReLU."""
        own_photo, own_sketch = gather.own(photo), gather.own(sketch)
        photos, sketches = self._pairs(batch)

        def norm(own_rows):
            return frobenius(gather(frobenius(own_rows)[None]))  # a number of each replica, not its (batch, F)

        return {
            "latent": frobenius(photo - sketch),
            "triplet": batch_mean_triplet_loss(photo, sketch, negative_sketch, self.settings.margin),
            "decoder": norm(photos - tf.nn.relu(self.photo_decoder(own_sketch)))
            + norm(sketches - self.sketch_decoder(own_photo)),
            "photo_classification": gather.mean(cross_entropy(self.photo_classifier(own_photo), batch.labels)),
            "sketch_classification": gather.mean(cross_entropy(self.sketch_classifier(own_sketch), batch.labels)),
            "photo_norm": tf.abs(frobenius(self.photo_encoder.linear.kernel) - 1.0),
            "sketch_norm": tf.abs(frobenius(self.sketch_encoder.linear.kernel) - 1.0),
        }
