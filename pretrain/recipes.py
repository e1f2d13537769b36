"""What is known of each backbone without building it, and the flags of `finetune.py` filled in from that."""

import dataclasses
from dataclasses import dataclass

from cli import BadInput, flag


@dataclass(frozen=True)
class Warp:
    """Limits of the augmentation: the side of the window a picture is seen through, of the picture's own, by modality;
    its turn in rad, shear, and shift of its side (None: as far as a smaller window stays within the picture, or the
    picture within a larger window); whether it may be mirrored."""

    photo: tuple[float, float] = (0.8, 1.0)
    sketch: tuple[float, float] = (1.0, 1.25)  # the whole sketch: no stroke is cut off
    turn: float = 0.0
    shear: float = 0.0
    shift: float | None = None
    flip: bool = True


@dataclass(frozen=True)
class Recipe:
    """How something is trained; `optimizer` is a name in `cnn.OPTIMIZERS`, `dropout` that of the features before the
    softmax, `smoothing` that of its targets, `held_out` the share of pictures by which the epoch is chosen."""

    optimizer: str
    learning_rate: float
    epochs: int
    batch_size: int = 64
    dropout: float = 0.5
    smoothing: float = 0.0
    held_out: float = 0.1
    warp: Warp = Warp()


@dataclass(frozen=True)
class Backbone:
    """`size` is the side of its pictures in pixels; layers from the first whose name starts with `last_block` on are
    its last block; `pool` and `dense` are what follows its last maps as published; `recipe` trains (some of) it,
    `head` only a Dense layer after it."""

    size: int
    last_block: str
    recipe: Recipe
    head: Recipe
    pool: str = "average"
    dense: int = 0


# the miniature's, settled on its seen classes; two CNNs in 100 s leave nothing to hold out
_SCRATCH = Recipe(
    "adamw", 3e-3, 14, batch_size=32, dropout=0.2, smoothing=0.1, held_out=0.0,
    warp=Warp(photo=(0.9, 1.1), sketch=(0.9, 1.1), turn=0.2, shear=0.1, shift=0.08, flip=False),
)  # fmt: skip
_HEAD = Recipe("adamw", 1e-3, 30)
HEAD_SIZE = 512  # of a head on a backbone that is published without one
BACKBONES = {
    "small": Backbone(40, "block4", _SCRATCH, _HEAD),
    "squeezenet": Backbone(227, "fire9", Recipe("adamw", 1e-4, 12), _HEAD),
    "vgg16": Backbone(224, "block5", Recipe("rmsprop", 1e-5, 12), Recipe("rmsprop", 1e-4, 30), "flatten", 4096),
    "resnet50": Backbone(224, "conv5", Recipe("sgd", 1e-3, 12), _HEAD),
}
PARTS = ("head", "last-block", "all")


def filled_in(settings):
    """The settings with `train`, `pool`, `dense`, `epochs` and `learning_rate` as the backbone wants them where no flag
    says otherwise, `train` "nothing" under --freeze.

    Raises BadInput for a flag out of range or flags that contradict each other.
    """
    _check_ranges(settings)
    backbone = BACKBONES[settings.backbone]
    if settings.freeze:
        for name in ("train", "dense", "leak_unseen"):
            if getattr(settings, name):
                raise BadInput(f"--freeze trains nothing, so {flag(name)} cannot go with it")
        return dataclasses.replace(
            settings,
            train="nothing",
            pool=settings.pool or "average",
            dense=0,
            batch_size=settings.batch_size or backbone.recipe.batch_size,
        )
    train = settings.train or "all"
    dense = settings.dense
    if dense is None:
        dense = backbone.dense or (HEAD_SIZE if train == "head" else 0)
    if train == "head" and not dense:
        raise BadInput("--dense 0: leaves --train head nothing to train that the features pass through")
    settings = dataclasses.replace(settings, train=train)
    recipe = recipe_of(settings)
    return dataclasses.replace(
        settings,
        pool=settings.pool or backbone.pool,
        dense=dense,
        epochs=settings.epochs or recipe.epochs,
        batch_size=settings.batch_size or recipe.batch_size,
        learning_rate=settings.learning_rate or recipe.learning_rate,
        held_out=recipe.held_out if settings.held_out is None else settings.held_out,
    )


def recipe_of(settings):
    """The recipe of what `settings.train` names."""
    backbone = BACKBONES[settings.backbone]
    return backbone.head if settings.train == "head" else backbone.recipe


def _check_ranges(settings):
    for name, least in (
        ("epochs", 1),
        ("batch_size", 1),
        ("patience", 1),
        ("seed", 0),
        ("dense", 0),
        ("first", 1),
        ("shrink", 1),
    ):
        value = getattr(settings, name)
        if value is not None and value < least:
            raise BadInput(f"{flag(name)} should be at least {least}, received {value}")
    if settings.held_out is not None and not 0 <= settings.held_out < 1:
        raise BadInput(f"--held-out should be from 0 to below 1, received {settings.held_out}")
    if settings.learning_rate is not None and not settings.learning_rate > 0:
        raise BadInput(f"--learning-rate should be above 0, received {settings.learning_rate}")
    if settings.weights is None and settings.backbone != "small" and (settings.freeze or settings.train in PARTS[:2]):
        raise BadInput(f"--weights is needed: {settings.backbone} with random weights is of no use frozen")
