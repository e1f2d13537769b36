"""Formats are told apart by their first bytes; what a picture does not need is passed over."""

import struct
import warnings
import zlib

import numpy as np
import pytest
from helpers import pictures_fuzz
from helpers.pictures_fuzz import noise, stored

from zscmr.datasets import picture_formats, pictures
from zscmr.datasets.picture_formats import INSTALL, SUFFIXES, UNREADABLE

BLOWN_UP = zlib.compress(bytes(10**8), 9)


def test_suffixes_are_readable_or_known_not_both():
    assert {".jpg", ".jfif", ".jpe", ".pjpeg", ".png", ".tif", ".webp"} <= SUFFIXES
    assert not SUFFIXES & UNREADABLE.keys() and {"RAW", "SVG"} <= set(UNREADABLE.values())
    assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in SUFFIXES | UNREADABLE.keys())
    assert (".heic" in SUFFIXES) == picture_formats.can_read("HEIC") and UNREADABLE.get(".heic", "HEIC") in INSTALL


def chunks(png):
    """(name, content) of each chunk of a PNG."""
    at = 8
    while at < len(png):
        length, name = struct.unpack_from(">L4s", png, at)
        yield name, png[at + 8 : at + 8 + length]
        at += 12 + length


def png(parts, damaged=()):
    """A PNG of the chunks `parts`; those named in `damaged` have a wrong checksum."""
    file = [b"\x89PNG\r\n\x1a\n"]
    for name, data in parts:
        checksum = zlib.crc32(name + data) ^ (name in damaged)
        file += struct.pack(">L", len(data)), name, data, struct.pack(">L", checksum)
    return b"".join(file)


EXTRA = {
    "zTXt": b"a\0\0" + BLOWN_UP,
    "iTXt": b"a\0\1\0\0\0" + BLOWN_UP,
    "iCCP": b"a\0\0" + BLOWN_UP,
    "tEXt": b"a\0" + bytes(2 * 10**6),
    "gAMA": b"1",
    "acTL": b"",
    "tIME": bytes(7),
    "eXIf": b"MM\0*\xff\xff",
}


@pytest.mark.parametrize("behind", [False, True])
@pytest.mark.parametrize("damaged", [False, True])
@pytest.mark.parametrize("name", EXTRA)
def test_png_is_read_whatever_its_optional_chunks_hold(name, damaged, behind):
    picture, extra = noise(9, 7), (name.encode(), EXTRA[name])
    header, *pixels, end = chunks(stored(picture, "PNG"))
    parts = [header, *pixels, extra, end] if behind else [header, extra, *pixels, end]
    data = png(parts, [extra[0]] if damaged else ()) + b"after the end"
    np.testing.assert_array_equal(pictures.open_picture(data, 7), picture)


def test_png_with_80_megabytes_of_texts_is_read():
    header, *rest = chunks(stored(noise(9, 7), "PNG"))
    np.testing.assert_array_equal(
        pictures.open_picture(png([header, *[(b"tEXt", b"a\0" + bytes(8000))] * 10_000, *rest]), 7), noise(9, 7)
    )


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
def test_bytes_after_the_end_do_not_matter(form):
    data = stored(noise(9, 7), form)
    np.testing.assert_array_equal(pictures.open_picture(data + bytes(5000), 7), pictures.open_picture(data, 7))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize(
    "exif", [b"", b"MM", b"nothing", b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x05\0\xff\xff\xff\0\0\0\x09"]
)
def test_damaged_exif_does_not_matter(form, exif):
    options = {"lossless": True} if form == "WEBP" else {}
    data = stored(noise(9, 7), form, exif=b"Exif\0\0" + exif, **options)
    np.testing.assert_array_equal(
        pictures.open_picture(data, 7), pictures.open_picture(stored(noise(9, 7), form, **options), 7)
    )


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_large_profile_is_passed_over(form):
    options = {"lossless": True} if form == "WEBP" else {}
    data = stored(noise(9, 7), form, icc_profile=bytes(3 * 10**6), **options)
    np.testing.assert_array_equal(
        pictures.open_picture(data, 7), pictures.open_picture(stored(noise(9, 7), form, **options), 7)
    )


def test_tiff_with_layers_of_photoshop_is_read():
    """10 MB in the tag that holds them, which stands behind those of the picture."""
    tags = {273: 8, 279: 16, 37724: (7, 10**7, 24)}
    data = pictures_fuzz.tiff(tags, bytes(range(0, 240, 15)) + bytes(10**7))
    assert np.asarray(pictures.open_picture(data, 4))[0, :, 0].tolist() == [0, 15, 30, 45]


@pytest.mark.parametrize("form", ["JPEG", "GIF"])
def test_metadata_that_takes_minutes_is_refused(form):
    """600 EXIF segments of 64 kB, which Pillow joins one by one; two million comments of one letter."""
    data, extra = stored(noise(9, 7), form), b"Exif\0\0" + bytes(65_000)
    at = 2 if form == "JPEG" else data.index(b",")
    segment = b"\xff\xe1" + struct.pack(">H", len(extra) + 2) + extra
    more = segment * 600 if form == "JPEG" else b"\x21\xfe\1x\0" * 2 * 10**6
    with pytest.raises(OSError, match=r"picture: more data before the pixels than a picture needs"):
        pictures.open_picture(data[:at] + more + data[at:], 7)


def test_damaged_metadata_prints_no_warning(recwarn):
    picture_formats._silence_pillow.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(OSError, match="picture: "):
            pictures.open_picture(pictures_fuzz.valid("lzw")[:-300], 7)


def test_heic_without_its_decoder_names_what_to_install():
    if picture_formats.can_read("HEIC"):
        pytest.skip("pillow-heif is installed")
    with pytest.raises(OSError, match=r"HEIC is read after: python -m pip install pillow-heif"):
        pictures.open_picture(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50), 7)


def test_heic_by_its_decoder():
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    picture = noise(64, 48).resize((8, 6)).resize((64, 48))
    apart = np.asarray(pictures.open_picture(stored(picture, "HEIF", quality=95), 48), int) - np.asarray(picture)
    assert np.abs(apart).mean() < 12


@pytest.mark.skipif(not picture_formats.can_read("AVIF"), reason="Pillow without AVIF")
def test_avif_is_read():
    picture = noise(64, 48).resize((8, 6)).resize((64, 48))
    apart = np.asarray(pictures.open_picture(stored(picture, "AVIF", quality=95), 48), int) - np.asarray(picture)
    assert np.abs(apart).mean() < 12


def test_jpeg_with_several_frames_is_a_jpeg(tmp_path):
    """A phone's MPO: the first frame, and with `shrink` stored as JPEG again, as a JPEG of the same bytes is."""
    first = noise(64, 48)
    first.save(tmp_path / "phone.jpg", format="MPO", save_all=True, append_images=[noise(64, 48, "L").convert("RGB")])
    first.save(tmp_path / "plain.jpg")
    for shrink in (None, 32):
        plain = pictures.read_picture(tmp_path / "plain.jpg", 16, shrink)
        np.testing.assert_array_equal(pictures.read_picture(tmp_path / "phone.jpg", 16, shrink), plain)


@pytest.mark.parametrize("form", ["PPM", "ICO", "EPS", "JPEG2000", "TGA", "PCX", "SGI"])
def test_other_formats_are_refused_whatever_their_name(tmp_path, form):
    """PostScript in a .png must not reach Ghostscript, nor anything else a plugin that is not documented."""
    try:
        noise(32, 32).save(tmp_path / "picture.png", format=form)
    except (OSError, KeyError):
        pytest.skip(f"Pillow is built without {form}")
    with pytest.raises(OSError, match="neither JPEG, PNG, BMP, GIF, WebP, TIFF, AVIF nor HEIC"):
        pictures.read_picture(tmp_path / "picture.png", 8)


def test_tiff_by_a_rare_codec_is_refused(tmp_path):
    data = bytearray(pictures_fuzz.tiff({262: 1, 273: 8, 279: 16, 259: 32809}, bytes(16)))
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(OSError, match=r"a\.tif: a TIFF compressed by tiff_thunderscan$"):
        pictures.read_picture(tmp_path / "a.tif", 8)
