"""Damaged pictures: `mutants(kind)` makes them; run as a program, it reads them in bounded memory and counts outcomes.

    python tests/helpers/pictures_fuzz.py [how many of each kind [seed [KIND …]]]

Exits 0 if every file is either a picture or refused by an OSError in one line. A crash of the interpreter is seen as
a signal by whoever started the process.
"""

import io
import struct
import sys
import tempfile
import time
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from zscmr.datasets.picture_formats import can_read

ADDRESS_SPACE = 2**32  # bytes; the interpreter and its libraries map about 1 GB
VALUES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

KINDS = {  # name -> how a picture of noise is stored
    "jpeg": {"format": "JPEG", "exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"},
    "progressive": {"format": "JPEG", "progressive": True},
    "cmyk": {"format": "JPEG", "mode": "CMYK"},
    "png": {"format": "PNG", "mode": "RGBA"},
    "palette": {"format": "PNG", "mode": "P", "transparency": 3},
    "deep": {"format": "PNG", "mode": "I;16"},
    "bmp": {"format": "BMP"},
    "gif": {"format": "GIF", "mode": "P", "transparency": 3},
    "animation": {"format": "GIF", "mode": "P", "save_all": True, "frames": 3},
    "webp": {"format": "WEBP"},
    "lossless": {"format": "WEBP", "mode": "RGBA", "lossless": True},
    "tiff": {"format": "TIFF"},
    "lzw": {"format": "TIFF", "compression": "tiff_lzw", "mode": "RGBA"},
    "deflate": {"format": "TIFF", "compression": "tiff_adobe_deflate", "tiffinfo": {278: 5}},
    "fax": {"format": "TIFF", "compression": "group4", "mode": "1"},
    "tiff-jpeg": {"format": "TIFF", "compression": "jpeg"},
    "big-tiff": {"format": "TIFF", "big_tiff": True, "compression": "packbits"},
    "tiff-16": {"format": "TIFF", "mode": "I;16"},
    "tiff-lab": {"format": "TIFF", "mode": "LAB"},
    "tiff-float": {"format": "TIFF", "mode": "F", "compression": "tiff_lzw"},
    "tiff-tiles": {"tiles": True},
}
if can_read("AVIF"):
    KINDS["avif"] = {"format": "AVIF"}
if can_read("HEIC"):
    KINDS["heic"] = {"format": "HEIF"}


def valid(kind):
    """The bytes of an undamaged picture of 23 × 17 pixels."""
    options = dict(KINDS[kind])
    if options.pop("tiles", None):
        return _tiled_tiff()
    if kind == "heic":
        import pillow_heif

        pillow_heif.register_heif_opener()
    mode, frames = options.pop("mode", "RGB"), options.pop("frames", 1)
    pictures = [_noise(mode, seed) for seed in range(frames)]
    file = io.BytesIO()
    more = {"append_images": pictures[1:]} if frames > 1 else {}
    pictures[0].save(file, **options, **more)
    return file.getvalue()


def tiff(tags, data, side=4):
    """A little-endian TIFF of side × side grey pixels: header, `data` from byte 8, directory. A tag is a LONG, or
    (type, count, value)."""
    tags = {256: side, 257: side, 258: 8, 259: 1, 262: 1, 277: 1, **tags}
    file = struct.pack("<2sHL", b"II", 42, 8 + len(data)) + data + struct.pack("<H", len(tags))
    for tag, value in sorted(tags.items()):
        file += struct.pack("<HHLL", tag, *(value if isinstance(value, tuple) else (4, 1, value)))
    return file + bytes(4)


def _tiled_tiff():
    """16 × 16 greys in one tile by deflate; Pillow writes no tiles."""
    data = zlib.compress(_noise("L", 0).tobytes()[:256])
    return tiff({259: 8, 322: 16, 323: 16, 324: 8, 325: len(data)}, data + bytes(len(data) % 2), 16)


def noise(width, height, mode="RGB"):
    """A PIL image of colours drawn at random, always the same ones."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def stored(picture, form, **options):
    """The bytes of a PIL image in a file of a format."""
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def _noise(mode, seed):
    random = np.random.default_rng(seed)
    if mode == "I;16":
        return Image.fromarray(random.integers(0, 2**16, (17, 23), dtype=np.uint16))
    pixels = random.integers(0, 256, (17, 23, 3), dtype=np.uint8)
    return Image.fromarray(pixels, "LAB") if mode == "LAB" else Image.fromarray(pixels).convert(mode)


def mutants(kind, count=150, seed=0):
    """Yield `count` damaged versions of a valid picture, bytes, the same ones at each call.

    They are cut off, have bytes changed, fields of 2 or 4 bytes set to extreme values, parts repeated, moved or
    removed. Most damage is in the first 200 bytes, where the headers are."""
    valid_bytes, random = valid(kind), np.random.default_rng([seed, list(KINDS).index(kind)])
    for number in range(count):
        data = bytearray(valid_bytes)
        for _ in range(random.integers(1, 4)):
            position = int(random.integers(4, min(len(data), 200) if random.random() < 0.7 else len(data)))
            _DAMAGE[number % len(_DAMAGE)](data, position, random)
            if len(data) < 8:
                break
        yield bytes(data)


def _change_byte(data, place, random):
    data[place] = random.integers(256)


def _cut(data, place, random):
    del data[place:]


def _set_field(data, place, random):
    form = ("<H", ">H", "<L", ">L")[random.integers(4)]
    size = struct.calcsize(form)
    value = VALUES[random.integers(len(VALUES))] & (256**size - 1)
    data[place : place + size] = struct.pack(form, value)


def _repeat(data, place, random):
    data[place:place] = data[place : place + random.integers(1, 64)]


def _remove(data, place, random):
    del data[place : place + random.integers(1, 16)]


def _overwrite(data, place, random):
    start = random.integers(len(data))
    part = data[start : start + random.integers(1, 64)]
    data[place : place + len(part)] = part


_DAMAGE = (_change_byte, _set_field, _cut, _set_field, _repeat, _remove, _set_field, _overwrite)


def main(count, seed, kinds):
    import resource
    import warnings

    from zscmr.datasets import pictures

    warnings.simplefilter("ignore")  # Pillow's, of corrupt metadata
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    outcomes, slowest = Counter(), 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mutant"
        for kind in kinds or KINDS:
            path.write_bytes(valid(kind))
            assert pictures.read_picture(path, 8).shape == (8, 8, 3), kind
            for number, data in enumerate(mutants(kind, count, seed)):
                path.write_bytes(data)
                print(kind, number, file=sys.stderr)  # the last line names the mutant that crashed the process
                start = time.monotonic()
                try:
                    outcomes["read"] += pictures.read_picture(path, 8).shape == (8, 8, 3)
                except OSError as error:
                    assert str(error).startswith(f"{path}: ") and len(str(error).splitlines()) == 1, repr(error)
                    outcomes["refused"] += 1
                slowest = max(slowest, time.monotonic() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{outcomes['read']} read, {outcomes['refused']} refused, slowest {slowest:.2f} s, peak {peak} MB")


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:3]]
    main(*numbers, *(150, 0)[len(numbers) :], sys.argv[3:])
