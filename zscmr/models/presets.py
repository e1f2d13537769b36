"""Constants, presets and loss weights of a system, and its part in the paper's tables; none needs TensorFlow."""

import dataclasses
from dataclasses import dataclass, field

from zscmr.utils.errors import BadInput
from zscmr.utils.options import Options


@dataclass(frozen=True)
class Constants(Options):
    """Base of a system's `Settings`."""

    @property
    def terms(self):
        """Names of the loss terms, in the order of `System.terms`; none if the system trains nothing."""
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
    def unused(self):
        """Names of the constants that this objective does not use."""
        return ()

    @property
    def retired(self):
        """{"constants": {name: value}, "weights": {term: weight}} that presets of earlier versions had besides.

        Finished cells of the tables are recognised by them.
        """
        return {}


@dataclass(frozen=True)
class Tables:
    """A system's part in the paper's tables; changes are `TrainingOptions` fields, or constants, and their values.

    `ablations`: {preset: {row: changes}}.
    `variants`: {preset: (changes, …)}, further rows.
    `against`: {ablation row: the row it is compared with}, where that is not the full system.
    `only_by_name`: presets for features of one kind, left out unless --presets names them.
    `of_one_width`: presets that need as many features of photos as of sketches.
    `picture_seconds`: {preset: seconds of an epoch per picture and feature on two CPU cores}, where they are far from
    `zscmr.paper.cells.PICTURE_SECONDS`.
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

    `constants`: an instance of the module's Settings. `weights`: {loss term: weight}, 1 for those it lacks; it may name
    terms that other constants have. `distance`: ranks embeddings; that of Hamming for codes.
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


def term_weights(options, weights, constants):
    """`weights` of the loss terms, changed by --term-weights and --without of `options`.

    Raises BadInput for an unknown term, a weight that is no number from 0 on, or where all weights are 0.
    """
    for word in options.term_weights:
        term, _, value = word.partition("=")
        try:
            weight = float(value)
        except ValueError as error:
            raise BadInput(f"--term-weights {word}: expected TERM=NUMBER") from error
        if not 0 <= weight < float("inf"):
            raise BadInput(f"--term-weights {word}: a weight should be at least 0 and finite")
        weights = weights | dict.fromkeys(_terms_called(term, constants, "--term-weights"), weight)
    for term in options.without:
        weights = weights | dict.fromkeys(_terms_called(term, constants, "--without"), 0.0)
    if weights and not any(weights.values()):
        raise BadInput("--without, --term-weights: every term has weight 0, nothing is left to train on")
    return weights


def _terms_called(name, constants, option):
    """The objective's terms called `name`; for a term that the release splits by modality, both parts."""
    terms = [term for term in constants.terms if term == name or term.endswith(f"_{name}")]
    if not terms:
        of_codes = dataclasses.replace(constants, bits=1).terms if hasattr(constants, "bits") else ()
        hint = "; it belongs to codes (--bits)" if name in of_codes else ""
        existing = ", ".join(constants.terms) or "none"
        raise BadInput(f"{option} {name}: no such loss term, the objective has {existing}{hint}")
    return terms


def retired_preset(objective, start, likeness):
    """`Constants.retired` of a system that was a preset of ZSCMR in version 0.2."""
    constants = {"objective": objective, "start": start, "likeness": likeness, "hidden": 0, "dropout": 0.0}
    constants |= {"input_dropout": 0.0, "margin": 5.0, "temperature": 0.2, "modality_mix": 0.0, "class_mix": 0.0}
    weights = dict.fromkeys(("latent", "triplet", "decoder", "classification"), 1.0)
    return {"constants": constants, "weights": weights}
