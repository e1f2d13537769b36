"""What a system is: the contract between a file of `models/` and the trainer.

A system's module offers

    Settings   a frozen dataclass of its constants, derived from `Constants`
    PRESETS    {name: Preset}, the default first
    build      (settings, inputs) -> System
    TABLES     optional: `Tables`, its rows in the paper's tables

Fields of `Settings` made by `zscmr.utils.options.setting` become flags of the trainer, with help, choices and ranges.
"""

import dataclasses
from dataclasses import dataclass, field
from functools import partial

import keras
import numpy as np
import tensorflow as tf

from zscmr.models import layers
from zscmr.models.adam import Adam
from zscmr.utils.errors import BadInput
from zscmr.utils.options import Options


@dataclass(frozen=True)
class Constants(Options):
    """Base of a system's `Settings`: what the trainer asks of them."""

    @property
    def terms(self):
        """Name of the loss terms, in the order of `System.terms`."""
        raise NotImplementedError

    @property
    def size(self):
        """t: dimensions of an embedding, or bits of a code."""
        return self.dim

    @property
    def binary(self):
        """Whether embeddings are codes of −1 and 1, ranked by Hamming distance."""
        return False

    @property
    def wants_graph(self):
        """Whether the system needs `Inputs.edges`."""
        return False

    @property
    def wants_classifier(self):
        """Whether the system makes use of `Inputs.classifier`."""
        return False

    @property
    def unread(self):
        """Name of constants that this objective has no use for."""
        return ()


@dataclass(frozen=True)
class Tables:
    """A system's part in the paper's tables.

    `ablations`: {preset: {row: changes}}; `variants`: {preset: (changes, …)}, rows beside the preset; a change is a
    `TrainingOptions` field or a constant and its value. `against`: {ablation row: the row it is measured against},
    where that is not the full system. `only_by_name`: presets for features of one kind, compared where they are named.
    `of_one_width`: presets that need as many features of photos as of sketches. `picture_seconds`: {preset: time of an
    epoch per picture and feature on two CPU cores}, where it is far from `zscmr.paper.cells.PICTURE_SECONDS`.
    """

    ablations: dict = field(default_factory=dict)
    variants: dict = field(default_factory=dict)
    against: dict = field(default_factory=dict)
    only_by_name: tuple = ()
    of_one_width: tuple = ()
    picture_seconds: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Preset:
    """How a system is trained.

    `constants`: an instance of the module's Settings. `weights`: of each loss term, 1 where it is silent; terms that
    other constants have may be named too. `distance`: what embeddings are ranked by; Hamming's for codes.
    """

    constants: Constants
    weights: dict = field(default_factory=dict)
    epochs: int = 60
    batch_size: int = 128
    learning_rate: float = 1e-3
    schedule: str = "constant"  # or "cosine", which falls to 0
    batches: str = "triads"  # or "balanced": two photos and two sketches of each class
    steps: int = 0  # of an epoch of balanced batches; 0: a pass over the larger modality
    held_out: float = 0.1
    distance: str = "euclidean"

    def __post_init__(self):
        object.__setattr__(self, "weights", dict.fromkeys(self.constants.terms, 1.0) | self.weights)
        if self.constants.binary:
            object.__setattr__(self, "distance", "hamming")


@dataclass(frozen=True)
class Inputs:
    """What a system is built from, of the trained classes alone.

    `photos` (n, F), `sketches` (m, F'): training features, or `TrainingRows`, for the input scaling. `class_vectors`
    (C, S) in the order of a batch's labels. `edges` (E, 2) of the class graph, as such labels; E = 0 unless the system
    needs them. `classifier` (F, A): kernel of the backbone's own classifier on the features, None if there is none.
    """

    photos: np.ndarray
    sketches: np.ndarray
    class_vectors: np.ndarray
    edges: np.ndarray
    classifier: np.ndarray | None = None


@dataclass(frozen=True)
class Batch:
    """A replica's share of a batch: `batch` pairs of a photo and a sketch of one class.

    `photos`, `sketches` (batch, F): scaled features; if the system asks for negatives, (2 batch, F), the negatives
    below. `class_vectors` (batch, S). `labels` (batch,) int32, indices among the trained classes.
    """

    photos: tf.Tensor
    sketches: tf.Tensor
    class_vectors: tf.Tensor
    labels: tf.Tensor


@dataclass(frozen=True)
class Player:
    """A share of training: `optimizer` moves `variables` along the gradient of the weighted sum of `terms`."""

    terms: tuple
    variables: list
    optimizer: keras.optimizers.Optimizer


class System(keras.Model):
    """A trainable map of both modalities into one space; subclasses add their layers and define what raises here.

    `photo_scaling` and `sketch_scaling` map features (n, F) to the scaled ones of a batch; fixed before training. With
    `scaled` False features stay as they come; with a `classifier` (F, A) they become (n, F + A), as `layers.Likeness`
    has them. Where `negative_photos` is true, a batch's photos come with as many of other classes;
    `negative_sketches` likewise.
    """

    negative_photos = negative_sketches = False

    def __init__(self, settings, inputs, scaled=True, classifier=None):
        super().__init__()
        self.settings = settings
        make = partial(layers.make_scaling, classifier=classifier)
        self.photo_scaling = make(inputs.photos, "photo_scaling") if scaled else tf.identity
        self.sketch_scaling = make(inputs.sketches, "sketch_scaling") if scaled else tf.identity
        self.built = True  # layers are built where they are made

    def embed_photos(self, features):
        """(n, F) CNN features → (n, t) embeddings."""
        raise NotImplementedError

    def embed_sketches(self, features):
        """(n, F') CNN features → (n, t) embeddings."""
        raise NotImplementedError

    def embed(self, features, modality):
        """Embeddings (n, t) of CNN features (n, F) of "photo" or "sketch"."""
        return (self.embed_photos if modality == "photo" else self.embed_sketches)(features)

    def terms(self, batch, noise, gather):
        """Named scalar losses of a `Batch`; `noise` is a (2,) int seed, from which seeds up to NOISE_STREAMS higher in
        the second number are its own; `gather` (`Gather`) brings rows of all replicas together."""
        raise NotImplementedError

    def players(self, rate):
        """Who trains what; `rate` is the learning rate or its schedule. One Adam for all of it, unless overridden."""
        return [Player(self.settings.terms, self.trainable_variables, Adam(rate))]


def term_weights(options, weights, constants):
    """`weights` of the terms with what --term-weights and --without of `options` say instead."""
    for word in options.term_weights:
        term, _, value = word.partition("=")
        try:
            weight = float(value)
        except ValueError as error:
            raise BadInput(f"--term-weights {word}: expected TERM=NUMBER") from error
        if not 0 <= weight < float("inf"):
            raise BadInput(f"--term-weights {word}: a weight should be at least 0 and finite")
        weights = weights | dict.fromkeys(_known_terms(term, constants, "--term-weights"), weight)
    for term in options.without:
        weights = weights | dict.fromkeys(_known_terms(term, constants, "--without"), 0.0)
    if not any(weights.values()):
        raise BadInput("--without, --term-weights: every term has weight 0, nothing is left to train on")
    return weights


def _known_terms(name, constants, option):
    """The objective's terms that `name` means: itself, or both streams' of a term that the release splits."""
    found = [term for term in constants.terms if term == name or term.endswith(f"_{name}")]
    if not found:
        of_codes = dataclasses.replace(constants, bits=1).terms if hasattr(constants, "bits") else ()
        hint = "; it belongs to codes (--bits)" if name in of_codes else ""
        raise BadInput(f"{option} {name}: no such loss term, the objective has {', '.join(constants.terms)}{hint}")
    return found
