"""Options of stage II, checked and completed by a preset. Options need no TensorFlow; a preset does."""

import dataclasses
from dataclasses import dataclass, field

from zscmr import models
from zscmr.datasets.batches import fitting_batch
from zscmr.models.presets import term_weights
from zscmr.utils.errors import BadInput
from zscmr.utils.options import Options, flag, flag_fields, setting
from zscmr.utils.seeds import SEEDS

USUAL = "the preset's"  # what is left out
PRECISIONS = ("float32", "bfloat16")
OF_PRESET = ("epochs", "batch_size", "learning_rate", "schedule", "held_out")  # fields that a preset has too


@dataclass(frozen=True)
class TrainingOptions(Options):
    """What to train. `constants`: {name: value} of the system's own `Settings`, the preset's if left out."""

    model: str = setting("zscmr", "system to train", choices=models.SYSTEMS)
    preset: str | None = setting(None, "objective and its constants", usual="the system's first")
    without: tuple[str, ...] = setting((), "terms left out of the objective", metavar="TERM")
    term_weights: tuple[str, ...] = setting((), "such as latent=0.5", None, "TERM=W", usual=USUAL)
    epochs: int | None = setting(None, "passes over the larger modality, 0: nothing is trained", usual=USUAL, least=0)
    batch_size: int | None = setting(
        None, "triads per step; the preset's is made smaller for few pictures", usual=USUAL, least=1
    )
    learning_rate: float | None = setting(None, "Adam's learning rate", usual=USUAL, above=0)
    schedule: str | None = setting(
        None, "course of the learning rate, cosine falls to 0", choices=("constant", "cosine"), usual=USUAL
    )
    held_out: float | None = setting(
        None, "share of the seen classes held out to choose the epoch by", usual=USUAL, least=0, below=1
    )
    precision: str = setting("float32", "of the matrix products; weights and losses stay float32", choices=PRECISIONS)
    jit: bool = setting(False, "compile the step with XLA")
    resident_limit: float = setting(
        4.0, "GB of features kept on the device; more are streamed from disk", metavar="GB", least=0
    )
    seed: int = setting(0, "seed of initial weights, held-out classes, triads and noise", least=0, below=SEEDS)
    constants: dict = field(default_factory=dict)


def constants_class(options):
    """The `Settings` of the system that a namespace of parsed `options` names; its fields become flags too.

    Raises BadInput where TensorFlow is not installed.
    """
    given = vars(options)
    return models.system(given.get("model", "zscmr"), given.get("preset")).Settings


def defaults_of(given):
    """{flag's field: value} of the preset that a namespace of parsed options names, constants among them.

    Raises BadInput as `with_preset`, and where TensorFlow is not installed.
    """
    chosen = {name: value for name, value in vars(given).items() if name in ("model", "preset")}
    options, _ = with_preset(TrainingOptions(**chosen))
    return {"preset": options.preset, **{name: vars(options)[name] for name in OF_PRESET}, **options.constants}


def with_preset(options):
    """(`options` completed by their preset, the `Preset` with the options' own values).

    Raises BadInput for an unknown preset, constant or term, or a constant that the objective does not use.
    """
    presets = models.presets_of(options.model)
    name = options.preset or next(iter(presets))
    if name not in presets:
        raise BadInput(f"--preset {name}: --model {options.model} has {', '.join(presets)}")
    preset = presets[name]
    constants = _changed_constants(options, name, preset)
    chosen = {part: getattr(options, part) for part in OF_PRESET if getattr(options, part) is not None}
    weights = {term: preset.weights.get(term, 1.0) for term in constants.terms}
    weights = term_weights(options, weights, constants)
    preset = dataclasses.replace(preset, constants=constants, weights=weights, **chosen)
    filled = {part: getattr(preset, part) for part in OF_PRESET}
    values = {flagged.name: getattr(constants, flagged.name) for flagged in flag_fields(constants)}
    return dataclasses.replace(options, preset=name, constants=values, **filled), preset


def with_fitting_batch(options, preset, pictures):
    """`options` and `preset` of `with_preset`, with a smaller batch of triads where there are too few `pictures`.

    `pictures`: to train on, of `batches.trained_pictures`.
    """
    if not preset.epochs or preset.batches != "triads":
        return options, preset
    batch = fitting_batch(preset.batch_size, pictures)
    return dataclasses.replace(options, batch_size=batch), dataclasses.replace(preset, batch_size=batch)


def _changed_constants(options, preset_name, preset):
    """The preset's constants, changed by those that options name."""
    flags = {flagged.name for flagged in flag_fields(preset.constants)}
    # a run of version 0.2 names all constants of `zscmr` for a preset that became a system
    defaults = {field.name: field.default for field in dataclasses.fields(models.system(options.model).Settings)}
    changed = {}
    for name, value in options.constants.items():
        if name in flags:
            changed[name] = value
        elif name not in defaults or value != defaults[name]:
            raise BadInput(f"{flag(name)} {value}: --model {options.model} has no such constant")
    constants = dataclasses.replace(preset.constants, **changed)
    for name, value in changed.items():
        if name in constants.unused and value != getattr(preset.constants, name):
            context = f"beside --bits {constants.size}" if constants.binary else f"under --preset {preset_name}"
            raise BadInput(f"{flag(name)} {value}: --model {options.model} has no use for it {context}")
    return constants
