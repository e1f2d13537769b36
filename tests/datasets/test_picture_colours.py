"""Pictures of every mode and range come out as a person would see them."""

import struct

import numpy as np
import pytest
from helpers import pictures_fuzz
from helpers.pictures_fuzz import stored
from PIL import Image, ImageCms

from zscmr.datasets import pictures
from zscmr.datasets.picture_colours import scaled_greys, to_rgb

RAMP = np.add.outer(np.arange(60), np.arange(60)) * 2  # 0 to 236


def read(picture, form, **options):
    return np.asarray(pictures.open_picture(stored(picture, form, **options), 60), int)


def with_outlier(greys, value):
    greys = greys.copy()
    greys[3, 4] = value
    return greys


GREYS = {  # name -> (greys that show RAMP, how far off they may be)
    "16 bits": (RAMP * 257, 0),
    "14 bits": (RAMP * 16383 // 255, 1),
    "12 bits": (RAMP * 4095 // 255, 1),
    "12 bits, hot pixel": (with_outlier(RAMP * 4095 // 255, 65535), 1),
    "10 bits": (RAMP * 1023 // 255, 1),
    "8 bits": (RAMP, 0),
}


@pytest.mark.parametrize("name", GREYS)
@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_greys_of_fewer_bits_in_16(name, form):
    greys, most = GREYS[name]
    apart = np.abs(read(Image.fromarray(greys.astype(np.uint16)), form) - RAMP[..., None])
    assert np.delete(apart.reshape(-1, 3), 3 * 60 + 4, 0).max() <= most


FLOATS = {
    "0 to 1": (RAMP / 255, 1),
    "0 to 255": (RAMP / 1.0, 1),
    "NaN": (with_outlier(RAMP / 255, np.nan), 1),
    "Inf": (with_outlier(RAMP / 255, np.inf), 1),
    "-Inf": (with_outlier(RAMP / 255, -np.inf), 1),
    "no data": (with_outlier(RAMP / 255, -9999), 1),
    "hot pixel": (with_outlier(RAMP / 255, 1e30), 1),
    "-1 to 1": (RAMP / 118 - 1, 25),  # black and white are the extremes of the picture
    "0 to 1e-3": (RAMP / 236e3, 25),
    "-4e5 to 2e6": (RAMP * 1e4 - 4e5, 25),
}


@pytest.mark.parametrize("name", FLOATS)
def test_floats_of_any_range(name):
    greys, most = FLOATS[name]
    apart = np.abs(read(Image.fromarray(greys.astype(np.float32)), "TIFF") - RAMP[..., None])
    assert np.delete(apart.reshape(-1, 3), 3 * 60 + 4, 0).max() <= most


@pytest.mark.parametrize(("factor", "shift", "most"), [(1, 0, 0), (257, 0, 0), (10**6, 0, 25), (1, -200, 25)])
def test_whole_numbers_of_32_bits(factor, shift, most):
    apart = read(Image.fromarray((RAMP * factor + shift).astype(np.int32)), "TIFF") - RAMP[..., None]
    assert np.abs(apart).max() <= most


@pytest.mark.parametrize("value", [0, 200, 4095, 65535])
def test_plain_greys_and_thin_strokes_on_them(value):
    """One stroke in 2,500 pixels, less than a thousandth on either side, stays black on its paper."""
    sheet = np.full((50, 50), value, np.uint16)
    assert len(set(np.unique(read(Image.fromarray(sheet), "PNG")))) == 1
    if value:
        sheet[7, 8] = 0
        seen = read(Image.fromarray(sheet), "PNG")
        assert seen[7, 8, 0] == 0 and seen[0, 0, 0] >= 200


def test_greys_that_are_no_numbers_become_black():
    assert not scaled_greys(np.full((3, 3), np.nan), [1]).any()
    assert scaled_greys(np.array([[np.nan, 1.0], [0.0, np.inf]]), [1]).tolist() == [[0, 255], [0, 255]]


@pytest.mark.parametrize("bits", [8, 16])
def test_tiff_whose_white_is_zero(bits):
    ramp = RAMP[::15, ::15].astype(np.uint8 if bits == 8 else "<u2") * (1 if bits == 8 else 257)
    tags = {258: bits, 262: 0, 273: 8, 279: ramp.nbytes}
    data = pictures_fuzz.tiff(tags, ramp.tobytes())
    np.testing.assert_array_equal(np.asarray(pictures.open_picture(data, 4))[..., 0], 255 - RAMP[::15, ::15])
    turned = pictures.open_picture(pictures_fuzz.tiff(tags | {274: 3}, ramp.tobytes()), 4)
    np.testing.assert_array_equal(np.asarray(turned)[::-1, ::-1, 0], 255 - RAMP[::15, ::15])


COLOUR = Image.fromarray(np.stack([RAMP, RAMP[::-1], np.full_like(RAMP, 90)], 2).astype(np.uint8))


@pytest.mark.parametrize("make", [
    lambda: (COLOUR.convert("RGBA"), "PNG"),
    lambda: (COLOUR.convert("RGBA"), "TIFF"),
    lambda: (COLOUR, "TIFF"),
    lambda: (COLOUR, "BMP"),
    lambda: (ImageCms.profileToProfile(
        COLOUR, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"), "TIFF"),
    lambda: (COLOUR.convert("YCbCr"), "TIFF"),
    lambda: (COLOUR.convert("CMYK"), "TIFF"),
    lambda: (COLOUR.convert("CMYK"), "JPEG"),
    lambda: (COLOUR.convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
])  # fmt: skip
def test_colours_stay(make):
    picture, form = make()
    apart = np.abs(read(picture, form) - np.asarray(COLOUR, int))
    assert apart.mean() < 6


@pytest.mark.parametrize("mode", ["1", "L", "LA", "La", "PA", "RGBa", "HSV", "YCbCr", "CMYK", "LAB", "I", "F", "I;16"])
def test_every_mode_becomes_rgb(mode):
    picture = to_rgb(Image.new(mode, (5, 4)))
    assert (picture.mode, picture.size) == ("RGB", (5, 4))


def alpha(level):
    picture = COLOUR.convert("RGBA")
    picture.putalpha(level)
    return picture


@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("level", [0, 1, 255])
def test_alpha_without_meaning_is_left_out(form, level):
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}
    np.testing.assert_array_equal(read(alpha(level), form, **options), np.asarray(COLOUR))


def test_grey_and_palette_transparent_everywhere():
    grey = Image.fromarray(RAMP.astype(np.uint8)).convert("LA")
    grey.putalpha(0)
    np.testing.assert_array_equal(read(grey, "PNG"), np.repeat(RAMP[..., None], 3, 2))
    palette = COLOUR.convert("P", palette=Image.Palette.ADAPTIVE)
    np.testing.assert_array_equal(read(palette, "PNG", transparency=bytes(256)), np.asarray(palette.convert("RGB")))


def test_transparent_parts_become_white():
    picture = alpha(255)
    picture.paste((10, 20, 30, 0), (0, 0, 20, 60))
    seen = read(picture, "PNG")
    assert (seen[:, :20] == 255).all() and (seen[:, 20:] == np.asarray(COLOUR)[:, 20:]).all()
    assert (read(Image.new("RGBA", (60, 60), (0, 0, 0, 0)), "PNG") == 255).all()  # a canvas without a stroke


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P", "I;16"])
def test_transparent_colour_of_a_png_becomes_white(mode):
    dark = Image.new(mode, (60, 60), {"RGB": (9, 9, 9), "I;16": 0x0909}.get(mode, 0))
    dark.paste({"RGB": (80, 80, 80), "I;16": 0x5050}.get(mode, 1), (30, 0, 60, 60))
    key = {"RGB": (9, 9, 9), "I;16": 0x0909}.get(mode, 0)
    seen = read(dark, "PNG", transparency=key)
    assert (seen[:, :30] == 255).all() and (mode in "1" or (seen[:, 30:] < 255).all())


def test_greys_with_alpha_of_16_bits():
    """Pillow writes none: colour type 4, the greys 0x8000 and alpha half transparent."""
    import zlib

    def chunk(name, data):
        return struct.pack(">L", len(data)) + name + data + struct.pack(">L", zlib.crc32(name + data))

    row = b"\0" + struct.pack(">HH", 0x8000, 0x8000) * 4
    header = chunk(b"IHDR", struct.pack(">LLBBBBB", 4, 4, 16, 4, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(row * 4)) + chunk(b"IEND", b"")
    assert abs(np.asarray(pictures.open_picture(data, 4), int) - 191).max() <= 1  # half of 128, half of 255
