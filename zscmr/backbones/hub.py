"""Image models and image towers of KerasHub, `--backbone hub:PRESET` or `hub:FOLDER`, for ViT, CLIP, SigLIP, DINOv2 ….

A preset is a folder with config.json, model.weights.h5 and image_converter.json. One given by name is downloaded by
KerasHub and kept as such a folder.
"""

import functools
import warnings
from functools import partial
from pathlib import Path

import keras
from keras import layers
from PIL import Image

from zscmr.backbones.base import Backbone, Recipe
from zscmr.backbones.weights import check_h5, keras_file
from zscmr.datasets.pictures import Preprocessing
from zscmr.utils.errors import BadInput, first_line
from zscmr.utils.files import read_json, whole_folder
from zscmr.utils.processes import missing

CONFIG, WEIGHTS, CONVERTER = "config.json", "model.weights.h5", "image_converter.json"
RESAMPLE = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos3": Image.Resampling.LANCZOS,
    "area": Image.Resampling.BOX,
}  # KerasHub's interpolations → Pillow's, which also smooths when it reduces


@functools.cache  # a model is built to fill in the entry
def entry(preset):
    """The registry entry of a preset. Raises BadInput for one that is missing, damaged, or of no image model."""
    folder = preset_folder(preset)
    tower = _tower(folder)
    converter = _converter(folder)
    size = (converter.image_size or tower.image_shape[:2])[0]
    if size is None:
        raise BadInput(f"{folder}: expected the size of pictures in {CONVERTER}, received none")
    special = special_tokens(tower, size)
    return Backbone(
        partial(_build, folder),
        preprocessing(converter, size, folder),
        last_block=None,
        recipe=Recipe("adamw", 1e-5, 12),
        pool="class" if special else "average",
        special=special,
        any_size=False,
        packaged=lambda: folder / WEIGHTS,
        load=load,
    )


def preset_folder(preset):
    """The folder of a preset; one given by name is downloaded first."""
    _library()
    folder = Path(preset)
    if not folder.is_dir():
        folder = keras_file("hub") / preset.replace("/", "_").replace(":", "_")
    if not folder.is_dir():
        _download(preset, folder)
    for file in (CONFIG, WEIGHTS, CONVERTER):
        if not (folder / file).is_file():
            raise BadInput(f"{folder / file}: no such file, expected a KerasHub preset with {CONFIG} and {WEIGHTS}")
    return folder


def _download(preset, folder):
    hub = _library()
    try:
        model, converter = hub.models.Backbone.from_preset(preset), hub.layers.ImageConverter.from_preset(preset)
    except Exception as error:  # a name that does not exist, no network, no permission
        raise BadInput(f"--backbone hub:{preset}: no such folder or preset ({first_line(error)})") from error
    with whole_folder(folder) as part:
        model.save_to_preset(str(part))
        converter.save_to_preset(str(part))


def preprocessing(converter, size, source):
    """The scaling and cropping of a KerasHub ImageConverter as a `Preprocessing`; its arithmetic is in the network."""
    if converter.pad_to_aspect_ratio or converter.interpolation not in RESAMPLE:
        raise BadInput(
            f"{source}: pictures padded to a square, or interpolation {converter.interpolation}, are not supported"
        )
    crop = "center" if converter.crop_to_aspect_ratio else "squash"
    return Preprocessing(size, RESAMPLE[converter.interpolation], crop)


def special_tokens(tower, size):
    """Number of tokens before those of the patches; 0 for a network of maps."""
    if len(tower.output.shape) != 3:
        return 1 if len(tower.output.shape) == 2 else 0  # `_build` puts a pooled vector before the tokens
    patch = tower.patch_size[0] if isinstance(tower.patch_size, list | tuple) else tower.patch_size
    return tower.output.shape[1] - (size // patch) ** 2


def load(model, path):
    """Set the weights of a network of `_build` from its preset's folder, or from a file saved of the network."""
    check_h5(path, 16 * sum(weight.nbytes for weight in model.get_weights()) + 2**33)  # a preset may hold a text tower
    try:
        if path.name == WEIGHTS:
            model.set_weights(_tower(path.parent, load_weights=True).get_weights())
        else:
            model.load_weights(path)
    except BadInput:
        raise
    except Exception as error:  # Keras raises of every kind
        raise BadInput(f"{path}: not weights of this network ({first_line(error)})") from error


def _build(folder, size):
    """Return the image tower with random weights, its arithmetic on pixels included.

    It takes uint8 RGB pictures (batch, size, size, 3) and gives maps (batch, h, w, channels), or tokens (batch, tokens,
    channels), the special ones first.
    """
    converter, tower = _converter(folder), _tower(folder)
    pictures = keras.Input((size, size, 3), dtype="uint8", name="pictures")
    scale, offset = (1.0 if value is None else value for value in (converter.scale, converter.offset or 0.0))
    x = layers.Rescaling(scale, offset, name="pixels")(pictures)
    if len(tower.output.shape) == 2:  # SigLIP pools by attention in its last layer
        tokens = tower.layers[-1].input
        tower = keras.Model(tower.inputs, layers.Concatenate(axis=1)([tower.output[:, None], tokens]), name=tower.name)
    (takes,) = tower.inputs
    output = tower({takes.name: x} if isinstance(tower.input, dict) else x)
    return keras.Model(pictures, output, name="hub")


def _tower(folder, load_weights=False):
    """The image part of a preset's model."""
    config = read_json(folder / CONFIG)
    if "registered_name" not in config:
        raise BadInput(f"{folder / CONFIG}: not written by KerasHub, expected 'registered_name'")
    _check_modules(folder / CONFIG, config)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Skipping")  # of weights that the file lacks
            model = _library().models.Backbone.from_preset(str(folder), load_weights=load_weights)
    except Exception as error:  # KerasHub and Keras raise of every kind
        raise BadInput(f"{folder}: not a readable KerasHub preset ({first_line(error)})") from error
    tower = getattr(model, "vision_encoder", model)
    if [len(value.shape) for value in tower.inputs] != [4]:
        raise BadInput(f"{folder}: expected an image model, received {type(model).__name__}")
    return tower


def _converter(folder):
    _check_modules(folder / CONVERTER, read_json(folder / CONVERTER))
    try:
        return _library().layers.ImageConverter.from_preset(str(folder))
    except Exception as error:  # KerasHub and Keras raise of every kind
        raise BadInput(f"{folder / CONVERTER}: not a readable converter of pictures ({first_line(error)})") from error


def _check_modules(path, config):
    """Raise BadInput if a Keras configuration names a class outside Keras and KerasHub, which reading would import."""
    for value in config.values() if isinstance(config, dict) else config:
        if isinstance(value, dict | list):
            _check_modules(path, value)
    module = config.get("module") if isinstance(config, dict) else None
    if module is not None and str(module).split(".")[0] not in ("keras", "keras_hub", "builtins"):
        raise BadInput(f"{path}: names the module {ascii(module)[:80]}, which is not of Keras")


def _library():
    try:
        import keras_hub
    except ImportError as error:
        raise missing("--backbone hub: KerasHub", "hub", error) from error
    return keras_hub
