"""Networks compiled for the devices of this machine."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from helpers.project import ROOT

from zscmr.inference.graph import Graph
from zscmr.training.compiled import MANY_PICTURES, Compiled, fastest

FEATURES = """
import sys
import keras
import numpy as np
import tensorflow as tf
from zscmr.training.compiled import Compiled

devices = int(sys.argv[1])
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.get_strategy()
if devices > 1:
    strategy = tf.distribute.MirroredStrategy([f"CPU:{k}" for k in range(devices)])
with strategy.scope():
    keras.utils.set_random_seed(0)
    pictures = keras.Input((6, 6, 3), dtype="uint8")
    maps = keras.layers.Conv2D(4, 3)(keras.layers.Rescaling(1 / 255)(pictures))
    network = Compiled(keras.Model(pictures, keras.layers.GlobalAveragePooling2D()(maps)), strategy)
random = np.random.default_rng(0)
batches = [random.integers(0, 256, (count, 6, 6, 3), dtype=np.uint8) for count in (8, 5, 1)]
np.save(sys.argv[2], np.concatenate([network(batch) for batch in batches]))
"""


@pytest.mark.slow
def test_two_devices_share_the_pictures_of_an_export(tmp_path):
    """Batches of an odd number of pictures, and of one, too."""
    vectors = {}
    for devices in (1, 2):
        file = tmp_path / f"{devices}.npy"
        command = [sys.executable, "-c", FEATURES, str(devices), str(file)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        subprocess.run(command, env=environment, check=True, capture_output=True)
        vectors[devices] = np.load(file)
    assert vectors[1].shape == (14, 4) and vectors[1].std() > 0
    np.testing.assert_allclose(vectors[2], vectors[1], rtol=1e-5, atol=1e-6)


def test_many_pictures_are_computed_by_litert(random):
    """Both ways give the same vectors."""
    pictures = keras.Input((8, 8, 3), dtype="uint8")
    maps = keras.layers.Conv2D(4, 3)(keras.layers.Rescaling(1 / 255)(pictures))
    model = keras.Model(pictures, keras.layers.GlobalAveragePooling2D()(maps))
    few, many = fastest(model, MANY_PICTURES - 1), fastest(model, MANY_PICTURES)
    assert isinstance(few, Compiled) and isinstance(many, Graph)
    images = random.integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    np.testing.assert_allclose(many(images), few(images), rtol=1e-4, atol=1e-5)
    assert few.width == many.width == 4
