"""Picture files -> decoded arrays, by threads that run ahead of the consumer, in bounded memory.

Of several frames the first is read. Memory is reserved before a picture is decoded, by the size that its header gives:
all threads of the process together hold at most `BUDGET` bytes of pictures, and a picture that alone would need more is
refused. The most pixels that fit:

    PNG, GIF                268 million; with transparency 126 to 178 million, 16-bit greys 119 million
    JPEG                    350 million, decoded at 1/2, 1/4 or 1/8 of its side if that is enough
    WebP, TIFF, AVIF, HEIC  80 to 130 million

and the size of the file and what scaling takes. The C library may keep some 32 MB of freed memory for each thread that
has decoded. Pillow itself refuses TIFF and WebP above 2 · PIL.Image.MAX_IMAGE_PIXELS, 179 million pixels.
"""

import io
import itertools
import os
import stat
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from datetime import datetime
from functools import partial

import numpy as np
from PIL import ExifTags, Image, JpegImagePlugin

from zscmr.datasets import cleaning, drawings
from zscmr.datasets.picture_colours import is_deep, is_transparent, to_rgb
from zscmr.datasets.picture_formats import open_header
from zscmr.datasets.preprocessing import Preprocessing
from zscmr.utils.errors import first_line
from zscmr.utils.processes import cores

BUDGET = 2**31  # bytes, of all pictures being decoded at one time
SMALL = 2**25  # bytes, reserved for every picture; one that needs more gives them back and waits for what it needs


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


def read_picture(path, size, shrink=None, notice=None):
    """One picture as (size, size, 3) uint8 RGB; `size` is a side in pixels or a `Preprocessing`.

    `path`, here and below: of a file, or a file open for reading, or the bytes of one. With `shrink` it is seen as if
    it had been stored (shrink, shrink), see `_stored_small`. `notice` is called with the PIL image before it
    is cleaned or scaled. Raises OSError for a file that is no picture, ends early, or is too large.
    """
    preprocessing = Preprocessing.of(size)
    noticed = [partial(_noticed, notice)] if notice else []
    seen = preprocessing.apply if preprocessing.ink is None else partial(_cleaned, preprocessing)
    return _decode(path, preprocessing, shrink, *noticed, seen, np.asarray)


def open_picture(path, size):
    """One picture as a PIL image in RGB, upright, with a short side of at least `size` pixels (or that of a
    `Preprocessing`) if it is stored with as many.

    Transparent parts become white, 16-bit greys are scaled to 8, CMYK and palettes are converted. Raises OSError for
    a file that is no picture, ends early, or is too large. What is returned no longer counts toward the budget.
    """
    return _decode(path, Preprocessing.of(size), None)


def read_header(path):
    """(format, (width, height)) of a picture, "JPEG", "PNG", "BMP", "GIF", "WEBP" or "TIFF"; decodes no pixels.

    Raises OSError for a file that is no picture.
    """
    return _of_header(path, lambda picture: (picture.format, picture.size))


def read_date(path):
    """The `datetime` at which a picture was taken by its EXIF data, or None. Raises OSError for what is no picture."""
    text = _of_header(path, _date_text)
    try:
        return datetime.strptime(str(text).strip("\0 "), "%Y:%m:%d %H:%M:%S")
    except ValueError:
        return None


def _of_header(path, read):
    """`read(picture)` of a picture whose pixels are not decoded. Raises OSError for a file that is no picture."""
    try:
        with MEMORY.hold(max(SMALL, _source_bytes(path))), _opened(path) as file:
            return read(open_header(file))
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


def read_pictures(paths, size, shrink=None, notice=None):
    """(pictures (n, size, size, 3) uint8, readable (n,) bool); an unreadable file gives a black picture and False,
    so that the caller can name, skip and count it. `notice(path, image)` as of `read_picture`."""
    preprocessing = Preprocessing.of(size)
    pictures = np.zeros((len(paths), preprocessing.size, preprocessing.size, 3), np.uint8)
    readable = np.zeros(len(paths), bool)
    for row, path in enumerate(paths):
        try:
            pictures[row] = read_picture(path, preprocessing, shrink, notice and partial(notice, path))
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
    name = source
    try:
        if drawings.is_drawing(source):
            source = drawings.as_png(source)
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
    raise OSError(_fault(name, cause))  # unchained: a traceback would keep the pixels in memory


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


def _decode_within(held, source, preprocessing, shrink, steps):
    """(the picture after `steps`, bytes needed), or (None, bytes needed) if they are more than `held`."""
    short, side = (preprocessing.short_side,) * 2, max(preprocessing.size, shrink or 0)
    with _opened(source) as file:
        picture = open_header(file)
        decoder = _source_bytes(source) * _FILE_BYTES.get(picture.format, 1) + _decoder_bytes(picture)
        drawing = preprocessing.ink is not None
        if picture.format == "JPEG" and not shrink and not drawing:
            picture.draft("RGB", short)  # skip detail that scaling would drop
        kind, need = picture.format, decoder + _picture_bytes(picture, side, drawing)
        if need > held:
            return None, need
        picture.load()
        if decoder + _picture_bytes(picture, side, drawing) > held:  # a PNG may announce transparency behind its pixels
            raise OSError("of another kind than its header says")
        picture = upright(picture)
        if shrink:
            picture = _stored_small(picture, shrink, kind)
            picture.draft("RGB", short)
        if not drawing or is_deep(picture) or picture.mode == "LAB":
            picture = to_rgb(picture)
        for step in steps:
            picture = step(picture)
        return picture, need


_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2, "I;16N": 2}  # of a pixel in memory; others have 4


def _picture_bytes(picture, side, drawing=False):
    """Memory that the pixels take, and what is held with them: while they are turned or become RGB, or while they
    are scaled to (side, side), first across, then down; and while a drawing is cleaned."""
    pixels, stored = picture.width * picture.height, _BYTES.get(picture.mode, 4)
    more = 4
    if is_deep(picture):
        more = 16  # float64, masks, 8-bit, RGB
    elif is_transparent(picture):
        more = 8 if picture.mode == "RGBA" else 13  # RGBA, white, and both combined
    if drawing:
        more += 8  # channels and masks of the whole sheet
    scaling = 4 * side * max(picture.size) + 10 * side * side
    if drawing:
        scaling += cleaning.BYTES * min(pixels, cleaning.WORKING_SIDE**2)
    return max(pixels * (stored + more), 4 * pixels + scaling)


_FILE_BYTES = {"PNG": 2, "JPEG": 2, "WEBP": 2, "AVIF": 20, "HEIF": 2}  # memory for each byte of the file
_PIXEL_BYTES = {"BMP": 2, "WEBP": 16, "AVIF": 16, "HEIF": 16}  # memory of the decoder for each pixel
_TILE_SIDES = 322, 323  # TIFF tags


def _decoder_bytes(picture):
    """Memory that the decoder takes apart from the pixels it gives, before a JPEG is reduced."""
    width, height = picture.size
    if picture.format == "JPEG":  # coefficients of 2 bytes, in blocks of up to 32 × 32: progressive ones keep them all
        return 2 * picture.layers * (width + 31) * (height + 31)
    if picture.format == "TIFF":  # a strip or tile of 16-bit RGBA at most
        across, down = (picture.tag_v2.get(tag, 0) for tag in _TILE_SIDES)
        return 8 * max(width * height, across * down)
    least = BUDGET // 2 if picture.format == "AVIF" else 0  # its stream may hold another size than its header says
    return max(least, _PIXEL_BYTES.get(picture.format, 0) * width * height)


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_EXIF_BYTES = 2**16  # that are looked at for the orientation


def upright(picture):
    """The picture turned as its EXIF orientation says. (`ImageOps.exif_transpose` also encodes the EXIF data anew.)"""
    turn = _TURNS.get(_orientation(picture))
    return picture if turn is None else picture.transpose(turn)


def _exif(picture):
    """EXIF data of a picture, read from its first `_EXIF_BYTES`. Raises whatever Pillow's reader runs into."""
    if picture.info.get("exif"):  # None of a HEIC without
        picture.info["exif"] = picture.info["exif"][:_EXIF_BYTES]
    return picture.getexif()


def _orientation(picture):
    """The EXIF orientation, 1 to 8, or None where it is missing or damaged."""
    try:
        return _exif(picture).get(ExifTags.Base.Orientation)
    except Exception:  # whatever Pillow's reader runs into
        return None


def _date_text(picture):
    """EXIF text of the time a picture was taken, else of the time its file was written; None without both."""
    try:
        exif = _exif(picture)
        taken = exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.DateTimeOriginal)
        return taken or exif.get(ExifTags.Base.DateTime)
    except Exception:  # whatever Pillow's reader runs into
        return None


def _noticed(notice, picture):
    notice(picture)
    return picture


def _cleaned(preprocessing, picture):
    """The square about the strokes of a picture of a drawing."""
    drawing, box = cleaning.clean_drawing(picture)
    return preprocessing.apply_to_drawing(drawing, box)


def _stored_small(picture, side, kind):
    """The picture as if stored anew with (side, side) pixels, the way the slice of Sketchy was made (data/README.md):
    triangle filter, JPEG stays JPEG with quality 75, which costs the frozen features of photos some mAP."""
    small = to_rgb(picture).resize((side, side), Image.Resampling.BILINEAR)
    if kind != "JPEG":
        return small
    file = io.BytesIO()
    small.save(file, format="JPEG", quality=75)
    file.seek(0)
    return JpegImagePlugin.JpegImageFile(file)
