"""Four convolutions for small pictures, trained from scratch: the miniature's CNN."""

from zscmr.backbones.base import Backbone, JointRecipe, Recipe, Warp
from zscmr.datasets.pictures import Preprocessing

# (filters, kernel, strides, pooled)
BLOCKS = ((24, 5, 2, False), (48, 3, 1, True), (96, 3, 1, True), (256, 3, 1, False))


def build(size):
    """Return the network, which gives 256 maps; it scales pixels to −1 … 1."""
    import keras
    from keras import layers

    pictures = keras.Input((size, size, 3), dtype="uint8")
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(pictures)
    for number, (filters, kernel, strides, pooled) in enumerate(BLOCKS, start=1):
        name = f"block{number}"
        x = layers.Conv2D(filters, kernel, strides, padding="same", use_bias=False, name=f"{name}_conv")(x)
        x = layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
        x = layers.ReLU()(x)
        if pooled:
            x = layers.MaxPooling2D(2)(x)
    return keras.Model(pictures, x, name="small")


# chosen on the miniature's seen classes; held-out pictures would not fit into the 100 s of its two CNNs
RECIPE = Recipe(
    "adamw",
    3e-3,
    14,
    batch_size=32,
    dropout=0.2,
    smoothing=0.1,
    held_out=0.0,
    warp=Warp(photo=(0.9, 1.1), sketch=(0.9, 1.1), turn=0.2, shear=0.1, shift=0.08, flip=False),
)
JOINT = JointRecipe(3e-3, 14, head_factor=1.0, norms_trained=True, teacher=0.0, ink=None, warp=RECIPE.warp)
ENTRIES = {"small": Backbone(build, Preprocessing(40), "block4", RECIPE, joint=JOINT, from_scratch=True)}
