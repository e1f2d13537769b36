"""Pictures of one modality in memory or on disk: the same ones, without those that cannot be read."""

import numpy as np
import pytest
from helpers.project import draw_pictures

from zscmr.datasets import layouts
from zscmr.datasets.pictures import Preprocessing
from zscmr.training.stage1.examples import PictureSet, decode


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
