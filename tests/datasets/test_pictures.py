"""Pictures of all formats give Pillow's pixels, damaged and oversized ones one line; memory stays within the budget."""

import io
import os
import struct
import subprocess
import sys
import threading
import warnings
import zlib
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from helpers import pictures_fuzz
from helpers.pictures_fuzz import noise
from PIL import ExifTags, Image, ImageOps

from zscmr.datasets import pictures

ROOT = Path(__file__).resolve().parents[2]
LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/status")
ORIENTATION = 0x0112


def reference(path, size, shrink=None):
    """The pixels by Pillow's own functions, one after the other, whatever memory they take."""
    with Image.open(path) as picture:
        if shrink:
            small = rgb(ImageOps.exif_transpose(picture)).resize((shrink, shrink), Image.Resampling.BILINEAR)
            file = io.BytesIO()
            small.save(file, **({"format": "JPEG", "quality": 75} if picture.format == "JPEG" else {"format": "PPM"}))
            picture = Image.open(file)
        picture.draft("RGB", (size, size))
        return np.asarray(rgb(ImageOps.exif_transpose(picture)).resize((size, size), Image.Resampling.BILINEAR))


def rgb(picture):
    if picture.mode in ("I;16", "I;16B", "I"):
        return Image.fromarray((np.asarray(picture) / 257).astype(np.uint8)).convert("RGB")
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return picture.convert("RGB")


@pytest.mark.parametrize("shrink", [None, 12])
@pytest.mark.parametrize("kind", sorted(set(pictures_fuzz.KINDS) - {"tiff-lab", "tiff-float", "heic"}))
def test_pixels_are_those_of_pillow(tmp_path, kind, shrink):
    path = tmp_path / "picture"
    path.write_bytes(pictures_fuzz.valid(kind))
    for size in (3, 8, 40):
        expected = reference(path, size, shrink)
        for source in (path, path.read_bytes()):
            np.testing.assert_array_equal(pictures.read_picture(source, size, shrink), expected)


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(tmp_path, suffix, orientation):
    exif, path = Image.Exif(), tmp_path / f"picture.{suffix}"
    exif[ORIENTATION] = orientation
    picture = noise(30, 20)
    picture.paste("red", (0, 0, 15, 10))
    picture.save(path, exif=exif)
    read = pictures.open_picture(path, 20)
    assert read.size == ((20, 30) if orientation > 4 else (30, 20))
    for shrink in (None, 16):
        np.testing.assert_array_equal(pictures.read_picture(path, 8, shrink), reference(path, 8, shrink))


def test_read_pictures_leaves_unreadable_ones_black(tmp_path):
    noise(20, 20).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no picture")
    noticed = []
    images, readable = pictures.read_pictures(
        [tmp_path / "a.png", tmp_path / "b.png"], 8, notice=lambda path, image: noticed.append((path.name, image.size))
    )
    assert images.shape == (2, 8, 8, 3) and images.dtype == np.uint8
    assert readable.tolist() == [True, False] and not images[1].any() and images[0].any()
    assert noticed == [("a.png", (20, 20))]


def with_size(jpeg, width, height):
    """The bytes of a JPEG with another size in its frame header: marker, length, precision, height, width."""
    place = max(jpeg.find(b"\xff\xc0"), jpeg.find(b"\xff\xc2"))
    return jpeg[: place + 5] + struct.pack(">HH", height, width) + jpeg[place + 9 :]


def test_progressive_jpeg_of_the_largest_size_is_refused(tmp_path):
    """65,500 × 65,500 pixels of 3 coefficients of 2 bytes, 25.7 GB, and what is decoded."""
    (tmp_path / "a.jpg").write_bytes(with_size(pictures_fuzz.valid("progressive"), 65_500, 65_500))
    with pytest.raises(OSError, match=r"needs 26,3[\d,]+ bytes of memory to decode, more than 2,147,483,648"):
        pictures.read_picture(tmp_path / "a.jpg", 8)


LARGE = {  # what is stored in a large picture, and how
    "rgb.png": ("RGB", {}),
    "rgba.png": ("RGBA", {}),
    "grey.png": ("L", {}),
    "palette.png": ("P", {"transparency": bytes(range(256))}),
    "deep.png": ("I;16", {}),
    "baseline.jpg": ("RGB", {}),
    "progressive.jpg": ("RGB", {"progressive": True, "subsampling": 0}),
    "lossless.webp": ("RGBA", {"lossless": True, "method": 0}),
    "strip.tif": ("RGB", {"compression": "tiff_lzw", "tiffinfo": {278: 2000}}),
    "plain.bmp": ("RGB", {}),
    "palette.gif": ("P", {}),
}
MEASURE = """
import sys
sys.path.insert(0, sys.argv[1])
from zscmr.datasets import pictures

def peak():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))

class Noted(pictures.Budget):
    most = 0
    def hold(self, amount):
        self.most = max(self.most, amount)
        return super().hold(amount)

pictures.read_picture(sys.argv[2], 8)
pictures.MEMORY, before = Noted(pictures.BUDGET), peak()
pictures.read_picture(sys.argv[3], 1500)
print(peak() - before, pictures.MEMORY.most)
"""


@LINUX
@pytest.mark.parametrize("name", LARGE)
def test_reserved_memory_covers_what_decoding_takes(tmp_path, name):
    """2000 × 2000 pixels in a fresh process. (`ru_maxrss` of a child begins with its parent's; VmHWM does not.)"""
    mode, options = LARGE[name]
    ramp = np.add.outer(np.arange(2000), np.arange(2000))
    picture = Image.fromarray(ramp.astype(np.uint16 if mode == "I;16" else np.uint8))
    (picture if mode == "I;16" else picture.convert(mode)).save(tmp_path / name, **options)
    small = tmp_path / f"small{Path(name).suffix}"
    noise(20, 20).save(small)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, ROOT, small, tmp_path / name], capture_output=True, text=True, check=True
    )
    taken, reserved = map(int, done.stdout.split())
    assert taken <= reserved + 2**21  # the allocator rounds
    assert taken > reserved / 8  # no picture is refused for memory that it would not take


THREADS = """
import sys, threading
sys.path.insert(0, sys.argv[1])
from zscmr.datasets import pictures

def peak():
    return next(int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM"))

pictures.read_picture(sys.argv[2], 8)
pictures.MEMORY, before = pictures.Budget(int(sys.argv[3])), peak()
threads = [threading.Thread(target=pictures.read_picture, args=(sys.argv[2], 8)) for _ in range(6)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(peak() - before)
"""


@pytest.mark.slow
@LINUX
def test_threads_share_one_budget(tmp_path):
    """Each of six threads needs 9 M pixels of 12 bytes, 108 MB. One such picture has been decoded before, so that with
    room for one at a time the peak hardly grows; without a budget it grows by what the threads overlap, 470 MB on two
    cores. (Blocks this large the C library gives back when they are freed.)"""
    noise(3000, 3000, "L").convert("RGBA").save(tmp_path / "a.png", compress_level=1)
    need = 12 * 3000**2 + (tmp_path / "a.png").stat().st_size
    command = [sys.executable, "-c", THREADS, ROOT, tmp_path / "a.png"]
    done = subprocess.run([*command, str(need)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 50e6


def test_budget_is_never_exceeded_and_all_come_through():
    budget, used, most, done, lock = pictures.Budget(10), [0], [0], [], threading.Lock()

    def work(amount):
        for _ in range(50):
            with budget.hold(amount):
                with lock:
                    used[0] += amount
                    most[0] = max(most[0], used[0])
                with lock:
                    used[0] -= amount
        done.append(amount)

    threads = [threading.Thread(target=work, args=(amount,)) for amount in (1, 2, 3, 5, 7, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(done) == [1, 2, 3, 5, 7, 10] and most[0] <= 10
    with budget.hold(10):  # all of it came back
        pass
    with pytest.raises(OSError, match="needs 11 bytes of memory to decode, more than 10"), budget.hold(11):
        pass


def test_budget_returns_what_a_failure_held(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MEMORY", pictures.Budget(pictures.SMALL))
    (tmp_path / "a.png").write_bytes(pictures_fuzz.valid("png")[:-30])
    for _ in range(3):
        with pytest.raises(OSError):
            pictures.read_picture(tmp_path / "a.png", 8)
    with pictures.MEMORY.hold(pictures.SMALL):
        pass


def test_large_pictures_by_what_is_decoded_of_them(tmp_path, monkeypatch):
    """600 × 400 RGB: 1.92 MB as PNG; as JPEG 631 · 431 · 6 = 1.63 MB and 1/64 of that."""
    monkeypatch.setattr(pictures, "SMALL", 2**17)
    monkeypatch.setattr(pictures, "MEMORY", pictures.Budget(1_800_000))
    for name in ("a.png", "a.jpg"):
        Image.new("RGB", (600, 400), "red").save(tmp_path / name)
    Image.new("L", (600, 400)).save(tmp_path / "grey.png")
    assert pictures.read_picture(tmp_path / "a.jpg", 8).shape == (8, 8, 3)
    assert pictures.read_picture(tmp_path / "grey.png", 8).shape == (8, 8, 3)
    with pytest.raises(OSError, match=r"a\.png: needs 1,92\d,\d\d\d bytes of memory to decode, more than 1,800,000"):
        pictures.read_picture(tmp_path / "a.png", 8)
    with pytest.raises(OSError, match="needs"):  # stored at 300 pixels, all of it is decoded
        pictures.read_picture(tmp_path / "a.jpg", 8, shrink=300)


def test_pillows_own_limit_neither_counts_nor_changes(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for name in ("a.png", "a.jpg", "a.bmp", "a.gif"):
        Image.new("RGB", (60, 40), "red").save(tmp_path / name)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert pictures.read_picture(tmp_path / name, 8).shape == (8, 8, 3)
    assert Image.MAX_IMAGE_PIXELS == 100


def png(*chunks):
    """A PNG of the chunks (name, data)."""
    file = b"\x89PNG\r\n\x1a\n"
    for name, data in chunks:
        file += struct.pack(">L", len(data)) + name + data + struct.pack(">L", zlib.crc32(name + data))
    return file


HEADER = (b"IHDR", struct.pack(">LLBBBBB", 4, 4, 8, 0, 0, 0, 0))
PIXELS, END = (b"IDAT", zlib.compress(bytes(20))), (b"IEND", b"")
BOMBS = {
    "pixels.png": (png((b"IHDR", struct.pack(">LLBBBBB", 2**31 - 1, 2**31 - 1, 8, 6, 0, 0, 0)), PIXELS, END), "needs"),
    # one tile of 65,535 × 65,535 around 4 × 4 pixels, which 4 MB of zeros compressed by deflate would fill
    "tile.tif": (pictures_fuzz.tiff({259: 8, 322: 65535, 323: 65535, 324: 8, 325: 64}, bytes(64)), "needs 34,35"),
    "offsets.tif": (pictures_fuzz.tiff({273: (4, 2**20 + 1, 8), 279: 16}, bytes(2**22 + 4)), "."),
    "a.bmp": (b"BM" + struct.pack("<LLLLLLHHLLLLLL", 99, 0, 54, 40, 60000, 60000, 1, 24, 0, 9, 0, 0, 0, 0), "needs"),
    "a.gif": (b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0) + bytes(6)
              + b"," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\2\2\x44\1\0;", "needs"),
    "a.webp": (b"RIFF" + struct.pack("<L", 40) + b"WEBPVP8L" + struct.pack("<LBL", 20, 0x2F, 2**28 - 1) + bytes(20),
               "Image size"),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_before_they_go_off(tmp_path, name):
    data, reason = BOMBS[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(OSError, match=reason):
        pictures.read_picture(tmp_path / name, 8)
    assert pictures.MEMORY.free == pictures.BUDGET


@pytest.mark.parametrize("kind", pictures_fuzz.KINDS)
def test_pictures_that_end_early_are_refused_in_one_line(tmp_path, kind):
    data = pictures_fuzz.valid(kind)
    for share in (0, 0.02, 0.2, 0.5, 0.8):
        path = tmp_path / "cut"
        path.write_bytes(data[: int(share * len(data))])
        if kind == "animation" and share >= 0.5:  # the first frame is there
            assert pictures.read_picture(path, 8).any()
            continue
        with pytest.raises(OSError) as caught:
            pictures.read_picture(path, 8)
        assert str(caught.value).startswith(f"{path}: ") and len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("a.png", lambda path: None, "No such file or directory"),
        ("a.png", lambda path: path.write_bytes(b""), "empty"),
        ("a.png", lambda path: path.mkdir(), "a folder"),
        ("a.png", lambda path: path.write_text("<svg/>"), "neither JPEG, PNG, BMP, GIF, WebP, TIFF, AVIF nor HEIC"),
        ("a\nb.png", lambda path: path.write_text("<svg/>"), "neither JPEG, PNG, BMP, GIF, WebP, TIFF, AVIF nor HEIC"),
        ("a\0.png", lambda path: None, "null"),
    ],
)
def test_why_unreadable_names_path_and_cause(tmp_path, name, make, reason):
    make(tmp_path / name)
    message = pictures.why_unreadable(tmp_path / name, 8)
    assert message.startswith(f"{tmp_path}/a") and reason in message and len(message.splitlines()) == 1
    assert message.count(str(tmp_path)) == 1


def test_why_unreadable_of_a_picture(tmp_path):
    noise(9, 9).save(tmp_path / "a.png")
    assert (
        pictures.why_unreadable(tmp_path / "a.png", 8) == f"{tmp_path / 'a.png'}: not readable at first, but now it is"
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX")
def test_a_pipe_is_refused_without_waiting_for_its_writer(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(OSError, match="not a regular file"):
        pictures.read_picture(tmp_path / "a.png", 8)


@pytest.mark.parametrize("error", [struct.error, OverflowError, zlib.error, IndexError, TypeError, KeyError, EOFError])
def test_whatever_pillow_raises_is_an_oserror(tmp_path, monkeypatch, error):
    def fail(picture):
        raise error("first\nsecond")

    noise(9, 9).save(tmp_path / "a.png")
    monkeypatch.setattr(pictures, "upright", fail)
    with pytest.raises(OSError, match=r"a\.png: '?first") as caught:
        pictures.read_picture(tmp_path / "a.png", 8)
    assert caught.value.__context__ is None  # no traceback keeps the pixels


@pytest.mark.slow
def test_damaged_pictures_neither_crash_nor_raise_anything_else():
    """3,300 of them, in a process of its own with 4 GB of addresses."""
    pytest.importorskip("resource")
    done = subprocess.run(
        [sys.executable, ROOT / "tests/helpers/pictures_fuzz.py", "150"], capture_output=True, text=True
    )
    assert done.returncode == 0, f"status {done.returncode}: {done.stderr[-2000:]}"
    read, refused = (int(part.split()[0]) for part in done.stdout.split(", ")[:2])
    assert read + refused == 150 * len(pictures_fuzz.KINDS) and min(read, refused) > 300


def test_mutants_are_the_same_at_each_call():
    assert list(pictures_fuzz.mutants("gif", 20)) == list(pictures_fuzz.mutants("gif", 20))
    assert len(set(pictures_fuzz.mutants("gif", 20))) > 15


def test_ahead_keeps_the_order_and_looks_a_few_tasks_ahead(monkeypatch):
    monkeypatch.setattr(pictures, "cores", lambda: 2)
    drawn = []

    def tasks():
        for task in range(100):
            drawn.append(task)
            yield task

    for place, (done, number) in enumerate(
        zip(pictures.ahead(lambda task: task * 10, tasks()), range(100), strict=True)
    ):
        assert done == 10 * number and len(drawn) <= place + 4
    assert list(pictures.ahead(abs, [])) == []


def test_ahead_raises_in_turn_and_leaves_no_thread(monkeypatch):
    monkeypatch.setattr(pictures, "cores", lambda: 2)
    before = threading.active_count()
    results = pictures.ahead(lambda task: 6 // task, [3, 2, 0, 1])
    assert next(results) == 2 and next(results) == 3
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert threading.active_count() == before


def test_ahead_closed_early_cancels_what_has_not_begun(monkeypatch):
    """One thread: as the consumer stops after the first result the second task runs and the third waits."""
    monkeypatch.setattr(pictures, "cores", lambda: 1)
    before, second, release, begun = threading.active_count(), threading.Event(), threading.Event(), []

    def work(task):
        begun.append(task)
        if task == 1:
            second.set()
            release.wait(60)
        return task

    results = pictures.ahead(work, iter(range(1000)))
    assert next(results) == 0 and second.wait(60)
    timer = threading.Timer(0.3, release.set)  # while close() waits for the second
    timer.start()
    results.close()
    timer.join()
    assert begun == [0, 1] and threading.active_count() == before


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF"])
def test_header_is_read_without_a_pixel(form):
    file = io.BytesIO()
    noise(33, 21).save(file, form)
    content = file.getvalue()
    assert pictures.read_header(content) == (form, (33, 21))
    if form in ("JPEG", "PNG", "BMP"):  # the pixels of others are looked for at once
        assert pictures.read_header(content[:-500]) == (form, (33, 21))
        with pytest.raises(OSError, match=r"^picture: "):
            pictures.read_picture(content[:-500], 8)


def test_header_of_what_is_no_picture(tmp_path):
    for source, why in (
        (b"", "picture: empty"),
        (b"text", "picture: neither JPEG"),
        (tmp_path, f"{tmp_path}: a folder"),
    ):
        with pytest.raises(OSError, match=f"^{why}"):
            pictures.read_header(source)


@pytest.mark.parametrize(("size", "expected"), [((900, 300), (64, 21)), ((30, 900), (2, 64)), ((20, 10), (20, 10))])
def test_thumbnail_fits_and_keeps_its_aspect(tmp_path, size, expected):
    picture = Image.new("RGBA", size, (255, 0, 0, 0))
    picture.save(tmp_path / "picture.png")
    thumbnail = pictures.read_thumbnail(tmp_path / "picture.png", 64)
    assert (thumbnail.size, thumbnail.mode, thumbnail.getpixel((0, 0))) == (expected, "RGB", (255, 255, 255))


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_date_by_the_exif_data(tmp_path, suffix):
    """When it was taken, else when the file was made; None for none and for a damaged one."""
    file = tmp_path / f"1.{suffix}"
    exif = Image.Exif()
    for tag, text, expected in (
        (None, "", None),
        (ExifTags.Base.DateTime, "2023:01:02 03:04:05", datetime(2023, 1, 2, 3, 4, 5)),
        (ExifTags.Base.DateTimeOriginal, "2024:06:30 18:05:00", datetime(2024, 6, 30, 18, 5)),
        (ExifTags.Base.DateTimeOriginal, "0000:00:00 00:00:00", None),
    ):
        if tag == ExifTags.Base.DateTimeOriginal:
            exif.get_ifd(ExifTags.IFD.Exif)[tag] = text
        elif tag:
            exif[tag] = text
        Image.new("RGB", (9, 9)).save(file, exif=exif)
        assert pictures.read_date(file) == expected
    with pytest.raises(OSError, match="neither JPEG"):
        pictures.read_date(b"text")
