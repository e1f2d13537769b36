"""A written graph that takes weights of its last maps' cells, and pictures of other sizes."""

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras
from keras import layers

from zscmr.inference.export_graph import difference, outputs_of, write_tflite
from zscmr.inference.graph import Graph
from zscmr.inference.windows import Windows
from zscmr.training.export import PooledMaps
from zscmr.utils.errors import BadInput


def model_of(size):
    """Pictures of a size and weights (rows, cells) of the maps → vectors (rows, 3); weights are of one seed."""
    keras.utils.set_random_seed(0)
    pictures = keras.Input((size, size, 3), dtype="uint8", name="pictures")
    x = layers.Rescaling(1 / 128, offset=-1.0)(pictures)
    maps = layers.Conv2D(4, 3, strides=4, padding="same", activation="relu")(x)
    weights = keras.Input((maps.shape[1] ** 2,), name="weights")
    return keras.Model([pictures, weights], layers.Dense(3)(PooledMaps()(maps, weights)))


def noise(count, size):
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3)).astype(np.uint8)


def test_one_file_gives_whole_pictures_and_windows_of_larger_ones(tmp_path):
    path = tmp_path / "windows.tflite"
    sha256 = write_tflite(model_of(16), path)
    graph = Graph(path, sha256)
    assert (graph.size, graph.width, graph.rows, graph.has_windows) == (16, 3, 1, True)
    np.testing.assert_allclose(graph(noise(2, 16)), outputs_of(model_of(16), noise(2, 16)), atol=1e-5)
    windows = Windows("fast", 24, 6, ((3, 3),), 0.1)
    larger = Graph(path, sha256, size=24, weights=windows.weights())
    assert (larger.size, larger.width, larger.rows) == (24, 5 * 3, 5)
    expected = outputs_of(model_of(24), noise(2, 24), windows.weights())
    np.testing.assert_allclose(larger(noise(2, 24)), expected, atol=1e-5)
    # the four windows tile the maps: their mean is the whole, before anything that is not linear
    rows = larger(noise(1, 24)).reshape(5, 3)
    np.testing.assert_allclose(rows[1:].mean(0), rows[0], atol=1e-5)


def test_weights_of_other_maps_are_refused(tmp_path):
    write_tflite(model_of(16), tmp_path / "windows.tflite")
    with pytest.raises(BadInput, match=r"windows\.tflite: "):
        Graph(tmp_path / "windows.tflite", size=24, weights=np.full((1, 25), 1 / 25, np.float32))(noise(1, 24))


def test_a_graph_without_windows_keeps_its_size(tmp_path):
    pictures = keras.Input((16, 16, 3), dtype="uint8")
    vectors = layers.GlobalAveragePooling2D()(layers.Rescaling(1 / 255)(pictures))
    write_tflite(keras.Model(pictures, vectors), tmp_path / "whole.tflite")
    assert not Graph(tmp_path / "whole.tflite").has_windows
    with pytest.raises(BadInput, match="a graph without windows"):
        Graph(tmp_path / "whole.tflite", size=24)


def test_difference_is_a_share_of_entries():
    """Entries may differ by a thousandth of the largest, 0.004: one of four does not."""
    expected = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert difference(expected, expected + np.array([[0, 0.003], [0.005, 0]])) == 0.25
