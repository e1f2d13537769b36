"""OpenVINO runs the graph that comes with the project as LiteRT does; what is missing or unknown is a line."""

import sys

import numpy as np
import pytest

from zscmr.inference.graph import Graph
from zscmr.retrieval.encoder import SHIPPED, Encoder, windows_of

GRAPH = SHIPPED / "encoder.tflite"


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["0", "fast"])
def test_openvino_gives_what_litert_gives(mode, random):
    """Unit vectors as photos and as sketches; bfloat16 differs by some hundredths at most."""
    pytest.importorskip("ai_edge_litert", reason="ai-edge-litert is not installed")
    pytest.importorskip("openvino", reason="OpenVINO is not installed: requirements-openvino.txt")
    windows = windows_of(SHIPPED, mode)
    arguments = {"size": windows.size, "weights": windows.weights()} if windows else {}
    exact, other = (Graph(GRAPH, engine=engine, **arguments) for engine in ("litert", "openvino"))
    for name in ("rows", "width", "size", "has_windows"):
        assert getattr(exact, name) == getattr(other, name)
    pictures = random.integers(0, 256, (3, exact.size, exact.size, 3)).astype(np.uint8)
    np.testing.assert_allclose(other(pictures), exact(pictures), atol=0.03)
    np.testing.assert_array_equal(other(pictures)[1:2], other(pictures[1:2]))  # not a matter of the batch


def test_damage_is_a_line(tmp_path, refused):
    pytest.importorskip("openvino", reason="OpenVINO is not installed: requirements-openvino.txt")
    (tmp_path / "g.tflite").write_bytes(GRAPH.read_bytes()[:5000])
    assert "not a usable TensorFlow Lite file (" in refused(Graph, tmp_path / "g.tflite", engine="openvino")


def test_missing_and_unknown_engines_are_a_line(monkeypatch, refused):
    monkeypatch.setitem(sys.modules, "openvino", None)
    line = "OpenVINO, which was asked for, is not installed: python -m pip install -r requirements-openvino.txt"
    assert line in refused(Encoder.load, engine="openvino")
    assert refused(Encoder.load, engine="onnx") == "engine: expected any of litert, openvino, received 'onnx'"
