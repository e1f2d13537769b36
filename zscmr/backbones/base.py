"""What a backbone's entry holds. Imports no TensorFlow: an entry builds its network only when asked to."""

from collections.abc import Callable
from dataclasses import dataclass

from zscmr.datasets.pictures import Preprocessing
from zscmr.datasets.strokes import Variation


@dataclass(frozen=True)
class Warp:
    """Limits of the augmentation.

    Args:
        photo: smallest and largest side of the window that a photo is seen through, in sides of the picture.
        sketch: likewise of a sketch; from 1 on, no stroke is cut off.
        turn: largest angle in rad.
        shear: largest shear.
        shift: largest shift in sides; None: until the smaller of window and picture would leave the larger.
        flip: mirror half of the pictures.
    """

    photo: tuple[float, float] = (0.8, 1.0)
    sketch: tuple[float, float] = (1.0, 1.25)
    turn: float = 0.0
    shear: float = 0.0
    shift: float | None = None
    flip: bool = True


@dataclass(frozen=True)
class Recipe:
    """How a classifier on one modality's pictures is trained.

    Args:
        optimizer: a name in `training.stage1.classifier.OPTIMIZERS`.
        learning_rate: its peak.
        epochs: at most.
        batch_size: pictures per step.
        dropout: share of the features dropped before the softmax.
        smoothing: of the softmax's targets.
        held_out: share of each class's pictures by which the epoch is chosen.
        warp: augmentation.
    """

    optimizer: str
    learning_rate: float
    epochs: int
    batch_size: int = 64
    dropout: float = 0.5
    smoothing: float = 0.0
    held_out: float = 0.1
    warp: Warp = Warp()


@dataclass(frozen=True)
class JointRecipe:
    """How one network is trained for both modalities, end to end.

    Args:
        learning_rate: its peak, of the network.
        epochs: passes over the larger modality.
        head_factor: learning rate of what follows the network, in learning rates of the network.
        first_trained: layers from the first whose name begins so are trained, "": all.
        norms_trained: train batch normalisations too, with the statistics of each batch.
        train_size: side of the pictures in training, in pixels; None: as published. Features are made at the published
            size, which retrieves better than that of training.
        teacher: weight of the teacher's term.
        averaging: decay of the weights' EMA over the steps.
        ink: margin about a sketch's strokes, in sides; None: the whole sheet.
        warp: augmentation.
        strokes: how drawings that are known as strokes are varied, before `warp`; None: not.
    """

    learning_rate: float = 1e-4
    epochs: int = 5
    head_factor: float = 4.0
    first_trained: str = ""
    norms_trained: bool = False
    train_size: int | None = None
    teacher: float = 1.5
    averaging: float = 0.99
    ink: float | None = 0.1
    warp: Warp = Warp((0.8, 1.0), (0.9, 1.15), turn=0.2, shift=0.05)
    strokes: Variation | None = Variation()


HEAD = Recipe("adamw", 1e-3, 30)
HEAD_SIZE = 512  # of a Dense head on a backbone that is published without one


@dataclass(frozen=True)
class Published:
    """ImageNet weights to download: address, and digest of the file (SHA-256, or MD5 as its publisher gives it)."""

    url: str
    digest: str


@dataclass(frozen=True)
class Backbone:
    """One entry of the registry.

    Args:
        build: size → Keras model of uint8 RGB pictures (batch, size, size, 3), 0 to 255, its own arithmetic on pixels
            included; gives the last feature maps (batch, height, width, channels) or tokens (batch, tokens, channels).
        preprocessing: how a picture becomes such an array.
        last_block: layers from the first whose name begins so are the last block; None where it is unknown.
        recipe: trains (some of) the network as a classifier.
        head: trains only a Dense layer after it.
        joint: trains one network for both modalities.
        any_size: whether pictures may have another size than `preprocessing` says.
        from_scratch: meant to be trained from random weights; there are no others.
        classifier: weight file → (kernel (channels, classes), bias) of the published classifier on averaged maps, or
            None for a file without one.
        pool: what follows the maps as published, one of `training.stage1.spec.POOLS`.
        dense: size of the Dense layer that follows as published, 0 for none.
        special: tokens before those of the patches; the first of them is the whole picture's.
        published: weights to download.
        download: () → file of weights that the library of the network has downloaded.
        packaged: () → weight file of an installed package, used where no file is given.
        load: (model, file) → None, in place of `weights.load`.
        name: set by `backbone`.
    """

    build: Callable
    preprocessing: Preprocessing
    last_block: str | None
    recipe: Recipe
    head: Recipe = HEAD
    joint: JointRecipe = JointRecipe()
    any_size: bool = True
    from_scratch: bool = False
    classifier: Callable | None = None
    pool: str = "average"
    dense: int = 0
    special: int = 0
    published: Published | None = None
    download: Callable | None = None
    packaged: Callable | None = None
    load: Callable | None = None
    name: str = ""

    @property
    def size(self):
        """Side of its pictures in pixels."""
        return self.preprocessing.size

    @property
    def needs_weights(self):
        """Whether a frozen network needs a file of weights: none is packaged, and it is not trained from scratch."""
        return not self.from_scratch and self.starts_at_random(None)

    def starts_at_random(self, weights):
        """Whether its networks start at random: without a file `weights`, and with none packaged."""
        return weights is None and self.packaged is None
