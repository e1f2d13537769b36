"""Colours of photos and drawings, and the lines of drawings in colours; worked by hand."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from zscmr.datasets import cleaning
from zscmr.datasets.crayons import (
    CRAYONS,
    MIDDLE,
    SIDE,
    colour_differences,
    drawing_colours,
    drawing_lines,
    photo_colours,
)

RED, GREEN = 3, 6  # rows of CRAYONS
PINK = (240, 150, 180)


def sheet(*shapes, ground="white", mode="RGB"):
    """A drawing of 200 pixels: (method of a pen, box, options) each."""
    image = Image.new(mode, (200, 200), ground)
    for method, box, options in shapes:
        getattr(ImageDraw.Draw(image), method)(box, **options)
    return image


def smooth(colour):
    """A circle with smooth edges."""
    image = Image.new("RGB", (800, 800), "white")
    ImageDraw.Draw(image).ellipse([120, 120, 680, 680], outline=colour, width=20)
    return image.resize((200, 200), Image.Resampling.LANCZOS)


def crayon(row):
    return tuple(CRAYONS[row].tolist())


def test_colours_of_a_photo_are_those_of_its_middle():
    pixels = np.full((SIDE, SIDE, 3), CRAYONS[GREEN])
    pixels[MIDDLE, MIDDLE] = CRAYONS[RED]
    shares = photo_colours(Image.fromarray(pixels))
    assert shares.shape == (12,) and shares.sum() == pytest.approx(1)
    assert shares.argmax() == RED and shares[RED] > 0.8  # brown is near red
    assert shares[GREEN] < 1e-3


def test_colours_of_a_drawing_count_what_they_enclose():
    """A red outline around 40 × 40 pixels, and a green area of 40 × 20, two to one; black does not count."""
    drawing = sheet(
        ("rectangle", [20, 20, 59, 59], {"outline": crayon(RED), "width": 4}),
        ("rectangle", [100, 20, 139, 39], {"fill": crayon(GREEN)}),
        ("rectangle", [10, 100, 189, 189], {"outline": "black", "width": 4}),
    )
    expected = np.zeros(12)
    expected[[RED, GREEN]] = 2 / 3, 1 / 3
    np.testing.assert_allclose(drawing_colours(drawing), expected, rtol=1e-6)
    differences = colour_differences(np.array([expected, np.eye(12)[RED], np.eye(12)[0]]), expected)
    np.testing.assert_allclose(differences, [0, 1 / 3, 1])


def test_what_is_no_drawing_in_colours_has_none():
    lines = ("rectangle", [20, 20, 159, 159], {"outline": crayon(RED), "width": 4})
    noise = np.random.default_rng(0).integers(-6, 7, (200, 200, 3))  # of a scan or a phone
    assert drawing_colours(sheet(lines)) is not None and drawing_colours(smooth(crayon(RED))).argmax() == RED
    scan = Image.fromarray((np.asarray(sheet(lines)).astype(int) + noise).clip(0, 255).astype(np.uint8))
    for picture in (
        sheet((*lines[:2], {"outline": (60, 60, 60), "width": 4})),
        sheet((*lines[:2], {"outline": (30, 30, 80), "width": 4})),  # near-black ink
        smooth((30, 30, 80)),
        sheet((*lines[:2], {"outline": "white", "width": 4}), ground=(20, 60, 140)),  # a blueprint
        sheet(lines, ground=(245, 230, 200)),  # paper
        scan,
    ):
        assert drawing_colours(picture) is None and drawing_lines(picture) is None


def test_colours_do_not_change_the_lines_that_they_fill():
    outline = ("ellipse", [30, 30, 169, 169], {"outline": "black", "width": 4})
    coloured = sheet(("ellipse", [40, 40, 159, 159], {"fill": crayon(RED)}), outline)
    drawing, box = cleaning.clean_drawing(coloured)
    black, black_box = cleaning.clean_drawing(sheet(outline))
    assert np.array_equal(drawing, black) and box == black_box


def test_without_black_lines_areas_become_outlines():
    """An area of 120 × 120 becomes lines of 2 pixels (OUTLINE × 200); a line of 8 (2 PEN × 200) stays as it is."""
    drawing = sheet(
        ("rectangle", [20, 20, 139, 139], {"fill": crayon(RED)}),
        ("rectangle", [160, 20, 167, 79], {"fill": crayon(GREEN)}),
    )
    lines = drawing_lines(drawing) == 0
    assert lines[20:140, 20:140].sum() == 120**2 - 116**2
    assert lines[20:80, 160:168].all() and lines.sum() == 944 + 480


def test_coloured_lines_stay_beside_black_ones():
    first, second = [20, 20, 180, 180], [20, 180, 180, 20]
    mixed, black = (
        sheet(("line", first, {"fill": "black", "width": 3}), ("line", second, {"fill": colour, "width": 3}))
        for colour in (crayon(RED), "black")
    )
    ImageDraw.Draw(mixed).rectangle([85, 150, 115, 180], fill=crayon(GREEN))
    np.testing.assert_array_equal(drawing_lines(mixed), np.asarray(black.convert("L")))


def test_without_areas_the_edges_of_lines_stay_smooth():
    """The least channel of a pixel half of red (30) is 142."""
    pixels = np.full((200, 200, 3), 255, np.uint8)
    pixels[20:180, 50:54], pixels[180, 50:54] = CRAYONS[RED], (228, 142, 142)
    expected = np.full((200, 200), 255, np.uint8)
    expected[20:180, 50:54], expected[180, 50:54] = 0, 142
    np.testing.assert_array_equal(drawing_lines(Image.fromarray(pixels)), expected)


def test_pale_lines_count_beside_black_ones():
    drawing = sheet(
        ("line", [20, 20, 90, 180], {"fill": "black", "width": 4}),
        ("line", [110, 20, 180, 180], {"fill": PINK, "width": 4}),
    )
    assert cleaning.clean_drawing(drawing)[1][2] > 170


def test_notes_of_a_drawing():
    """One in colours looks like no photo; of a transparent sheet the colours count too; of photos nothing is noted."""
    shapes = [("ellipse", [20 * k, 20 * k, 190, 190], {"fill": crayon(3 + k), "outline": "black"}) for k in range(9)]
    notes = cleaning.DrawingNotes("sketch")
    for name, picture in {
        "coloured": sheet(*shapes),
        "clear": sheet(*shapes, ground=(0, 0, 0, 0), mode="RGBA"),
        "black": sheet(("line", [10, 10, 90, 90], {"fill": "black"})),
    }.items():
        notes(name, picture)
    assert list(notes.colours) == ["coloured", "clear"] and not notes.photos
    np.testing.assert_array_equal(notes.colours["coloured"], notes.colours["clear"])
    of_photos = cleaning.DrawingNotes("photo")
    of_photos("coloured", sheet(*shapes))
    assert not of_photos.colours
