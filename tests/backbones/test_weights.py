"""Weight files fill a network, every layer checked; damaged ones and those that lead elsewhere are refused."""

import dataclasses
import hashlib

import h5py
import keras
import numpy as np
import pytest
from helpers.project import random_squeezenet

from zscmr.backbones import applications, backbone, networks
from zscmr.backbones import weights as weight_files
from zscmr.backbones.base import Published

APPLICATIONS = {"vgg16": keras.applications.VGG16, "resnet50": keras.applications.ResNet50}


def published(name):
    """The Keras Applications model as published, every weight another random number."""
    model = APPLICATIONS[name](include_top=False, weights=None, input_shape=(224, 224, 3))
    random = np.random.default_rng(1)
    for layer in model.layers:
        layer.set_weights([random.uniform(0.01, 0.05, weight.shape) for weight in layer.get_weights()])
    return model


def save_as(kind, model, folder):
    path = folder / f"w{kind}"
    if kind == ".npz":
        np.savez(path, **{f"{layer.name}/{w.name}": w.numpy() for layer in model.layers for w in layer.weights})
    elif kind == "-whole.h5":
        model.save(path)
    elif kind == "-downloaded.h5":  # a group per layer at the top, the arrays in it under older names
        with h5py.File(path, "w") as file:
            for layer in model.layers:
                group = file.create_group(layer.name)
                names = [f"{layer.name}_W_{number}:0" for number in range(len(layer.weights))]
                group.attrs["weight_names"] = [name.encode() for name in names]
                for key, weight in zip(names, layer.weights, strict=True):
                    group[key] = weight.numpy()
    else:
        model.save_weights(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind"),
    [("vgg16", ".npz"), ("vgg16", "-downloaded.h5"), ("resnet50", "-whole.h5"), ("resnet50", ".weights.h5")],
)
def test_weight_file_fills_every_layer(tmp_path, name, kind):
    model = published(name)
    filled = networks.build(backbone(name), save_as(kind, model, tmp_path))
    checked = 0
    for layer in filter(lambda layer: layer.weights, model.layers):
        for expected, variable in zip(layer.get_weights(), filled.get_layer(layer.name).weights, strict=True):
            np.testing.assert_array_equal(variable.numpy(), expected, err_msg=layer.name)
            checked += 1
    assert checked == {"vgg16": 13 * 2, "resnet50": 53 * 2 + 53 * 4}[name]  # convolutions, batch normalisations
    assert filled.count_params() == {"vgg16": 14_714_688, "resnet50": 23_587_712}[name]


def test_weight_file_lacking_an_array_is_named(tmp_path, refused):
    arrays = dict(np.load(random_squeezenet(tmp_path / "w.npz")))
    arrays["fire5/expand3x3/kernel"] = arrays["fire5/expand3x3/kernel"][..., :7]
    np.savez(tmp_path / "w.npz", **arrays)
    message = refused(networks.build, backbone("squeezenet"), tmp_path / "w.npz")
    assert "w.npz: 'fire5_expand3x3/kernel' should have shape (3, 3, 32, 128), received (3, 3, 32, 7)" in message
    (tmp_path / "w.h5").write_bytes(b"no weights")
    assert "w.h5: not a readable weight file" in refused(networks.build, backbone("squeezenet"), tmp_path / "w.h5")


def test_imagenet_weights_without_network(tmp_path, refused, monkeypatch):
    """The error says which file to fetch and where to put it; put there, it is what --weights imagenet means."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    def offline(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(keras.utils, "get_file", offline)
    message = refused(weight_files.weight_file, backbone("vgg16"), weight_files.Path("imagenet"))
    file = tmp_path / "models/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    assert "fetch https://storage.googleapis.com/" in message and f"put it at {file}" in message
    file.parent.mkdir()
    file.write_bytes(b"weights")
    message = refused(weight_files.weight_file, backbone("vgg16"), weight_files.Path("imagenet"))
    assert message.startswith(f"{file}: not the published weights, whose md5 is 6d6bbae1")
    published = Published("https://nowhere/" + file.name, f"md5:{hashlib.md5(b'weights').hexdigest()}")
    published_there = dataclasses.replace(applications.ENTRIES["vgg16"], published=published)
    monkeypatch.setitem(applications.ENTRIES, "vgg16", published_there)
    assert weight_files.weight_file(backbone("vgg16"), weight_files.Path("imagenet")) == file


def attention_file(path, names):
    """Weights of an attention layer in Keras' format of a group per layer."""
    with h5py.File(path, "w") as file:
        group = file.create_group("attention")
        group.attrs["weight_names"] = np.array([f"attention/{name}:0" for name in names], "S")
        for number, name in enumerate(names):
            shape = (1, 4, 4) if name.startswith("attention_output") else (4, 1, 4)
            group[f"attention/{name}:0"] = np.full(shape, number, np.float32)


def test_kernels_of_one_shape_are_told_apart_by_name(tmp_path, refused):
    """Query, key and value of an attention layer have kernels of one shape: none takes another's, nor all the same."""
    inputs = keras.Input((3, 4))
    attention = keras.layers.MultiHeadAttention(1, 4, use_bias=False, name="attention")
    model = keras.Model(inputs, attention(inputs, inputs))
    names = [f"{part}/kernel" for part in ("key", "query", "value")]
    attention_file(tmp_path / "w.h5", [*names, "attention_output/kernel"])
    weight_files.load(model, tmp_path / "w.h5")
    means = {weight.path: float(weight.numpy().mean()) for weight in model.weights}
    assert [means[f"attention/{name}"] for name in names] == [0, 1, 2]
    attention_file(tmp_path / "other.h5", ["kernel", "kernel_1", "kernel_2", "kernel_3"])
    message = refused(weight_files.load, model, tmp_path / "other.h5")
    assert "'attention/" in message and message.endswith("should have shape (4, 1, 4), received nothing")


def test_weight_file_that_leads_out_of_itself_is_refused(tmp_path, refused):
    model = networks.build(backbone("small"))
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["block1_conv"] = h5py.ExternalLink("/etc/other.h5", "/weights")
    assert refused(weight_files.load, model, tmp_path / "w.h5").endswith("'block1_conv' is a link, expected numbers")
    np.save(tmp_path / "plain.npy", np.ones(3))
    (tmp_path / "plain.npy").rename(tmp_path / "w.npz")
    assert "w.npz: not a readable .npz file" in refused(weight_files.load, model, tmp_path / "w.npz")


def test_arrays_that_are_no_numbers_are_refused(tmp_path, refused):
    model = networks.build(backbone("small"))
    text = np.full((5, 5, 3, 24), b"1.0")
    np.savez(tmp_path / "w.npz", **{"block1_conv/kernel": text})
    with h5py.File(tmp_path / "w.h5", "w") as file:
        group = file.create_group("block1_conv")
        group.attrs["weight_names"], group["kernel"] = [b"kernel"], text
    for file in ("w.npz", "w.h5"):
        message = refused(weight_files.load, model, tmp_path / file)
        assert "'block1_conv/kernel' should be an array of numbers, received |S3" in message


def test_one_dataset_under_many_names_is_refused(tmp_path, refused):
    """Read once for each name, it would need a thousand times the memory."""
    model = networks.build(backbone("small"))
    most = 16 * sum(weight.nbytes for weight in model.get_weights()) + 2**20
    with h5py.File(tmp_path / "w.h5", "w") as file:
        group = file.create_group("block1_conv")
        group["a"] = np.zeros(most // 8, np.float32)
        group.attrs["weight_names"] = [b"./" * number + b"a" for number in range(1, 40)]
    assert "declares more than" in refused(weight_files.load, model, tmp_path / "w.h5")
