"""One command from pictures to an encoder that is searched with."""

import json

import numpy as np
import pytest
from helpers.project import draw_pictures

from zscmr.commands import encoder
from zscmr.formats import runs
from zscmr.retrieval import Encoder
from zscmr.utils.files import read_json

NAMES = ("ant", "bee", "cow", "dog", "elk")


@pytest.mark.slow
def test_pictures_and_drawings_become_an_encoder(tmp_path, random, capfd):
    """All five classes are learnt, one of them from drawings too; the second call finds everything done."""
    draw_pictures(tmp_path, random, NAMES, per_class=3, size=(40, 40), unseen=())
    line = json.dumps({"drawing": [[[0, 200, 255], [0, 90, 255]]]})
    (tmp_path / "quick").mkdir()
    (tmp_path / "quick/ant.ndjson").write_text(f"{line}\n{line}\n")
    settings = encoder.Settings(
        photos=(tmp_path / "photo",),
        sketches=(tmp_path / "sketch", tmp_path / "quick"),
        work=tmp_path / "work",
        out=tmp_path / "encoder",
        backbone="small",
        epochs=1,
    )
    encoder.main(settings)
    about = read_json(tmp_path / "encoder" / runs.ABOUT)
    assert about["classes"]["seen"] == list(NAMES)
    assert "no unseen class: nothing is measured" in capfd.readouterr().err
    vectors = Encoder.load(tmp_path / "encoder").embed([tmp_path / "sketch/ant/ant_0.png"])
    assert vectors.shape == (1, 64) and np.linalg.norm(vectors) == pytest.approx(1, abs=1e-3)
    before = (tmp_path / "encoder/encoder.tflite").read_bytes()
    encoder.main(settings)
    assert "already holds these features" in capfd.readouterr().out
    assert (tmp_path / "encoder/encoder.tflite").read_bytes() == before
