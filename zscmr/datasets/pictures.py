"""Picture files -> decoded arrays, by threads that run ahead of the consumer, in bounded memory.

JPEG, PNG, BMP, GIF, WebP and TIFF are told apart by their first bytes; of several frames the first is read. Memory is
reserved before a picture is decoded: all threads of the process together hold at most `BUDGET` bytes of pictures, and
a picture that alone would need more is refused. The most pixels that fit, by what is decoded:

    RGB         8 bytes a pixel, 268 million     JPEG is decoded at 1/2, 1/4 or 1/8 of its side if that is enough
    grey        5 bytes a pixel, 429 million     progressive JPEG: plus 3 (4:2:0) to 6 (4:4:4) of each stored pixel
    RGBA       12 bytes a pixel, 178 million     TIFF: plus the largest strip or tile; WebP: plus 16 of each pixel

and the size of the file and what scaling takes. The C library may keep some 32 MB of freed memory for each thread that
has decoded. Pillow itself refuses TIFF and WebP above 2 · PIL.Image.MAX_IMAGE_PIXELS, 179 million pixels, and warns of
a TIFF above half as many. Of a damaged TIFF, libtiff writes what it finds to standard error, past Python.
"""

import io
import itertools
import math
import os
import stat
import struct
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
from PIL import (
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from zscmr.datasets.picture_formats import INSTALL, SUFFIXES, UNREADABLE  # noqa: F401
from zscmr.utils.errors import first_line
from zscmr.utils.processes import cores

BUDGET = 2**31  # bytes, of all pictures being decoded at one time
INK = 64  # grey values by which strokes differ from the paper at least
DETAIL = 4  # times the wanted size that a JPEG is decoded with, where strokes may fill a small part of it
SMALL = 2**24  # bytes, reserved for every picture; one that needs more gives them back and waits for what it needs


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes (size, size, 3): with `crop` "squash" it is scaled without keeping its aspect, as every
    ZS-SBIR code does; with "center" its middle square is taken, `fraction` of its short side. With `ink`, whatever
    the crop, the square about its strokes is taken, with a margin of `ink` times its side on every side."""

    size: int
    resample: Image.Resampling = Image.Resampling.BILINEAR
    crop: str = "squash"
    fraction: float = 1.0
    ink: float | None = None

    def __post_init__(self):
        if self.crop not in ("squash", "center") or not 0 < self.fraction <= 1 or self.size < 1:
            raise ValueError(f"expected a positive size, squash or center, a fraction in (0, 1], received {self}")
        if self.ink is not None and not 0 <= self.ink <= 1:
            raise ValueError(f"expected a margin of the ink from 0 to 1, received {self.ink}")

    @classmethod
    def of(cls, size):
        """`size`, a side in pixels or a Preprocessing, as a Preprocessing."""
        return size if isinstance(size, cls) else cls(size)

    @property
    def short_side(self):
        """Pixels that the short side of a picture is scaled to, or with `ink` at least decoded with."""
        if self.ink is not None:
            return DETAIL * self.size
        return self.size if self.crop == "squash" else int(self.size / self.fraction)

    def apply(self, picture):
        """The PIL image scaled (and cropped) to (size, size)."""
        if self.ink is not None:
            return self._about_ink(picture)
        return picture.resize((self.size, self.size), self.resample, self._box(*picture.size))

    def _about_ink(self, picture):
        """The square about the strokes; where it reaches beyond the picture, the paper goes on."""
        left, top, right, bottom, paper = ink_box(picture)
        side = max(right - left, bottom - top) * (1 + 2 * self.ink)
        x, y = (left + right - side) / 2, (top + bottom - side) / 2
        box = max(x, 0), max(y, 0), min(x + side, picture.width), min(y + side, picture.height)
        scale = self.size / side
        first = round((box[0] - x) * scale), round((box[1] - y) * scale)
        last = round((box[2] - x) * scale), round((box[3] - y) * scale)
        part = picture.resize((max(last[0] - first[0], 1), max(last[1] - first[1], 1)), self.resample, box)
        square = Image.new("RGB", (self.size, self.size), (paper,) * 3)
        square.paste(part, first)
        return square

    def _box(self, width, height):
        """The part of the picture that is seen, (left, top, right, bottom) in its pixels.

        The pixels are those of scaling all of it and cropping then, which would make billions of a long strip.
        """
        if self.crop == "squash":
            return 0, 0, width, height
        short = min(width, height)
        across, down = int(self.short_side * width / short), int(self.short_side * height / short)
        left, top = round((across - self.size) / 2), round((down - self.size) / 2)
        right, bottom = left + self.size, top + self.size
        return (
            left * width / across,
            top * height / down,
            min(right * width / across, width),
            min(bottom * height / down, height),
        )


def ink_box(picture):
    """(left, top, right, bottom, grey value of the paper) of the strokes of a PIL image.

    Ink is what is far from the paper, the median grey: dark lines on white, chalk on a board. Without any, or with a
    background that is no paper, the box is the whole picture.
    """
    picture = picture.convert("L")
    counts = picture.histogram()  # NumPy would count a copy of eight bytes a pixel, beyond the budget
    grey = np.asarray(picture)
    paper = int(np.searchsorted(np.cumsum(counts), grey.size / 2))
    ink = (grey < paper - INK) | (grey > paper + INK)
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    if not len(rows):
        return 0, 0, picture.width, picture.height, paper
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1, paper


class Budget:
    """A number of bytes that threads share: `hold` waits until so many are free."""

    def __init__(self, total):
        self.total, self.free, self._changed, self._turn = total, total, threading.Condition(), threading.Lock()

    @contextmanager
    def hold(self, amount):
        """Reserve `amount` bytes within the block. Raises OSError if there never are as many."""
        if amount > self.total:
            raise OSError(f"needs {amount:,} bytes of memory to decode, more than {self.total:,}")
        with self._turn, self._changed:  # in order of arrival: small requests do not keep a large one waiting forever
            while self.free < amount:
                self._changed.wait()
            self.free -= amount
        try:
            yield
        finally:
            with self._changed:
                self.free += amount
                self._changed.notify()


MEMORY = Budget(BUDGET)


def read_picture(path, size, shrink=None):
    """One picture as (size, size, 3) uint8 RGB; `size` is a side in pixels or a `Preprocessing`.

    `path`, here and below: of a file, or a file open for reading, or the bytes of one. With `shrink` it is seen as if
    it had been stored (shrink, shrink), see `_stored_small`. Raises OSError for a file that is no picture, ends early,
    or is too large.
    """
    preprocessing = Preprocessing.of(size)
    return _decode(path, preprocessing, shrink, preprocessing.apply, np.asarray)


def open_picture(path, size, shrink=None):
    """One picture as a PIL image in RGB, upright, with a short side of at least `size` pixels (or that of a
    `Preprocessing`) if it is stored with as many.

    Transparent parts become white, 16-bit greys are scaled to 8, CMYK and palettes are converted. Raises OSError for
    a file that is no picture, ends early, or is too large. What is returned no longer counts toward the budget.
    """
    return _decode(path, Preprocessing.of(size), shrink)


def read_header(path):
    """(format, (width, height)) of a picture, "JPEG", "PNG", "BMP", "GIF", "WEBP" or "TIFF"; decodes no pixels.

    Raises OSError for a file that is no picture.
    """
    try:
        with MEMORY.hold(max(SMALL, _source_bytes(path))), _opened(path) as file:
            picture = _open(file)
            return picture.format, picture.size
    except Exception as error:  # as in `_decode`
        cause = _cause(error)
    raise OSError(_fault(path, cause))


def read_thumbnail(path, side):
    """One picture as a PIL image in RGB, upright, scaled down to fit into (side, side). Raises OSError as
    `open_picture` does."""

    def scaled(picture):
        picture.thumbnail((side, side))
        return picture

    return _decode(path, Preprocessing(side), None, scaled)


def why_unreadable(path, size):
    """Why `read_picture` refuses a file, in one line that begins with its path."""
    try:
        read_picture(path, size)
    except OSError as error:
        return str(error)
    return f"{path}: not readable at first, but now it is"


def read_pictures(paths, size, shrink=None):
    """(pictures (n, size, size, 3) uint8, readable (n,) bool); an unreadable file gives a black picture and False,
    so that the caller can name, skip and count it."""
    preprocessing = Preprocessing.of(size)
    pictures = np.zeros((len(paths), preprocessing.size, preprocessing.size, 3), np.uint8)
    readable = np.zeros(len(paths), bool)
    for row, path in enumerate(paths):
        try:
            pictures[row] = read_picture(path, preprocessing, shrink)
            readable[row] = True
        except OSError:
            continue
    return pictures, readable


def ahead(work, tasks):
    """Yield work(task) of each task in order, computed by a thread per core a few tasks ahead of the consumer.

    The exception of a task is raised in its turn. Once the generator is closed, no further task is begun and no
    thread is left.
    """
    threads, tasks = cores(), iter(tasks)
    pool = ThreadPoolExecutor(threads)
    try:
        waiting = deque(pool.submit(work, task) for task in itertools.islice(tasks, threads + 1))
        while waiting:
            done = waiting.popleft().result()
            waiting.extend(pool.submit(work, task) for task in itertools.islice(tasks, 1))
            yield done
    finally:
        pool.shutdown(cancel_futures=True)


def _decode(source, preprocessing, shrink, *steps):
    """The picture in RGB after `steps` (functions of it), all within the budget; whatever fails is an OSError."""
    try:
        held = max(SMALL, _source_bytes(source))  # opening reads what is stored beside the pixels
        for _ in range(2):
            with MEMORY.hold(held):
                result, need = _decode_within(held, source, preprocessing, shrink, steps)
            if need <= held:
                return result
            held = need
        cause = "changed while it was read"
    except Exception as error:  # of damaged files Pillow's decoders raise whatever they run into
        cause = _cause(error)
    raise OSError(_fault(source, cause))  # unchained: a traceback would keep the pixels in memory


def _cause(error):
    return error.strerror if isinstance(error, OSError) and error.strerror else first_line(error)


def _fault(source, cause):
    name = "picture" if isinstance(source, (bytes, io.BufferedReader)) else source
    return " ".join(f"{name}: {cause}".splitlines())


def _source_bytes(source):
    """Size of a picture file or of bytes. Raises OSError for what is no regular file."""
    if isinstance(source, bytes):
        return len(source)
    status = os.fstat(source.fileno()) if isinstance(source, io.BufferedReader) else os.stat(source)
    if not stat.S_ISREG(status.st_mode):  # to open a pipe would wait for its writer
        raise OSError("a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file")
    return status.st_size


def _opened(source):
    if isinstance(source, io.BufferedReader):  # it stays open
        source.seek(0)
        return nullcontext(source)
    return io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb")


def _length(file):
    """Bytes of an open file, whose position stays."""
    place = file.tell()
    length = file.seek(0, os.SEEK_END)
    file.seek(place)
    return length


def _decode_within(held, source, preprocessing, shrink, steps):
    """(the picture after `steps`, bytes needed), or (None, bytes needed) if they are more than `held`."""
    short, side = (preprocessing.short_side,) * 2, max(preprocessing.size, shrink or 0)
    with _opened(source) as file:
        picture = _open(file)
        stored, kind = picture.size, picture.format
        if not shrink:
            picture.draft("RGB", short)  # JPEG: skip detail that scaling would drop
        beside = _length(file) + _decoder_bytes(picture, file, stored)
        need = beside + _picture_bytes(picture, side)
        if need > held:
            return None, need
        picture.load()
        if beside + _picture_bytes(picture, side) > held:  # a PNG may announce transparency behind its pixels
            raise OSError("of another kind than its header says")
        picture = upright(picture)
        if shrink:
            picture = _stored_small(picture, shrink, kind)
            picture.draft("RGB", short)
        picture = _to_rgb(picture)
        for step in steps:
            picture = step(picture)
        return picture, need


_OPENERS = (
    (JpegImagePlugin.JpegImageFile, (b"\xff\xd8\xff",)),
    (PngImagePlugin.PngImageFile, (b"\x89PNG\r\n\x1a\n",)),
    (BmpImagePlugin.BmpImageFile, (b"BM",)),
    (GifImagePlugin.GifImageFile, (b"GIF87a", b"GIF89a")),
    (WebPImagePlugin.WebPImageFile, (b"RIFF",)),
    (TiffImagePlugin.TiffImageFile, (b"II*\0", b"II\0*", b"MM\0*", b"MM*\0", b"II+\0", b"MM\0+")),
)


def _open(file):
    """A PIL image whose pixels are not decoded yet.

    `PIL.Image.open` would also try what other packages have registered, would take a JPEG with several frames for
    another format, and would judge a picture by the pixels that are stored, not by those that are decoded of it.
    """
    start = file.read(16)
    file.seek(0)
    for opener, signatures in _OPENERS:
        if start.startswith(signatures):
            if opener is TiffImagePlugin.TiffImageFile:
                _check_tiff_tags(file)
            return opener(file)
    raise OSError("empty" if not start else "neither JPEG, PNG, BMP, GIF, WebP nor TIFF")


_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}  # of a pixel in memory; others have 4
_ALPHA = ("RGBA", "LA", "PA", "La", "RGBa")


def _picture_bytes(picture, side):
    """Memory that the pixels take, and what is held beside them: while they are turned or become RGB, or while they
    are scaled to (side, side), first across, then down."""
    pixels, stored = picture.width * picture.height, _BYTES.get(picture.mode, 4)
    if _is_deep(picture):
        beside = 13  # float64, 8-bit, RGB
    elif _is_transparent(picture):
        beside = 8 if picture.mode == "RGBA" else 12  # RGBA, white, and both combined
    else:
        beside = stored if picture.mode == "RGB" else 4
    scaling = 4 * side * max(picture.size) + 10 * side * side
    return max(pixels * (stored + max(stored, beside)), 4 * pixels + scaling)


def _is_deep(picture):
    return picture.mode.startswith("I;16") or picture.mode in ("I", "F")


def _is_transparent(picture):
    return picture.mode in _ALPHA or "transparency" in picture.info


def _decoder_bytes(picture, file, stored):
    """Memory that the decoder takes apart from the pixels it gives; `stored` is (width, height) in the file."""
    pixels = picture.width * picture.height
    if picture.format == "JPEG":
        most = 2 * 4 * (stored[0] + 31) * (stored[1] + 31)  # of coefficients: four components in blocks of 32 × 32
        return most if most < SMALL / 2 else _coefficient_bytes(file)
    if picture.format == "WEBP":  # two canvases, the pixels of a lossless frame, a copy of the canvas; the file
        return 16 * pixels + _length(file)
    if picture.format == "TIFF":
        return _segment_bytes(picture)
    return 2 * pixels if picture.format == "BMP" else 0  # run-length coded: decoded to bytes, which are copied


def _coefficient_bytes(file):
    """Memory for the coefficients of a JPEG, 2 bytes for each sample of the stored picture, whatever is decoded of it.

    None are kept if the first scan holds all components and is not progressive. The markers are found as libjpeg
    finds them, from the start of the file.
    """
    place = file.tell()
    file.seek(2)
    samples = components = 0
    streams = False
    while (marker := _next_marker(file)) is not None:
        if marker in range(0xD0, 0xD9) or marker == 0x01:  # these stand alone
            continue
        length = int.from_bytes(file.read(2), "big") - 2
        if marker == 0xDA:
            streams = streams and file.read(1) == bytes([components])
            break
        body = file.read(max(length, 0)) if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) else b""
        if not body:
            file.seek(max(length, 0), os.SEEK_CUR)
        elif len(body) >= 6 and len(body) >= 6 + 3 * body[5]:
            streams = marker in (0xC0, 0xC1, 0xC9)  # baseline, extended, arithmetic; not progressive or lossless
            height, width, components = struct.unpack(">HHB", body[1:6])
            samples = _samples(width, height, body[6 : 6 + 3 * components])
    file.seek(place)
    return 0 if streams else 2 * samples


def _next_marker(file):
    """The code of the next marker, None at the end of the file."""
    while byte := file.read(1):
        if byte == b"\xff":
            while (byte := file.read(1)) == b"\xff":
                pass
            if byte and byte != b"\0":
                return byte[0]
    return None


def _samples(width, height, components):
    """Samples of all components, in whole blocks of 8 × 8; a component has 3 bytes, the second its sampling factors."""
    factors = [(max(both >> 4, 1), max(both & 15, 1)) for both in components[1::3]]
    across, down = max(h for h, _ in factors), max(v for _, v in factors)
    units = math.ceil(width / (8 * across)) * math.ceil(height / (8 * down))
    return 64 * units * sum(h * v for h, v in factors)


_TIFF_CODECS = {
    "raw", "tiff_ccitt", "group3", "group4", "tiff_lzw", "jpeg", "tiff_adobe_deflate", "tiff_deflate", "packbits",
    "lzma", "zstd", "webp",
}  # fmt: skip
_STRIP_OFFSETS, _ROWS_PER_STRIP, _TILE_WIDTH, _TILE_LENGTH, _BITS, _SAMPLES = 273, 278, 322, 323, 258, 277
_BYTES_OR_TEXT = (1, 2, 7)  # types of tags that Pillow keeps as they are stored
_MOST_NUMBERS = 2**20  # in a tag: strips or tiles, for the most part; Pillow makes objects of each


def _segment_bytes(picture):
    """Memory for one strip or tile of a TIFF, the largest that its tags announce. Raises OSError for a compression
    that no drawing program writes."""
    codec = picture.info.get("compression")
    if codec not in _TIFF_CODECS:
        raise OSError(f"a TIFF compressed by {codec}")
    if codec == "raw":
        return 0
    tags, pixels = picture.tag_v2, picture.width * picture.height
    rows = _largest(tags.get(_ROWS_PER_STRIP, 0)) or pixels
    strip = min(rows * max(picture.size), pixels) if _STRIP_OFFSETS in tags else 0  # it may lie on its side
    tile = _largest(tags.get(_TILE_WIDTH, 0)) * _largest(tags.get(_TILE_LENGTH, 0))
    bits = _largest(tags.get(_BITS, 1)) * _largest(tags.get(_SAMPLES, 1))
    return max(strip, tile) * max(4, math.ceil(bits / 8))  # libtiff may decode to RGBA


def _largest(value):
    return int(max(value, default=0) if isinstance(value, tuple) else value)


def _check_tiff_tags(file):
    """Raise OSError if the first directory of a TIFF is missing or has absurdly many numbers in one tag."""
    header = file.read(16)
    order, big, length = "<" if header.startswith(b"II") else ">", header[2] == 43, _length(file)
    try:
        (place,) = struct.unpack_from(order + ("Q" if big else "L"), header, 8 if big else 4)
        file.seek(place)
        (entries,) = struct.unpack(order + ("Q" if big else "H"), file.read(8 if big else 2))
        for _ in range(entries):
            tag, kind, count = struct.unpack(order + ("HHQ8x" if big else "HHL4x"), file.read(20 if big else 12))
            if _MOST_NUMBERS < count <= length and kind not in _BYTES_OR_TEXT:  # Pillow skips what has no room
                raise OSError(f"{count:,} numbers in TIFF tag {tag}, more than {_MOST_NUMBERS:,}")
    except (struct.error, ValueError, OverflowError):
        raise OSError("a TIFF whose first directory is damaged or missing") from None
    file.seek(0)


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright(picture):
    """The picture turned as its EXIF orientation says. (`ImageOps.exif_transpose` also encodes the EXIF data anew.)"""
    turn = _TURNS.get(picture.getexif().get(ExifTags.Base.Orientation))
    if turn is None:
        return picture
    turned = picture.transpose(turn)
    picture.close()  # its pixels are not needed in memory beside the turned ones
    return turned


def _stored_small(picture, side, kind):
    """The picture as if stored anew with (side, side) pixels, the way the slice of Sketchy was made (data/README.md):
    triangle filter, JPEG stays JPEG with quality 75, which costs the frozen features of photos some mAP."""
    small = _to_rgb(picture).resize((side, side), Image.Resampling.BILINEAR)
    if kind != "JPEG":
        return small
    file = io.BytesIO()
    small.save(file, format="JPEG", quality=75)
    file.seek(0)
    return JpegImagePlugin.JpegImageFile(file)


def _to_rgb(picture):
    if _is_deep(picture):
        grey = np.asarray(picture, dtype=np.float64)
        grey *= 255 / max(grey.max(), 65535 if picture.mode.startswith("I") else 1)
        return Image.fromarray(grey.clip(0, 255, out=grey).astype(np.uint8)).convert("RGB")
    if _is_transparent(picture):
        picture = picture if picture.mode == "RGBA" else picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture if picture.mode == "RGB" else picture.convert("RGB")
