"""What a backbone's entry holds. Knows nothing of TensorFlow until a network is built."""

from collections.abc import Callable
from dataclasses import dataclass

from zscmr.datasets.pictures import Preprocessing


@dataclass(frozen=True)
class Warp:
    """Limits of the augmentation.

    `photo`, `sketch`: side of the window a picture is seen through, in sides of the picture. `turn` in rad; `shear`;
    `shift` in sides, None: as far as a smaller window stays within the picture, or the picture within a larger window.
    """

    photo: tuple[float, float] = (0.8, 1.0)
    sketch: tuple[float, float] = (1.0, 1.25)  # the whole sketch: no stroke is cut off
    turn: float = 0.0
    shear: float = 0.0
    shift: float | None = None
    flip: bool = True


@dataclass(frozen=True)
class Recipe:
    """How something is trained.

    `optimizer`: a name in `training.classifier.OPTIMIZERS`. `dropout`: of the features before the softmax.
    `smoothing`: of the softmax's targets. `held_out`: share of pictures by which the epoch is chosen.
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

    `learning_rate`: peak, of the network; that of what follows it is `head_factor` times as high. `first_trained`:
    layers from the first whose name begins so are trained, "": all. `norms_trained`: batch normalisations too, with
    the statistics of each batch. `train_size`: side of the pictures in training, in pixels, None: as the network was
    published; features are made at the published size, which retrieves better than that of training.
    `teacher`: weight of the teacher's term. `averaging`: decay of the weights' average over the steps. `ink`: margin
    about a sketch's strokes, None: the whole sheet.
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

    `build(size)`: a Keras model, uint8 RGB (batch, size, size, 3) of values 0 to 255 -> last feature maps (batch,
    height, width, channels) or tokens (batch, tokens, channels), of which the first `special` are no patches and the
    very first is the picture's; its own arithmetic on pixels included. `preprocessing`: how a picture becomes such an
    array; `any_size`: whether it may have another size. `last_block`: layers from the first whose name begins so are
    the last block; None where it is unknown. `pool`, `dense`: what follows the maps as published. `classifier(file)`:
    (kernel (channels, classes), bias) of the published classifier on the averaged maps.

    `recipe` trains (some of) the network, `head` only a Dense layer after it, `joint` one network for both modalities.

    `published`: weights to download; `download()`: likewise, by the library that has the network; `packaged()`: the
    weight file of an installed package, used where no file is given; `load(model, file)`: in place of `weights.load`.
    """

    build: Callable
    preprocessing: Preprocessing
    last_block: str | None
    recipe: Recipe
    head: Recipe = HEAD
    joint: JointRecipe = JointRecipe()
    any_size: bool = True
    classifier: Callable | None = None
    pool: str = "average"
    dense: int = 0
    special: int = 0
    published: Published | None = None
    download: Callable | None = None
    packaged: Callable | None = None
    load: Callable | None = None

    @property
    def size(self):
        """Side of its pictures in pixels."""
        return self.preprocessing.size
