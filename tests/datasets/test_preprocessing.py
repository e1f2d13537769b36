"""Crops of `Preprocessing` against scaling and cropping by hand; squares about the strokes."""

import numpy as np
import pytest
from helpers.pictures_fuzz import noise
from PIL import Image

from zscmr.datasets import pictures
from zscmr.datasets.preprocessing import Preprocessing


@pytest.mark.parametrize("shape", [(300, 200), (200, 300), (256, 256), (97, 311)])
@pytest.mark.parametrize("fraction", [1.0, 0.875, 0.9])
def test_center_crop_has_the_pixels_of_scaling_and_cropping(tmp_path, shape, fraction):
    """Scaled so that the short side has size / fraction pixels, cropped to the middle size × size of them."""
    picture = noise(*shape)
    picture.save(tmp_path / "a.png")
    size = 56
    width, height = (int(int(size / fraction) * side / min(shape)) for side in shape)
    left, top = round((width - size) / 2), round((height - size) / 2)
    scaled = picture.resize((width, height), Image.Resampling.BICUBIC)
    expected = np.asarray(scaled.crop((left, top, left + size, top + size)), int)
    chosen = Preprocessing(size, Image.Resampling.BICUBIC, "center", fraction)
    read = pictures.read_picture(tmp_path / "a.png", chosen)
    assert read.shape == (size, size, 3)
    np.testing.assert_allclose(read, expected, atol=1)


def test_center_crop_decodes_as_many_pixels_as_it_needs(tmp_path):
    """A JPEG of 512 × 256, for 64 of 128 pixels: 1/2 of its side is decoded, not 1/4."""
    noise(512, 256).save(tmp_path / "a.jpg")
    assert pictures.open_picture(tmp_path / "a.jpg", 64).size == (128, 64)
    half = Preprocessing(64, crop="center", fraction=0.5)
    assert pictures.open_picture(tmp_path / "a.jpg", half).size == (256, 128)


def test_center_crop_of_a_strip_takes_no_memory(tmp_path, monkeypatch):
    """Scaled as a whole, 1 × 10,000 pixels would have 224 × 2,240,000."""
    monkeypatch.setattr(pictures, "MEMORY", pictures.Budget(pictures.SMALL))
    noise(1, 10_000).save(tmp_path / "a.png")
    assert pictures.read_picture(tmp_path / "a.png", Preprocessing(224, crop="center")).shape == (224, 224, 3)


def test_preprocessing_of_a_size_is_the_default(tmp_path):
    noise(50, 30).save(tmp_path / "a.png")
    default = pictures.read_picture(tmp_path / "a.png", 16)
    np.testing.assert_array_equal(pictures.read_picture(tmp_path / "a.png", Preprocessing(16)), default)
    bicubic = Preprocessing(16, Image.Resampling.BICUBIC)
    assert (pictures.read_picture(tmp_path / "a.png", bicubic) != default).any()


@pytest.mark.parametrize("wrong", [{"size": 0}, {"crop": "middle"}, {"fraction": 0}, {"fraction": 1.5}])
def test_preprocessing_out_of_range(wrong):
    with pytest.raises(ValueError, match="expected a positive size"):
        Preprocessing(**{"size": 8, **wrong})


@pytest.mark.parametrize("paper", [255, 40, 128])
def test_sketch_is_cropped_to_the_square_about_its_ink(tmp_path, paper):
    """Ink from (20, 30) to (60, 50) of 100 × 80: a square of side 40, with a tenth on every side 48, whose corner is
    (40 − 24, 40 − 24) = (16, 16); scaled to 96, the ink goes from (8, 28) to (88, 68)."""
    image = np.full((80, 100, 3), paper, np.uint8)
    image[30:50, 20:60] = 255 - paper if paper != 128 else 0
    Image.fromarray(image).save(tmp_path / "a.png")
    seen = pictures.read_picture(tmp_path / "a.png", Preprocessing(96, ink=0.1)).astype(int)
    ink = seen.max(2) < 128  # dark on white, whatever it was
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    np.testing.assert_allclose((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1), (8, 28, 88, 68), atol=1)


def test_paper_goes_on_where_the_ink_is_near_the_edge(tmp_path):
    image = np.full((50, 400, 3), 200, np.uint8)
    image[0:6, 0:200] = 10  # a stroke along the upper edge
    Image.fromarray(image).save(tmp_path / "a.png")
    seen = pictures.read_picture(tmp_path / "a.png", Preprocessing(72, ink=0.1)).astype(int)
    assert (seen[:33] == 255).all() and (seen[:, :5] == 255).all() and (seen[36:37, 8:60] < 80).all()


@pytest.mark.parametrize("shape", [(40, 40), (1, 900), (900, 1), (3, 3)])
def test_drawing_of_odd_shape_is_still_a_square_or_refused(tmp_path, shape, random):
    Image.fromarray(random.integers(0, 256, (*shape, 3), np.uint8)).save(tmp_path / "noise.png")
    try:
        assert pictures.read_picture(tmp_path / "noise.png", Preprocessing(32, ink=0.1)).shape == (32, 32, 3)
    except OSError as error:
        assert "no strokes" in str(error)


def test_margin_beyond_a_picture_is_refused():
    with pytest.raises(ValueError, match="margin of the ink"):
        Preprocessing(32, ink=-0.5)
