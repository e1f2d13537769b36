"""Models of Keras Applications by name: pixels, size, weights and refusals."""

import keras
import numpy as np
import pytest

from zscmr.backbones import applications, backbone, networks
from zscmr.backbones import weights as weight_files

SMALL = "MobileNetV2"
RELEASED = {"vgg16": "VGG16", "resnet50": "ResNet50"}


@pytest.mark.parametrize("name", ["VGG16", "Xception", "DenseNet121", "EfficientNetB0", "ConvNeXtTiny", "NASNetMobile"])
def test_pixels_are_those_of_the_published_preprocessing(name, random):
    pictures = random.integers(0, 256, (2, 8, 8, 3)).astype(np.uint8)
    takes = keras.Input((8, 8, 3), dtype="uint8")
    module = getattr(keras.applications, getattr(keras.applications, name).__module__.rsplit(".", 1)[1])
    expected = module.preprocess_input(pictures.astype(np.float32))
    received = keras.Model(takes, applications.pixels(name, takes))(pictures)
    np.testing.assert_allclose(np.asarray(received), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_network_is_the_published_one(tmp_path, random):
    entry = backbone(f"keras:{SMALL}")
    assert entry.size == 224
    theirs = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(224, 224, 3))
    theirs.save_weights(tmp_path / "w.weights.h5")
    ours = networks.build(backbone(f"keras:{SMALL}"), tmp_path / "w.weights.h5")
    pictures = random.integers(0, 256, (1, 224, 224, 3)).astype(np.uint8)
    expected = theirs(keras.applications.mobilenet_v2.preprocess_input(pictures.astype(np.float32)))
    np.testing.assert_allclose(np.asarray(ours(pictures)), np.asarray(expected), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_imagenet_weights_are_kept_where_keras_keeps_them(tmp_path, monkeypatch, refused):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    constructor = keras.applications.MobileNetV2

    def offline(*arguments, weights=None, **options):
        if weights:
            raise OSError("no network")
        return constructor(*arguments, weights=None, **options)

    offline.__module__ = constructor.__module__
    monkeypatch.setattr(keras.applications, SMALL, offline)
    message = refused(weight_files.weight_file, backbone(f"keras:{SMALL}"), "imagenet")
    assert message == "--weights imagenet: Keras has no download of MobileNetV2 (no network)"
    assert not list(tmp_path.rglob("*.h5"))

    def online(*arguments, weights=None, **options):
        return constructor(*arguments, weights=None, **options)

    online.__module__ = constructor.__module__
    monkeypatch.setattr(keras.applications, SMALL, online)
    file = weight_files.weight_file(backbone(f"keras:{SMALL}"), "imagenet")
    networks.build(backbone(f"keras:{SMALL}"), file)
    assert file == tmp_path / "models/mobilenetv2_imagenet.weights.h5"


@pytest.mark.parametrize("name", ["keras:Nothing", "keras:layers", "theano:VGG16", "lite0"])
def test_unknown_name_is_refused(name, refused):
    assert name in refused(backbone, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg16", "resnet50"])
def test_preprocessing_is_the_published_one(name):
    """Keras Applications' own preprocessing and model make the same maps as ours of uint8 pictures."""
    picture = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3)).astype(np.uint8)
    ours = networks.build(backbone(name))
    theirs = getattr(keras.applications, RELEASED[name])(include_top=False, weights=None, input_shape=(224, 224, 3))
    theirs.set_weights(ours.get_weights())
    prepared = getattr(keras.applications, name).preprocess_input(picture.astype(np.float32))
    expected = theirs(prepared, training=False).numpy()
    np.testing.assert_allclose(ours(picture, training=False).numpy(), expected, rtol=1e-3, atol=1e-4)
