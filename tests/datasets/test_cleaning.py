"""Drawings on anything become the clean drawing; clean ones pass unchanged."""

import io

import numpy as np
import pytest
from helpers.toy_shapes import colourful_photo
from PIL import Image, ImageDraw, ImageFilter

from zscmr.datasets import cleaning, pictures
from zscmr.datasets.preprocessing import Preprocessing

SHEET, BOX = (640, 480), (200, 120, 440, 360)  # pixels of the sheet, and of the strokes on it


@pytest.fixture
def ink():
    """Coverage (h, w) of a circle, a cross and a stroke by a pen of 6 pixels, antialiased."""
    fine = Image.new("L", (2 * SHEET[0], 2 * SHEET[1]))
    draw = ImageDraw.Draw(fine)
    left, top, right, bottom = (2 * edge for edge in BOX)
    draw.ellipse((left, top, right - 1, bottom - 1), outline=255, width=12)
    draw.line((left + 100, top + 130, right - 100, bottom - 90), fill=255, width=12)
    draw.line((left + 100, bottom - 90, right - 100, top + 130), fill=255, width=12)
    return np.asarray(fine.resize(SHEET, Image.Resampling.BOX), np.float32) / 255


def painted(ink, paper, pen):
    """A picture of pen on paper (RGB), float32."""
    paper, pen = np.array(paper, np.float32), np.array(pen, np.float32)
    return np.broadcast_to(paper, (*ink.shape, 3)) + (pen - paper) * ink[..., None]


def image(array):
    return Image.fromarray(np.clip(array, 0, 255).astype(np.uint8))


def seen(picture):
    """The strokes as a network sees them, 1 where there is ink, (96, 96)."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    return 1 - pictures.read_picture(file.getvalue(), Preprocessing(96, ink=0.1))[..., 0] / 255


def likeness(picture, ink):
    """Correlation of what is seen of a picture with what is seen of black ink on white."""
    return np.corrcoef(seen(picture).ravel(), seen(image(painted(ink, (255,) * 3, (0,) * 3))).ravel())[0, 1]


PENS = {
    "white on black": ((0, 0, 0), (255, 255, 255)),
    "chalk on a green board": ((40, 70, 55), (225, 230, 225)),
    "blueprint": ((30, 60, 140), (225, 235, 250)),
    "red pen": ((255, 255, 255), (220, 20, 20)),
    "yellow pen": ((255, 255, 255), (255, 230, 0)),
    "pale pencil": ((255, 255, 255), (205, 205, 205)),
    "kraft paper": ((178, 140, 95), (60, 45, 30)),
    "grey on grey": ((120, 120, 120), (90, 90, 90)),
}


@pytest.mark.parametrize("paper, pen", PENS.values(), ids=PENS)
def test_pen_and_paper_do_not_matter(ink, paper, pen):
    assert likeness(image(painted(ink, paper, pen)), ink) > 0.97


@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (60, 90, 255), (255, 230, 0), (128, 128, 128)])
def test_transparent_sheet(ink, colour):
    layers = (
        *np.broadcast_to(np.array(colour, np.uint8), (*ink.shape, 3)).transpose(2, 0, 1),
        (255 * ink).astype(np.uint8),
    )
    assert likeness(Image.fromarray(np.stack(layers, -1)), ink) > 0.97


@pytest.mark.parametrize("low, least", [(0.95, 0.93), (0.7, 0.93), (0.45, 0.85)])
def test_uneven_light_of_a_phone_photo(ink, low, least, random):
    light = np.linspace(low, 1, SHEET[0], dtype=np.float32)[None, :, None]
    photo = painted(ink, (215, 208, 190), (110, 106, 100)) * light + random.normal(0, 4, (*ink.shape, 1))
    assert likeness(image(photo).filter(ImageFilter.GaussianBlur(0.8)), ink) > least


def test_desk_around_the_sheet(ink, random):
    desk = random.normal(70, 10, (SHEET[1] + 240, SHEET[0] + 240, 1)).repeat(3, 2)
    desk[120:-120, 120:-120] = painted(ink, (210, 205, 190), (90, 90, 90))
    assert likeness(image(desk), ink) > 0.93


def test_small_drawing_on_a_large_sheet_is_seen_at_the_stored_resolution(ink):
    sheet = Image.new("RGB", (3508, 2480), (250, 248, 240))
    sheet.paste(image(painted(ink, (250, 248, 240), (40, 40, 120))), (2000, 1200))
    assert likeness(sheet, ink) > 0.95


def test_specks_stripes_and_frames_are_no_strokes(ink):
    plain = painted(ink, (255,) * 3, (0,) * 3)
    for marks in (np.s_[3:8, 3:8], np.s_[:, :10], np.s_[:6, :], np.s_[470:475, 600:605]):
        marked = plain.copy()
        marked[marks] = 60
        np.testing.assert_array_equal(seen(image(marked)), seen(image(plain)))
    framed = plain.copy()
    framed[10:13, 10:-10] = framed[-13:-10, 10:-10] = framed[10:-10, 10:13] = framed[10:-10, -13:-10] = 0
    np.testing.assert_array_equal(seen(image(framed)), seen(image(plain)))


def test_an_eye_beside_the_outline_stays(ink):
    dotted = painted(ink, (255,) * 3, (0,) * 3)
    dotted[150:153, 470:473] = 0  # 30 pixels to the right of the circle
    drawing, box = cleaning.clean_drawing(image(dotted))
    np.testing.assert_array_equal(np.asarray(drawing), dotted[..., 0].astype(np.uint8))
    assert box == (200, 120, 473, 360)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_clean_drawing_passes_unchanged(ink, mode):
    clean = image(painted(ink, (255,) * 3, (0,) * 3))
    drawing, box = cleaning.clean_drawing(clean.convert("L").convert(mode))
    np.testing.assert_array_equal(np.asarray(drawing), np.asarray(clean.convert("L")))
    assert box == BOX


def test_every_sketch_of_the_slice_passes_unchanged(real_data):
    for file in sorted(real_data.glob("sketchy-mini/sketch/*/*.png"))[::9]:
        picture = Image.open(file)
        drawing, _ = cleaning.clean_drawing(picture)
        np.testing.assert_array_equal(np.asarray(drawing), np.asarray(picture.convert("L")), str(file))


BLANK = {
    "white": Image.new("RGB", (60, 50), "white"),
    "black": Image.new("L", (60, 50), 0),
    "transparent": Image.new("RGBA", (60, 50), (255, 255, 255, 0)),
    "one pixel": Image.new("RGB", (1, 1), "red"),
    "noise": image(np.random.default_rng(0).normal(200, 2, (80, 90, 3))),
}


@pytest.mark.parametrize("picture", BLANK.values(), ids=BLANK)
def test_blank_sheet_is_refused(picture):
    with pytest.raises(OSError, match="no strokes"):
        seen(picture)


def test_texture_costs_bounded_time(random):
    drawing, box = cleaning.clean_drawing(image(random.integers(0, 256, (900, 1200, 3))))
    assert drawing.size == (1200, 900) and box[2] > box[0]


@pytest.mark.parametrize("paper, pen", PENS.values(), ids=PENS)
def test_drawings_do_not_look_like_photos(ink, paper, pen, random):
    """Nor with the light and the noise of a phone."""
    clean = painted(ink, paper, pen)
    light = np.linspace(0.6, 1, SHEET[0], dtype=np.float32)[None, :, None]
    photo = image(clean * light + random.normal(0, 4, (*ink.shape, 1))).filter(ImageFilter.GaussianBlur(0.8))
    assert not cleaning.looks_like_photo(image(clean)) and not cleaning.looks_like_photo(photo)


def test_spots_of_many_colours_look_like_a_photo():
    assert cleaning.looks_like_photo(colourful_photo())
    assert cleaning.looks_like_photo(colourful_photo().convert("L"))  # of great contrast everywhere
    for blank in BLANK.values():
        assert not cleaning.looks_like_photo(blank)


def test_colours_of_two_lie_on_a_line():
    """Red and green by turns: none across their line. With as many blue ones, each third (1, 0, 0), less its mean:
    (2, -1, -1) / 3 and its turns; their variance is 1/3 in each direction of the plane."""
    red, green, blue = np.eye(3, dtype=np.float32)
    assert cleaning._spread_of_colours(np.array([[red, green]])) < 1e-3
    spread = cleaning._spread_of_colours(np.array([[red, green, blue]]))
    assert spread == pytest.approx(np.sqrt(1 / 3), abs=1e-6)


@pytest.mark.parametrize("folder, least, most", [("photo", 0.8, 1), ("sketch", 0, 0.01)])
def test_photos_of_the_slice_are_told_from_its_sketches(real_data, folder, least, most):
    files = sorted(real_data.glob(f"sketchy-mini/{folder}/*/*.*"))[::25]
    share = np.mean([cleaning.looks_like_photo(Image.open(file)) for file in files])
    assert least <= share <= most
