"""The miniature's CNN: four convolutions, from −1 … 1, for any size."""

import keras
import numpy as np
import pytest

from zscmr.backbones import backbone
from zscmr.backbones.small import build


@pytest.mark.parametrize(("size", "maps"), [(40, 5), (64, 8), (24, 3)])
def test_maps_are_an_eighth_as_wide(size, maps):
    """Strides 2, then two pools of 2."""
    assert build(size).output_shape == (None, maps, maps, 256)


def test_weights_are_those_of_four_convolutions_and_norms():
    """5·5·3·24 + 3·3·(24·48 + 48·96 + 96·256) kernels, no biases, and 4 numbers of a norm for each channel."""
    kernels = 5 * 5 * 3 * 24 + 9 * (24 * 48 + 48 * 96 + 96 * 256)
    assert build(40).count_params() == kernels + 4 * (24 + 48 + 96 + 256)


def test_grey_is_zero_within():
    """127.5 becomes 0; 0 and 255 become −1 and 1: with norms at 0 and 1, opposite pictures give opposite first maps."""
    model = build(16)
    first = keras.Model(model.input, model.get_layer("block1_conv").output)
    black, white = (first(np.full((1, 16, 16, 3), grey, np.uint8)).numpy() for grey in (0, 255))
    np.testing.assert_allclose(black, -white, atol=1e-6)
    assert np.abs(white).max() > 0


def test_entry_is_trained_from_scratch():
    entry = backbone("small")
    assert entry.from_scratch and not entry.needs_weights and entry.size == 40
    assert any(layer.name.startswith(entry.last_block) for layer in build(40).layers)
