"""Options of stage I: the flags, and what they mean for each modality's CNN, completed from its backbone's entry."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from zscmr import models
from zscmr.backbones import NAMES, backbone
from zscmr.backbones.base import HEAD_SIZE, JointRecipe, Recipe
from zscmr.datasets.layouts import PictureOptions
from zscmr.formats.dataset_directory import MODALITIES
from zscmr.models.presets import Preset, term_weights
from zscmr.training.stage1.spec import FROZEN, OBJECTIVES, PARTS, POOLS, PRECISIONS, VIEWS, CnnSpec
from zscmr.utils.errors import BadInput
from zscmr.utils.files import file_hash
from zscmr.utils.options import flag, setting
from zscmr.utils.processes import import_tensorflow
from zscmr.utils.seeds import SEEDS

NONE = "none"  # as --unseen: all classes are trained on
JOINT_PAIRS = 32  # of a photo and a sketch, in a step of joint training
JOINT_ONLY = (
    "objective",
    "share",
    "teacher",
    "vectors",
    "without",
    "term_weights",
    "train_size",
    "views",
    "soup",
    "unpaired",
)


@dataclass(frozen=True)
class Stage1Options(PictureOptions):
    """The flags of stage I. None: left to the backbone's entry, which `by_modality` completes them from."""

    unseen: Path = setting(
        help="text file of unseen class names; their pictures never train a CNN; none: there are none", metavar="FILE"
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
    size: int | None = setting(None, "side of the pictures in pixels", metavar="N", usual="the backbone's", least=16)
    train_size: int | None = setting(
        None, "of joint training: the same while it trains", metavar="N", usual="--size, or the backbone's", least=16
    )
    views: int | None = setting(
        None,
        "of joint training: views of a picture whose features are averaged: 2, the picture at 7/9 of --size and its "
        "mirror; 4, both at both sizes (default: 1, the picture)",
        choices=VIEWS,
    )
    soup: int | None = setting(
        None,
        "of joint training: networks to train, with --seed and the seeds after it, whose weights are averaged "
        "(default: 1)",
        least=1,
    )
    unpaired: bool = setting(False, "of joint training: also tell sketches of classes without photos apart")
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
    epochs: int | None = setting(None, "most passes over the seen-class pictures", usual="the backbone's", least=1)
    batch_size: int | None = setting(None, "pictures per step", usual="the backbone's", least=1)
    learning_rate: float | None = setting(None, "peak of the learning rate", usual="the backbone's", above=0)
    held_out: float | None = setting(
        None,
        "share of each seen class's pictures held out to choose the epoch by (default: 0.1, small 0); of joint "
        "training, share of the seen classes (default: 0, the last epoch is kept)",
        least=0,
        below=1,
    )
    precision: str | None = setting(
        None,
        "of training and features; weights stay float32 (default: float32, on GPUs bfloat16 where they have it, else "
        "float16)",
        choices=PRECISIONS,
    )
    patience: int = setting(5, "epochs without a better held-out accuracy after which training ends", least=1)
    seed: int = setting(
        0, "seed of initial weights, held-out pictures, order, augmentation and dropout", least=0, below=SEEDS
    )
    cache: Path | None = setting(None, "keeps outputs of a frozen backbone (default: OUT/backbone)", metavar="DIR")
    overwrite: bool = setting(False, "replace features made with other settings")


def defaults_of(given):
    """{field: value} of the defaults that depend on the backbone and training which a namespace of options names.

    Raises BadInput for an unknown backbone, and where TensorFlow is not installed.
    """
    import_tensorflow()  # entries import Keras, which would start it with all its messages
    given = vars(given)
    entry = backbone(given.get("backbone", Stage1Options.backbone))
    if given.get("train") == "joint":
        recipe, batch_size = entry.joint, 2 * JOINT_PAIRS
    else:
        recipe = entry.head if given.get("train") == "head" else entry.recipe
        batch_size = recipe.batch_size
    train_size = given.get("size") or entry.joint.train_size or entry.size
    values = {"size": entry.size, "train_size": train_size, "batch_size": batch_size}
    return values | {"epochs": recipe.epochs, "learning_rate": recipe.learning_rate}


@dataclass(frozen=True)
class FrozenOptions:
    """A backbone used as it is.

    Args:
        spec: the CNN.
        seed: of its weights where it has random ones.
        batch_size: pictures embedded together.
    """

    spec: CnnSpec
    seed: int
    batch_size: int

    def record(self):
        """Keys of pictures.json that say how the CNN was trained."""
        return {}


@dataclass(frozen=True)
class ClassifierOptions:
    """A CNN, or a head on its output, trained to classify the pictures of one modality.

    Args:
        spec: the CNN.
        seed: of weights, held-out pictures, order, augmentation and dropout.
        recipe: how it is trained.
        patience: epochs without a better held-out accuracy after which training ends.
    """

    spec: CnnSpec
    seed: int
    recipe: Recipe
    patience: int

    @property
    def batch_size(self):
        return self.recipe.batch_size

    def record(self):
        """Keys of pictures.json that say how the CNN was trained."""
        names = ("epochs", "batch_size", "learning_rate", "held_out")
        about = {name: value for name, value in vars(self.recipe).items() if name in names}
        return about | {"patience": self.patience, "seed": self.seed, "optimizer": self.recipe.optimizer}


@dataclass(frozen=True)
class EndToEndOptions:
    """One network for both modalities, or two that start alike, trained end to end.

    Args:
        spec: the CNN.
        seed: of weights, held-out classes, batches, augmentation and noise.
        recipe: how it is trained.
        preset: the objective: its weights, epochs, pairs per step, and the share of the seen classes held out to choose
            the epoch by, 0 to keep the last.
        shared: one network for both modalities.
        vectors: file of word or class vectors, or None.
        flags: {"without", "term_weights", "batch_size"}, as pictures.json keeps them; `preset` has taken them up.
        soup: networks trained, with `seed` and the seeds after it, whose weights are averaged.
    """

    spec: CnnSpec
    seed: int
    recipe: JointRecipe
    preset: Preset
    shared: bool
    vectors: Path | None
    flags: dict
    soup: int = 1

    @property
    def batch_size(self):
        """Pictures of a step, of both modalities."""
        return self.flags["batch_size"]

    def record(self):
        """Keys of pictures.json that say how the CNN was trained."""
        return {
            "share": "all" if self.shared else "none",
            "teacher": self.recipe.teacher,
            **self.flags,
            "train_size": self.recipe.train_size,
            "epochs": self.recipe.epochs,
            "learning_rate": self.recipe.learning_rate,
            "held_out": self.preset.held_out,
            "seed": self.seed,
            "vectors_sha256": file_hash(self.vectors) if self.vectors else None,
            **({"soup": self.soup} if self.soup > 1 else {}),
        }

    def of_seeds(self):
        """The options of each network that is trained."""
        return [dataclasses.replace(self, seed=self.seed + number) for number in range(self.soup)]


def by_modality(options):
    """{"photo", "sketch": the `cnn_options` of its CNN} from `Stage1Options`.

    Raises BadInput for flags that contradict each other.
    """
    if options.sketch_backbone is None:
        if options.sketch_weights:
            raise BadInput("--sketch-weights: is for --sketch-backbone, which is not given")
        return dict.fromkeys(MODALITIES, cnn_options(options))
    if options.train == "joint":
        raise BadInput("--sketch-backbone: joint training has one backbone; --share none trains it for each modality")
    sketch = dataclasses.replace(options, backbone=options.sketch_backbone, weights=options.sketch_weights)
    return {"photo": cnn_options(options), "sketch": cnn_options(sketch)}


def cnn_options(options):
    """`FrozenOptions`, `ClassifierOptions` or `EndToEndOptions` of the backbone that `Stage1Options` name.

    Raises BadInput for flags that contradict each other. The weights of `spec` are what --weights says.
    """
    from zscmr.training.stage1.precision import usual_precision  # TensorFlow says what the device has

    entry = backbone(options.backbone)
    _check(options, entry)
    given = {name: value for name, value in vars(options).items() if name in ("size", "ink", "shrink", "weights")}
    given["precision"] = options.precision or usual_precision()
    if options.freeze:
        pool = options.pool or ("average" if entry.pool == "flatten" else entry.pool)
        spec = CnnSpec(entry, FROZEN, pool, **given)
        return FrozenOptions(spec, options.seed, options.batch_size or entry.recipe.batch_size)
    if options.train == "joint":
        return _end_to_end(options, entry, given)
    return _classifier(options, entry, given)


def _check(options, entry):
    """Raise BadInput for flags that the backbone or the kind of training does not have."""
    name = entry.name
    if entry.needs_weights and options.weights is None and (options.freeze or options.train in PARTS[:2]):
        raise BadInput(f"--weights is needed: {name} with random weights is of no use frozen")
    if not entry.any_size:
        for given in ("size", "train_size", "views"):
            if getattr(options, given):
                raise BadInput(f"{flag(given)}: {name} takes pictures of {entry.size} pixels only")
    if options.train != "joint":
        for given in JOINT_ONLY:
            if getattr(options, given):
                raise BadInput(f"{flag(given)} belongs to --train joint")
    if options.pool == "class" and not entry.special:
        raise BadInput(f"--pool class: {name} has no class token")
    if options.train == "last-block" and entry.last_block is None:
        raise BadInput(f"--train last-block: the layers of {name}'s last block are not known")
    if options.freeze:
        for given in ("train", "dense", "leak_unseen"):
            if getattr(options, given):
                raise BadInput(f"--freeze trains nothing, so {flag(given)} cannot go with it")


def _classifier(options, entry, given):
    part = options.train or "all"
    recipe = entry.head if part == "head" else entry.recipe
    dense = options.dense
    if dense is None:
        dense = entry.dense or (HEAD_SIZE if part == "head" else 0)
    if part == "head" and not dense:
        raise BadInput("--dense 0: leaves --train head nothing to train that the features pass through")
    spec = CnnSpec(entry, part, options.pool or entry.pool, dense, **given)
    chosen = {
        "epochs": options.epochs,
        "batch_size": options.batch_size,
        "learning_rate": options.learning_rate,
        "held_out": options.held_out,
    }
    return ClassifierOptions(spec, options.seed, _changed(recipe, chosen), options.patience)


def _end_to_end(options, entry, given):
    if options.dense:
        raise BadInput(f"--dense {options.dense}: joint training has a map of its own")
    if options.vectors is None and options.objective in ("paper", "tuned") and "latent" not in options.without:
        raise BadInput(f"--objective {options.objective}: --vectors is needed, or --without latent")
    if entry.from_scratch and options.teacher:
        raise BadInput(f"--teacher {options.teacher:g}: {entry.name} has nothing to teach")
    objective = options.objective or "contrast"
    if options.pool == "root" and objective != "contrast":
        raise BadInput(f"--pool root: --objective {objective} embeds the average")
    if options.views and objective != "contrast":
        raise BadInput(f"--views {options.views}: --objective {objective} embeds the picture alone")
    if options.unpaired and objective != "contrast":
        raise BadInput(f"--unpaired: --objective {objective} learns classes with photos only")
    soup = options.soup or 1
    if soup > 1 and objective != "contrast":
        raise BadInput(f"--soup {soup}: --objective {objective} trains a map of its own with each network")
    if soup > 1 and entry.starts_at_random(options.weights):
        raise BadInput(f"--soup {soup}: --weights is needed; networks that start at random have no average")
    if options.seed + soup > SEEDS:
        raise BadInput(f"--soup {soup}: the seeds after --seed {options.seed} should be below {SEEDS}")
    rooted = objective == "contrast" and entry.pool == "average"
    chosen = {
        "teacher": options.teacher,
        "train_size": options.train_size or options.size or entry.joint.train_size or entry.size,
        "epochs": options.epochs,
        "learning_rate": options.learning_rate,
    }
    recipe = _changed(entry.joint, chosen)
    if given["ink"] is None:
        given["ink"] = recipe.ink
    given["views"] = options.views or 1
    spec = CnnSpec(entry, "joint", options.pool or ("root" if rooted else entry.pool), objective=objective, **given)
    batch_size = options.batch_size or 2 * JOINT_PAIRS
    flags = {"without": options.without, "term_weights": options.term_weights, "batch_size": batch_size}
    preset = _preset(options, objective, recipe, batch_size // 2)
    shared = options.share != "none"
    return EndToEndOptions(spec, options.seed, recipe, preset, shared, options.vectors, flags, soup)


def objective_module(objective):
    """The system's module (`models.base`) that has an objective of end-to-end training."""
    return models.system("contrastive" if objective == "contrast" else "zscmr")


def _preset(options, objective, recipe, pairs):
    """The system's `Preset` of an objective, with the weight of every term, "teacher" too."""
    presets = objective_module(objective).PRESETS
    preset = presets[objective]
    weights = {term: preset.weights.get(term, 1.0) for term in preset.constants.terms}
    weights = term_weights(options, weights, preset.constants) | {"teacher": recipe.teacher}
    held_out = options.held_out or 0.0
    return dataclasses.replace(preset, weights=weights, epochs=recipe.epochs, batch_size=pairs, held_out=held_out)


def _changed(recipe, chosen):
    """A recipe with the values that were chosen; None: the recipe's own."""
    return dataclasses.replace(recipe, **{name: value for name, value in chosen.items() if value is not None})
