"""Weight files → the layers of a backbone, every array checked by name, shape and type.

`.npz`: arrays `layer/kernel`, `layer/bias`, …, slashes for the layer's underscores allowed. `.h5`: Keras' format of
one group per layer, as Keras Applications publishes. `.weights.h5`: what `save_weights` of Keras 3 writes for the same
network.
"""

import os
import zipfile
from pathlib import Path

import h5py
import numpy as np

from zscmr.utils.errors import BadInput, first_line
from zscmr.utils.files import file_hash


def weight_file(entry, given):
    """The file that --weights means for a backbone.

    A path: itself. "imagenet": the published file, which is kept where Keras keeps its own, downloaded if missing and
    checked by its digest. None: the file of an installed package, or None where the backbone has no package. Raises
    BadInput for a missing file or another digest.
    """
    if given is None:
        return entry.packaged() if entry.packaged else None
    if str(given) != "imagenet":
        if not given.is_file():
            raise BadInput(f"{given}: no such file")
        return given
    if entry.download:
        return entry.download()
    if entry.published is None:
        raise BadInput(f"--weights imagenet: no download for {entry.name}, --weights needs a file")
    return _published(entry.published)


def _published(published):
    """The file of `Published` weights, downloaded if missing. Raises BadInput if its digest is another."""
    file = keras_file(published.url.rsplit("/", 1)[1])
    if not file.is_file():
        import keras

        try:
            keras.utils.get_file(file.name, published.url, cache_dir=file.parents[1], cache_subdir="models")
        except Exception as error:  # any fault of the network
            url = published.url
            raise BadInput(f"--weights imagenet: no download; fetch {url} elsewhere and put it at {file}") from error
    kind, _, digest = published.digest.partition(":")
    if (received := file_hash(file, kind)) != digest:
        raise BadInput(f"{file}: not the published weights, whose {kind} is {digest}; received {received}")
    return file


def keras_file(name):
    """Path where Keras keeps a downloaded file or folder of this name."""
    return Path(os.environ.get("KERAS_HOME", Path.home() / ".keras")) / "models" / name


def load(model, path):
    """Set every weight of `model` from the file. Raises BadInput that names the first layer that does not fit."""
    most = 16 * sum(weight.nbytes for weight in model.get_weights()) + 2**20
    if str(path).endswith(".npz"):
        arrays_of = _read_npz(path, most)
    else:
        arrays_of = _read_h5(path, most)
        if arrays_of is None:
            _load_keras(model, path)
            return
    for layer in model.layers:
        for variable, array in _matched(path, layer, arrays_of(layer)):
            variable.assign(array)


def _matched(path, layer, arrays):
    """Return [(variable, array)] of a layer from {name: array}, matched by name, or by shape where all shapes differ.

    Each array is used once.
    """
    variables = {_name(layer, variable): variable for variable in layer.weights}
    shapes = [tuple(variable.shape) for variable in layer.weights]
    if not variables.keys() <= arrays.keys() and len(set(shapes)) == len(shapes) == len(arrays):
        by_shape = {array.shape: array for array in arrays.values()}  # Keras 1 wrote block1_conv1_W_1
        arrays = {name: by_shape.get(tuple(variable.shape)) for name, variable in variables.items()}
    for name, variable in variables.items():
        array = arrays.get(name)
        if array is None or array.shape != tuple(variable.shape):
            received = "nothing" if array is None else array.shape
            raise BadInput(
                f"{path}: '{layer.name}/{name}' should have shape {tuple(variable.shape)}, received {received}"
            )
        if array.dtype.kind not in "fiu":
            raise BadInput(f"{path}: '{layer.name}/{name}' should be an array of numbers, received {array.dtype}")
    return [(variable, arrays[name]) for name, variable in variables.items()]


def _name(layer, variable):
    return variable.path.removeprefix(f"{layer.name}/")


def _read_npz(path, most):
    """Return a function layer → {name: array}; `most`: bytes that the file may declare."""
    try:
        with zipfile.ZipFile(path) as archive:
            if (declared := sum(member.file_size for member in archive.infolist())) > most:
                raise BadInput(f"{path}: declares {declared:,} bytes of weights, expected at most {most:,}")
        with np.load(path) as file:
            arrays = dict(file)
    except BadInput:
        raise
    except Exception as error:  # NumPy raises of many kinds
        raise BadInput(f"{path}: not a readable .npz file ({first_line(error)})") from error
    by_key = {key.replace("/", "_"): array for key, array in arrays.items()}

    def arrays_of(layer):
        keys = {name: f"{layer.name}/{name}".replace("/", "_") for name in (_name(layer, v) for v in layer.weights)}
        return {name: by_key[key] for name, key in keys.items() if key in by_key}

    return arrays_of


def _read_h5(path, most):
    """Return a function layer → {name: array} for Keras' format of one group per layer; None for that of Keras 3.

    `most`: bytes that the file may declare.
    """
    check_h5(path, most)
    try:
        with h5py.File(path, "r") as file:
            if "layers" in file:
                return None
            file = file.get("model_weights", file)
            by_layer, total = {}, 0
            for layer, group in file.items():
                by_layer[layer] = {}
                for name in map(_text, group.attrs.get("weight_names", ())):
                    total += group[name].nbytes  # a dataset may have several names
                    if total > most:
                        raise BadInput(f"{path}: declares more than {most:,} bytes of weights")
                    by_layer[layer][name.rsplit(":", 1)[0].removeprefix(f"{layer}/")] = group[name][()]
            return lambda layer: by_layer.get(layer.name, {})
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise BadInput(f"{path}: not a readable weight file ({first_line(error)})") from error


def check_h5(path, most):
    """Raise BadInput unless the HDF5 file holds all its numbers itself, at most `most` bytes of them."""
    try:
        with h5py.File(path, "r") as file:
            _check_contents(path, file, most)
    except (OSError, KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:
        raise BadInput(f"{path}: not a readable weight file ({first_line(error)})") from error


def _check_contents(path, group, most):
    """Raise BadInput for links out of the file, or more than `most` bytes of numbers."""
    total = 0
    for name in group:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise BadInput(f"{path}: '{name}' is a link, expected numbers")
        node = group[name]
        if isinstance(node, h5py.Group):
            total += _check_contents(path, node, most)
        elif node.is_virtual or node.external:
            raise BadInput(f"{path}: '{name}' refers to another file")
        else:
            total += node.nbytes
        if total > most:
            raise BadInput(f"{path}: declares more than {most:,} bytes of weights")
    return total


def _load_keras(model, path):
    try:
        model.load_weights(path)
    except Exception as error:  # Keras raises of every kind
        raise BadInput(f"{path}: not weights of this network ({first_line(error)})") from error


def _text(name):
    return name.decode() if isinstance(name, bytes) else str(name)
