"""Pictures of one modality in memory or on disk: the same ones, without those that cannot be read."""

import json

import numpy as np
import pytest
from helpers.project import draw_pictures

from zscmr.datasets import layouts
from zscmr.datasets.drawings import list_drawings
from zscmr.datasets.pictures import Preprocessing
from zscmr.datasets.strokes import Variation
from zscmr.training.stage1.examples import PictureSet, Redrawing, decode


@pytest.fixture
def photos(tmp_path, random):
    draw_pictures(tmp_path, random, ("ant", "bee", "cow", "dog"), per_class=2, size=(20, 20), unseen=("dog",))
    (tmp_path / "photo/bee/bee_0.jpg").write_bytes(b"no picture")
    tree = layouts.list_pictures(tmp_path / "photo", "photo")
    return PictureSet("photo", tuple(tree.paths()), tree.labels, Preprocessing(16))


def test_decoded_pictures_are_those_on_disk(photos):
    assert photos.nbytes == 8 * 16 * 16 * 3
    resident, streamed = decode(photos, photos.nbytes), decode(photos, photos.nbytes - 1)
    assert streamed.images is None and resident.images.shape == (7, 16, 16, 3)
    np.testing.assert_array_equal(resident.labels, [0, 0, 1, 2, 2, 3, 3])
    np.testing.assert_array_equal(streamed.labels, resident.labels)
    rows = [6, 0, 2]
    np.testing.assert_array_equal(resident.read(rows), streamed.read(rows))


def test_classes_are_taken(photos):
    taken = photos.of_classes([0, 3])
    assert taken.labels.tolist() == [0, 0, 3, 3] and all("ant" in path or "dog" in path for path in taken.paths)


def test_drawings_are_drawn_anew_in_each_epoch(tmp_path, random):
    """Row 0 is a picture and stays; rows 1 and 2 are strokes, alike in one epoch however they are read."""
    draw_pictures(tmp_path, random, ("ant",), per_class=1, size=(20, 20), unseen=())
    line = {"drawing": [[[0, 200, 255], [0, 90, 255]], [[3, 60], [255, 3]]]}
    (tmp_path / "ant.ndjson").write_text(2 * f"{json.dumps(line)}\n")
    paths = (str(tmp_path / "sketch/ant/ant_0.png"), *list_drawings(tmp_path / "ant.ndjson"))
    sketches = PictureSet("sketch", paths, np.zeros(3, int), Preprocessing(32, ink=0.1))
    redrawing = Redrawing(Variation(), seed=0)
    resident, streamed = (decode(sketches, limit, redrawing=redrawing) for limit in (sketches.nbytes, 0))
    assert resident.redrawn_rows.tolist() == [1, 2] == streamed.redrawn_rows.tolist()
    first = resident.read(np.arange(3), epoch=1)
    np.testing.assert_array_equal(first, streamed.read(np.arange(3), epoch=1))
    np.testing.assert_array_equal(first[0], resident.read([0])[0])
    np.testing.assert_array_equal(first[2:], resident.redraw([2], 1))
    assert (first[1] != first[2]).any() and (first[1:] != resident.redraw([1, 2], 2)).any()
    assert not len(decode(sketches, 0).redrawn_rows)
