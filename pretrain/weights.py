"""Weight files -> the layers of a backbone, every array checked by layer, name and shape.

`.npz`: arrays `layer/kernel`, `layer/bias`, …, slashes for the layer's underscores allowed. `.h5`: Keras' format of
one group per layer, as Keras Applications publishes. `.weights.h5`: what `model.save_weights` of Keras 3 writes.
"""

import os
import re
from pathlib import Path

import h5py
import numpy as np

from cli import BadInput

_IMAGENET = "https://storage.googleapis.com/tensorflow/keras-applications"
#: backbone -> published ImageNet weights of its convolutions
URLS = {
    "vgg16": f"{_IMAGENET}/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
    "resnet50": f"{_IMAGENET}/resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
}


def resolve(backbone, weights):
    """The file that --weights means: itself, or for `imagenet` the one Keras keeps, downloaded if it is not there."""
    if weights is None or str(weights) != "imagenet":
        if weights is not None and not weights.is_file():
            raise BadInput(f"{weights}: no such file")
        return weights
    if backbone not in URLS:
        raise BadInput(f"--weights imagenet: there is none for {backbone} to download, --weights wants a file")
    url = URLS[backbone]
    kept = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "models" / url.rsplit("/", 1)[1]
    if kept.is_file():
        return kept
    import keras

    try:
        return Path(keras.utils.get_file(kept.name, url, cache_dir=kept.parents[1], cache_subdir="models"))
    except Exception as error:  # whatever the network did
        raise BadInput(f"--weights imagenet: no download; fetch {url} elsewhere and put it at {kept}") from error


def load(model, path):
    """Sets every weight of `model` from the file. Raises BadInput that names the first layer that does not fit."""
    read = _read_npz if str(path).endswith(".npz") else _read_h5
    arrays_of = read(path, model)
    for layer in model.layers:
        if not layer.weights:
            continue
        names = [variable.name for variable in layer.weights]
        arrays = arrays_of(layer)
        for position, (name, variable) in enumerate(zip(names, layer.weights, strict=True)):
            array = arrays.get(name, arrays.get(position))
            if array is None or array.shape != tuple(variable.shape):
                received = "nothing" if array is None else array.shape
                raise BadInput(
                    f"{path}: '{layer.name}/{name}' should have shape {tuple(variable.shape)}, found {received}"
                )
            variable.assign(array)


def _read_npz(path, model):
    try:
        with np.load(path) as file:
            arrays = dict(file)
    except Exception as error:
        raise BadInput(f"{path}: not a readable .npz file ({error})") from error
    by_key = {key.replace("/", "_"): array for key, array in arrays.items()}
    return lambda layer: {
        variable.name: by_key[f"{layer.name}_{variable.name}"]
        for variable in layer.weights
        if f"{layer.name}_{variable.name}" in by_key
    }


def _read_h5(path, model):
    """A function layer -> its arrays by position, from either of Keras' two formats."""
    try:
        with h5py.File(path, "r") as file:
            groups = _keras3_groups(file, model) if "layers" in file else _legacy_groups(file)
    except OSError as error:
        raise BadInput(f"{path}: not a readable weight file ({str(error).splitlines()[0]})") from error
    return lambda layer: dict(enumerate(groups.get(layer.name, ())))


def _legacy_groups(file):
    file = file.get("model_weights", file)
    return {
        name: [group[key][()] for key in map(_text, group.attrs["weight_names"])]
        for name, group in file.items()
        if "weight_names" in group.attrs
    }


def _text(name):
    return name.decode() if isinstance(name, bytes) else name


def _keras3_groups(file, model):
    """Keras 3 names the groups after the class and its running number in the model: conv2d, conv2d_1, …"""
    groups, count = {}, {}
    for layer in model.layers:
        kind = re.sub(r"([a-z])([A-Z])", r"\1_\2", type(layer).__name__).lower()
        number = count[kind] = count.get(kind, -1) + 1
        name = f"{kind}_{number}" if number else kind
        if f"layers/{name}/vars" in file:
            variables = file[f"layers/{name}/vars"]
            groups[layer.name] = [variables[key][()] for key in sorted(variables, key=int)]
    return groups
