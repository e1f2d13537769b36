"""A graph gives the vectors of the model it was written from, to any number of threads; damage is refused."""

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow")

import keras
from keras import layers

from zscmr.inference import graph as litert
from zscmr.inference.export_graph import write_tflite
from zscmr.utils.errors import BadInput

ROOT = Path(__file__).resolve().parents[2]
SIZE, DIMS = 16, 5


def tiny(dtype="uint8", size=SIZE):
    """A model with the layers that backbones and encoders have, its weights random."""
    keras.utils.set_random_seed(0)
    pictures = keras.Input((size, size, 3), dtype=dtype, name="pictures")
    x = layers.Rescaling(1 / 128, offset=-127 / 128)(pictures)
    x = layers.Conv2D(4, 3, strides=2, use_bias=False)(layers.ZeroPadding2D(1)(x))
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(3, padding="same")(x)
    x = layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(pictures, layers.UnitNormalization()(layers.Dense(DIMS)(x)))


def noise(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE, SIZE, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """(model, file, hash)."""
    model, path = tiny(), tmp_path_factory.mktemp("graph") / "tiny.tflite"
    return model, path, write_tflite(model, path)


@pytest.fixture(params=["LiteRT", "TensorFlow"])
def engine(request, monkeypatch):
    """Graphs run by either engine."""
    if request.param == "LiteRT":
        pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")
    else:
        monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)


def test_vectors_are_those_of_the_model(engine, written):
    model, path, sha256 = written
    graph = litert.Graph(path, sha256)
    assert (graph.size, graph.width) == (SIZE, DIMS)
    pictures = noise(7)
    vectors = graph(pictures)
    assert vectors.dtype == np.float32 and vectors.shape == (7, DIMS)
    np.testing.assert_allclose(vectors, model(pictures, training=False), atol=1e-5)
    np.testing.assert_array_equal(vectors[3:4], graph(pictures[3:4]))  # not a matter of the batch
    assert graph(pictures[:0]).shape == (0, DIMS)


def test_halved_weights_take_less_space_and_give_nearly_the_same(written, tmp_path):
    model, path, _ = written
    write_tflite(model, tmp_path / "half.tflite", float16=True)
    vectors = litert.Graph(tmp_path / "half.tflite")(noise(7))
    np.testing.assert_allclose(vectors, model(noise(7), training=False), atol=2e-2)
    assert not np.array_equal(vectors, litert.Graph(path)(noise(7)))


def test_writing_is_quiet_and_leaves_the_model_and_nothing_else(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    model = tiny()
    before = model(noise(3), training=False).numpy()
    sha256 = write_tflite(model, tmp_path / "run" / "tiny.tflite")
    litert.Graph(tmp_path / "run" / "tiny.tflite")
    assert capfd.readouterr() == ("", "")
    assert hashlib.sha256((tmp_path / "run" / "tiny.tflite").read_bytes()).hexdigest() == sha256
    assert os.listdir(tmp_path / "run") == ["tiny.tflite"] and not os.listdir(tmp_path / "temporary")
    np.testing.assert_array_equal(model(noise(3), training=False), before)


def test_graph_that_differs_from_the_model_is_not_kept(tmp_path, monkeypatch):
    def other(graph, pictures):
        return np.ones((len(pictures), DIMS), np.float32)

    monkeypatch.setattr(litert.Graph, "__call__", other)
    with pytest.raises(BadInput, match="differs from the model"):
        write_tflite(tiny(), tmp_path / "tiny.tflite")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("threads", [1, 2, 3, 9])
def test_any_number_of_threads_gives_the_same(written, threads):
    graph = litert.Graph(written[1], threads=threads)
    expected = np.concatenate([graph(noise(11)[row : row + 1]) for row in range(11)])
    for _ in range(2):
        np.testing.assert_array_equal(graph(noise(11)), expected)


def test_threads_take_turns(written):
    _, path, _ = written
    graph, results = litert.Graph(path), {}
    expected = {seed: graph(noise(20, seed)) for seed in range(4)}

    def embed(seed):
        results[seed] = [graph(noise(20, seed)) for _ in range(5)]

    threads = [threading.Thread(target=embed, args=(seed,)) for seed in expected]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, vectors in expected.items():
        assert all(np.array_equal(result, vectors) for result in results[seed])


@pytest.mark.parametrize(
    ("pictures", "received"),
    [
        (noise(2).astype(np.float32), r"float32 \(2, 16, 16, 3\)"),
        (noise(2)[0], r"uint8 \(16, 16, 3\)"),
        (noise(2)[:, :8], r"uint8 \(2, 8, 16, 3\)"),
    ],
)
def test_pictures_of_another_kind(written, pictures, received):
    with pytest.raises(ValueError, match=rf"expected uint8 pictures \(n, \*\(16, 16, 3\)\), received {received}"):
        litert.Graph(written[1])(pictures)


def refusal(path, *words):
    with pytest.raises(BadInput) as caught:
        litert.Graph(path, *words)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message
    return message


def test_files_that_are_no_graphs(engine, written, tmp_path, capfd):
    path, whole = tmp_path / "g.tflite", written[1].read_bytes()
    assert refusal(path).endswith("No such file or directory")
    for content in (b"", b"TFL3", b"\x89HDF\r\n\x1a\n" + bytes(500)):
        path.write_bytes(content)
        assert f"not a TensorFlow Lite file ({len(content)} bytes without the mark TFL3)" in refusal(path)
    for length in (8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert "not a usable TensorFlow Lite file (" in refusal(path)
    path.write_bytes(whole[:-1] + b"\1")
    assert "expected SHA-256 " in refusal(path, written[2])
    assert capfd.readouterr().err == ""


def test_graphs_of_something_else(tmp_path):
    path = tmp_path / "g.tflite"
    convert(tiny("float32"), path)
    assert "expected a graph of uint8 pictures (n, size, size, 3), received float32 (1, 16, 16, 3)" in refusal(path)
    model = tiny()
    convert(keras.Model(model.input, model.layers[2].output), path)
    assert "gives float32 vectors (n, width), received float32 (1, 18, 18, 3)" in refusal(path)


def convert(model, path):
    import tensorflow as tf

    model.export(path.with_suffix(""), verbose=False)
    path.write_bytes(tf.lite.TFLiteConverter.from_saved_model(str(path.with_suffix(""))).convert())


MUTANT = """
import sys
sys.path.insert(0, sys.argv[1])
import resource
import numpy as np
from zscmr.utils.errors import BadInput
from zscmr.inference.graph import Graph

resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))  # damaged sizes ask for hundreds of GB
for path in sys.argv[2:]:
    print(path, flush=True)
    try:
        graph = Graph(path, threads=1)
        if graph.size < 100:
            graph(np.zeros((1, graph.size, graph.size, 3), np.uint8))
    except BadInput as error:
        assert len(str(error).splitlines()) == 1
"""


def test_damaged_files_do_not_crash(written, tmp_path):
    """Two hundred files with one or two bytes changed: run or refused. The engine checks them; we rely on hashes."""
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")
    pytest.importorskip("resource")
    whole, draw, paths = written[1].read_bytes(), random.Random(0), []
    for number in range(200):
        mutant = bytearray(whole)
        for _ in range(draw.randint(1, 2)):
            mutant[draw.randrange(len(mutant))] = draw.randrange(256)
        paths.append(tmp_path / f"{number}.tflite")
        paths[-1].write_bytes(mutant)
    words = [sys.executable, "-c", MUTANT, str(ROOT), *map(str, paths)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{signal.strsignal(-done.returncode)}\n{done.stdout.split()[-1:]}\n{done.stderr}"
