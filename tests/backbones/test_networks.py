"""What backbones share: pixels, pools and heads, against NumPy."""

import keras
import numpy as np
import pytest

from zscmr.backbones import backbone, networks


def test_pixels_are_those_of_caffe(random):
    pictures = random.integers(0, 256, (2, 4, 4, 3)).astype(np.uint8)
    takes = keras.Input((4, 4, 3), dtype="uint8")
    received = keras.Model(takes, networks.caffe_pixels(takes, (1.0, 2.0, 3.0)))(pictures)
    np.testing.assert_allclose(received, pictures[..., ::-1].astype(np.float32) - [1, 2, 3], rtol=1e-6)


@pytest.mark.parametrize("special", [0, 2])
def test_pools(random, special):
    maps = keras.Input((5, 3))
    tokens = random.normal(size=(2, 5, 3)).astype(np.float32)
    average = tokens[:, special:].mean(1)
    expected = {
        "average": average,
        "root": np.sqrt(np.maximum(average, 0)),
        "class": tokens[:, 0],
        "flatten": tokens.reshape(2, 15),
    }
    for pool, vectors in expected.items():
        model = networks.pooled(keras.Model(maps, keras.layers.Activation("linear")(maps)), pool, special)
        np.testing.assert_allclose(model(tokens), vectors, rtol=1e-5, atol=1e-6, err_msg=pool)


def test_maps_are_averaged(random):
    pictures = random.integers(0, 256, (2, 40, 40, 3)).astype(np.uint8)
    network = networks.build(backbone("small"))
    received = networks.pooled(network, "average")(pictures)
    np.testing.assert_allclose(received, np.asarray(network(pictures)).mean((1, 2)), rtol=1e-5, atol=1e-6)


def test_head(random):
    """Batch normalisation with fresh statistics divides by √(1 + 10⁻³)."""
    vectors = random.normal(size=(4, 6)).astype(np.float32)
    for normalise, scale in ((False, 1), (True, 1 / np.sqrt(1 + 1e-3))):
        head = networks.head(6, 5, normalise)
        kernel, bias = head.get_layer("features").get_weights()
        np.testing.assert_allclose(head(vectors), np.maximum(scale * vectors @ kernel + bias, 0), rtol=1e-4, atol=1e-6)
