"""Options of stage I, completed from the backbone's entry."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from zscmr.backbones import NAMES, backbone, canonical
from zscmr.backbones.base import HEAD_SIZE
from zscmr.datasets.layouts import PictureOptions
from zscmr.formats.dataset_directory import MODALITIES
from zscmr.utils.errors import BadInput
from zscmr.utils.options import flag, setting

PARTS = ("head", "last-block", "all", "joint")
POOLS = ("average", "root", "flatten", "class")
OBJECTIVES = ("contrast", "paper", "tuned")
JOINT_PAIRS = 32  # of a photo and a sketch, in a step of joint training
JOINT_ONLY = ("objective", "share", "teacher", "vectors", "without", "term_weights", "train_size")


@dataclass(frozen=True)
class Stage1Options(PictureOptions):
    unseen: Path = setting(
        help="text file of unseen class names, or a list's name such as sketchy-25-sake; they never train a CNN",
        metavar="FILE",
    )
    out: Path = setting(help="dataset directory to write to", metavar="DIR")
    backbone: str = setting("efficientnet_lite0", f"CNN: {NAMES}", metavar="NAME")
    weights: Path | None = setting(
        None,
        "its weights: a .npz, .h5, .weights.h5 or .pth file, or imagenet; left out: those of an installed package",
        metavar="FILE",
    )
    sketch_backbone: str | None = setting(None, "another CNN for the sketches", metavar="NAME")
    sketch_weights: Path | None = setting(None, "weights of --sketch-backbone, as --weights", metavar="FILE")
    freeze: bool = setting(False, "use the backbone as it is, without training")
    train: str | None = setting(
        None,
        "what to train, with a softmax: a Dense layer, the last block too, or all (default); joint: one network for "
        "both modalities, end to end",
        choices=PARTS,
    )
    objective: str | None = setting(
        None,
        "of joint training: contrast (default), or ZSCMR's terms as in its presets paper, tuned",
        choices=OBJECTIVES,
    )
    share: str | None = setting(
        None, "of joint training: all, one network (default), or none, two that start alike", choices=("all", "none")
    )
    teacher: float | None = setting(None, "of joint training: weight of the teacher's term", metavar="W", least=0)
    vectors: Path | None = setting(
        None, "of joint training: word or class vectors, for objectives that have them", metavar="FILE"
    )
    without: tuple[str, ...] = setting((), "of joint training: terms left out", metavar="TERM")
    term_weights: tuple[str, ...] = setting((), "of joint training, such as contrast=0.5", None, "TERM=W")
    size: int | None = setting(None, "side of the pictures in pixels (default: the backbone's)", metavar="N", least=16)
    train_size: int | None = setting(
        None, "of joint training: the same while it trains (default: --size, or the backbone's)", metavar="N", least=16
    )
    ink: float | None = setting(
        None,
        "crop sketches to their strokes, with a margin of so many sides (default: joint 0.1, else the whole sheet)",
        metavar="MARGIN",
        least=0,
        below=1,
    )
    pool: str | None = setting(
        None,
        "how maps or tokens become a vector (default: flatten for vgg16 unless frozen; class for a network with such a "
        "token; else average)",
        choices=POOLS,
    )
    dense: int | None = setting(
        None,
        "size of the Dense layer whose outputs are the features, 0: none (default: vgg16 4096, other heads 512)",
        least=0,
    )
    leak_unseen: bool = setting(False, "train on all classes, as released; every table will say so")
    first: int | None = setting(
        None, "pictures to take of each class and modality, the first by file name", metavar="N", least=1
    )
    shrink: int | None = setting(None, "scale pictures to N × N pixels before anything else", metavar="N", least=1)
    epochs: int | None = setting(None, "most passes over the seen-class pictures (default: the backbone's)", least=1)
    batch_size: int | None = setting(None, "pictures per step (default: the backbone's)", least=1)
    learning_rate: float | None = setting(None, "peak of the learning rate (default: the backbone's)", above=0)
    held_out: float | None = setting(
        None,
        "share of each seen class's pictures held out to choose the epoch by (default: 0.1, small 0); of joint "
        "training, share of the seen classes (default: 0, the last epoch is kept)",
        least=0,
        below=1,
    )
    patience: int = setting(5, "epochs without a better held-out accuracy after which training ends", least=1)
    seed: int = setting(0, "seed of initial weights, held-out pictures, order, augmentation and dropout", least=0)
    cache: Path | None = setting(None, "keeps outputs of a frozen backbone (default: OUT/backbone)", metavar="DIR")
    overwrite: bool = setting(False, "replace features made with other settings")

    @property
    def trained_part(self):
        """What of the network is trained: one of PARTS, or "nothing" under --freeze."""
        return "nothing" if self.freeze else self.train or "all"


def by_modality(options):
    """{"photo", "sketch": the options of its CNN}, completed from the backbone's entry.

    Raises BadInput for flags that contradict each other.
    """
    if options.sketch_backbone is None:
        if options.sketch_weights:
            raise BadInput("--sketch-weights: is for --sketch-backbone, which is not given")
        return dict.fromkeys(MODALITIES, filled_in(options))
    if options.train == "joint":
        raise BadInput("--sketch-backbone: joint training has one backbone; --share none trains it for each modality")
    sketch = dataclasses.replace(options, backbone=options.sketch_backbone, weights=options.sketch_weights)
    return {"photo": filled_in(options), "sketch": filled_in(sketch)}


def filled_in(options):
    """`options` completed from the entry of `options.backbone`.

    Raises BadInput for flags that contradict each other.
    """
    options = dataclasses.replace(options, backbone=canonical(options.backbone))
    entry = backbone(options.backbone)
    untrained = options.weights is None and options.backbone != "small" and not entry.packaged
    if untrained and (options.freeze or options.train in PARTS[:2]):
        raise BadInput(f"--weights is needed: {options.backbone} with random weights is of no use frozen")
    for name in ("size", "train_size"):
        if getattr(options, name) and not entry.any_size:
            raise BadInput(f"{flag(name)}: {options.backbone} takes pictures of {entry.size} pixels only")
    if options.train != "joint":
        for name in JOINT_ONLY:
            if getattr(options, name):
                raise BadInput(f"{flag(name)} belongs to --train joint")
    if options.pool == "class" and not entry.special:
        raise BadInput(f"--pool class: {options.backbone} has no class token")
    if options.train == "last-block" and entry.last_block is None:
        raise BadInput(f"--train last-block: which layers of {options.backbone} that is, is not known")
    if options.freeze:
        for name in ("train", "dense", "leak_unseen"):
            if getattr(options, name):
                raise BadInput(f"--freeze trains nothing, so {flag(name)} cannot go with it")
        batch_size = options.batch_size or entry.recipe.batch_size
        pool = options.pool or ("average" if entry.pool == "flatten" else entry.pool)
        return dataclasses.replace(options, pool=pool, dense=0, batch_size=batch_size)
    train = options.trained_part
    if train == "joint":
        return _joint(options, entry)
    dense = options.dense
    if dense is None:
        dense = entry.dense or (HEAD_SIZE if train == "head" else 0)
    if train == "head" and not dense:
        raise BadInput("--dense 0: leaves --train head nothing to train that the features pass through")
    recipe = recipe_of(options.backbone, train)
    return dataclasses.replace(
        options,
        train=train,
        pool=options.pool or entry.pool,
        dense=dense,
        epochs=options.epochs or recipe.epochs,
        batch_size=options.batch_size or recipe.batch_size,
        learning_rate=options.learning_rate or recipe.learning_rate,
        held_out=recipe.held_out if options.held_out is None else options.held_out,
    )


def _joint(options, entry):
    recipe, untrained = entry.joint, options.backbone == "small"
    if options.dense:
        raise BadInput(f"--dense {options.dense}: joint training has a map of its own")
    if options.vectors is None and options.objective in ("paper", "tuned") and "latent" not in options.without:
        raise BadInput(f"--objective {options.objective}: --vectors is needed, or --without latent")
    if untrained and options.teacher:
        raise BadInput(f"--teacher {options.teacher:g}: {options.backbone} has nothing to teach")
    objective = options.objective or "contrast"
    if options.pool == "root" and objective != "contrast":
        raise BadInput(f"--pool root: --objective {objective} embeds the average")
    rooted = objective == "contrast" and entry.pool == "average"
    return dataclasses.replace(
        options,
        pool=options.pool or ("root" if rooted else entry.pool),
        dense=0,
        objective=objective,
        share=options.share or "all",
        teacher=recipe.teacher if options.teacher is None else options.teacher,
        train_size=options.train_size or options.size or recipe.train_size or entry.size,
        ink=recipe.ink if options.ink is None else options.ink,
        epochs=options.epochs or recipe.epochs,
        batch_size=options.batch_size or 2 * JOINT_PAIRS,
        learning_rate=options.learning_rate or recipe.learning_rate,
        held_out=options.held_out or 0.0,
    )


def recipe_of(name, train):
    """The recipe by which `train`, a part of the backbone `name` or its head, is trained."""
    entry = backbone(name)
    return entry.head if train == "head" else entry.recipe
