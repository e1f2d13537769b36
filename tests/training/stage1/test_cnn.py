"""Networks of a specification: the same at every build, frozen in part, restored; heads in bounded memory."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from zscmr.backbones import backbone
from zscmr.training.stage1.cnn import averaged_over_views, build_body, dense_head, head_outputs, joined, restored
from zscmr.training.stage1.spec import CnnSpec


class OnDisk:
    """Vectors (n, F) of which no more than some rows may be read at once."""

    def __init__(self, vectors, most):
        self.vectors, self.most = vectors, most

    def __len__(self):
        return len(self.vectors)

    def __getitem__(self, rows):
        block = self.vectors[rows]
        assert len(block) <= self.most
        return block


def test_head_reads_vectors_in_blocks():
    vectors = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32)
    inputs = keras.Input((6,))
    head = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    outputs = head_outputs(head, OnDisk(vectors, most=16), block=16)
    np.testing.assert_allclose(outputs, head(vectors).numpy(), rtol=1e-6, atol=1e-6)


def test_bodies_of_one_seed_are_the_same():
    spec = CnnSpec(backbone("small"), "all", "average", size=24)
    one, same, other = (build_body(spec, seed) for seed in (1, 1, 2))
    assert one.input_shape == (None, 24, 24, 3)
    assert [layer.name for layer in one.layers] == [layer.name for layer in same.layers]
    for first, second in zip(one.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)
    assert (one.get_weights()[0] != other.get_weights()[0]).any()


@pytest.mark.parametrize("views", [1, 2, 4])
def test_features_are_averaged_over_views(views, random):
    spec = CnnSpec(backbone("small"), "joint", "root", size=36, views=views)
    model, small = build_body(spec, 1), build_body(dataclasses.replace(spec, size=28), 1)
    pictures = random.integers(0, 256, (2, 36, 36, 3), np.uint8)
    reduced = np.round(tf.image.resize(pictures, (28, 28)).numpy()).astype(np.uint8)
    features = {
        ("small", "picture"): small(reduced),
        ("large", "mirror"): model(pictures[:, :, ::-1]),
        ("small", "mirror"): small(reduced[:, :, ::-1]),
        ("large", "picture"): model(pictures),
    }
    averaged = list(features.values())[:views] if views > 1 else [features["large", "picture"]]
    expected = np.mean(averaged, axis=0)
    np.testing.assert_allclose(averaged_over_views(model, spec)(pictures), expected, rtol=1e-5, atol=1e-5)


def test_only_the_last_block_is_trained():
    model = build_body(CnnSpec(backbone("small"), "last-block", "average"), 0)
    trained = [layer.name for layer in model.layers if layer.weights and layer.trainable]
    assert trained == ["block4_conv", "block4_bn"]


def test_trained_network_is_restored(tmp_path, random):
    spec = CnnSpec(backbone("small"), "head", "average", dense=6)
    body = build_body(spec, 0)
    model = joined(body, dense_head(spec, body.output_shape[1]))
    model.save_weights(tmp_path / "photo.weights.h5")
    pictures = random.integers(0, 256, (2, 40, 40, 3)).astype(np.uint8)
    np.testing.assert_array_equal(restored(spec, "photo", tmp_path / "photo.weights.h5")(pictures), model(pictures))
