"""Export of a run: what is refused, and the layer that a graph ends in (tests/retrieval/test_shipped.py exports)."""

import json

import keras
import numpy as np
import pytest

from zscmr.models import identity
from zscmr.models.base import Inputs
from zscmr.training import export
from zscmr.training.export import Embedding, open_network, write_shared_encoder

DATASET = {"directory": "data/mine", "photo": 3, "sketch": 3, "class_vectors": 0}


@pytest.fixture
def run_with(tmp_path):
    """Make a run directory whose config.json holds these entries."""

    def make(**entries):
        classes = {key: ["ant"] for key in ("seen", "held_out", "unseen")}
        content = {"settings": {"data": "data/mine"}, "classes": classes, **entries}
        (tmp_path / "config.json").write_text(json.dumps(content))
        return tmp_path

    return make


def test_run_of_before_there_was_a_search_is_refused(run_with, refused):
    message = refused(open_network, run_with(features={}), "photo")
    assert message.endswith("config.json: no 'dataset'; the run was made before there was a search, train again")


def test_features_of_other_tools_are_refused(run_with, refused):
    run = run_with(features={"photos": "photo"}, dataset=DATASET)
    assert "data/mine/pictures.json is none of pretrain/finetune.py" in refused(open_network, run, "sketch")


def test_a_shared_graph_needs_a_shared_cnn(run_with, tmp_path, refused):
    run = run_with(features={"cnn_sha256": {"photo": "a", "sketch": "b"}}, dataset=DATASET)
    message = refused(write_shared_encoder, run, tmp_path / "out")
    assert message.endswith("each modality has a CNN of its own; finetune.py --train joint makes one for both")
    assert not (tmp_path / "out").exists()


def test_a_graph_ends_in_the_embeddings_of_the_system(random):
    rows = random.normal(size=(4, 3)).astype(np.float32)
    system = identity.build(identity.Settings(dim=3), Inputs(rows, rows, np.zeros((2, 1)), np.empty((0, 2), int)))
    features = keras.Input((3,))
    model = keras.Model(features, Embedding(system, "sketch")(features))
    np.testing.assert_array_equal(model(rows), system.embed_sketches(rows))


def test_windows_are_tried_on_sides_that_halve_as_the_encoders_own():
    """260, 130, 65, 33, 17: odd from the third on; so are 324's, 162, 81, 41, 21, but not 316's."""
    assert list(export._sizes(260, 17 / 14)) == [316, 324]
    assert list(export._sizes(224, 2.0)) == [448]


def test_three_windows_stand_side_by_side():
    """Side 4 of 9 cells: starts 0, 3, 5; side 7 of 14: 0, 4, 7. Of one cell there is the whole alone."""
    fast, thorough = export.WINDOWS["fast"], export.WINDOWS["thorough"]
    assert fast.windows("fast", 272, 9).sides == ((4, 3),) and fast.windows("fast", 272, 9).count == 9
    assert thorough.windows("thorough", 448, 14).cells()[1:4, 0].tolist() == [0, 4, 7]
    assert fast.windows("fast", 40, 1).cells().tolist() == [[0, 0, 1, 1]] * 2
