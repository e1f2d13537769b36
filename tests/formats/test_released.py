"""Defects of the released files are recognised by their content."""

import numpy as np

from zscmr.datasets import loader
from zscmr.formats import dataset_directory as released


def test_defects_are_recognised_by_content():
    cell = np.array([[["a-1", "a-1"], ["b-1", 0]], [["c-1", "c-2"], [0, 0]]], dtype=object)
    assert released.index_defects(cell) == [
        "1 of 2 photos with several sketches name one and the same sketch in every slot"
    ]
    assert released.vector_defects(np.array([[1.0, 2], [3, 4], [1, 2]])) == ["rows 0 and 2 (from 0) are identical"]
    assert released.vector_defects(np.eye(3)) == released.graph_defects(np.eye(2)) == []


def test_released_files_name_their_defects_when_read(real_data, capsys):
    folder = real_data / "released"
    for read, file, fault in (
        (loader.read_class_vectors, "wv_embeddings.mat", "rows 5 (armor) and 6 (axe) both hold 'metal'"),
        (loader.read_class_vectors, "wv_anjan_glove.mat", "rows 91 to 93 (from 0) are seagull, seal, sea_turtle"),
        (loader.read_class_vectors, "wv_anjan_semantic_labels.mat", "its 250 rows are in no known order"),
        (loader.read_class_graph, "mst_graph.mat", "3 of its 124 edges belong to the Euclidean tree"),
    ):
        read(folder / file)
        assert f"warning: {folder / file}: " in (output := capsys.readouterr().err) and fault in output
