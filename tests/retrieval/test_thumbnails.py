"""Thumbnails are kept in the gallery's folder as photos are added, and go with their rows."""

import io
import os

import pytest
from helpers.toy_gallery import IDENTITY, ToyEncoder
from PIL import Image

from zscmr.retrieval.schema import picture_id
from zscmr.retrieval.table import Table
from zscmr.retrieval.thumbnails import KeptThumbnails, thumbnail


class Noticing(ToyEncoder):
    def embed(self, paths, step=None, notice=None):
        for path in paths if notice else ():
            notice(path, Image.open(path).convert("RGB"))
        return super().embed(paths, step)


@pytest.mark.parametrize("size, expected", [((1024, 512), (256, 128)), ((3000, 2), (256, 1)), ((30, 20), (30, 20))])
def test_a_thumbnail_fits_and_is_not_enlarged(size, expected):
    with Image.open(io.BytesIO(thumbnail(Image.new("RGB", size, "red")))) as small:
        assert (small.format, small.size) == ("JPEG", expected)


def test_a_thumbnail_belongs_to_a_time_and_is_whole(tmp_path):
    kept, jpeg = KeptThumbnails(tmp_path), thumbnail(Image.new("RGB", (9, 9)))
    assert kept.read("0a", 7) is None
    kept.write("0a", 7, jpeg)
    assert kept.read("0a", 7) == jpeg and kept.read("0a", 8) is None
    [file] = tmp_path.rglob("*.jpg")
    file.write_bytes(bytes(len(jpeg)))
    os.utime(file, ns=(7, 7))
    assert kept.read("0a", 7) is None
    remote = KeptThumbnails("s3://bucket/gallery")
    remote.write("0a", 7, jpeg)
    assert remote.read("0a", 7) is None


def test_an_update_keeps_thumbnails_of_photos_and_deletes_them_with_their_rows(tmp_path):
    table, folder = Table.open(tmp_path / "g", IDENTITY), tmp_path / "in"
    folder.mkdir()
    files = [folder / "1.png", folder / "2.png"]
    for file, colour in zip(files, ("red", "blue"), strict=True):
        Image.new("RGB", (600, 300), colour).save(file)
    table.update("photo", folder, Noticing())
    table.update("sketch", folder, Noticing())
    times, ids = [file.stat().st_mtime_ns for file in files], [picture_id("photo", str(file)) for file in files]
    for one, time in zip(ids, times, strict=True):
        with Image.open(io.BytesIO(table.thumbnails.read(one, time))) as small:
            assert small.size == (256, 128)
    assert len(list(table.thumbnails.folder.rglob("*.*"))) == 2  # none of sketches
    files[0].unlink()
    table.update("photo", folder, Noticing())
    assert table.thumbnails.read(ids[0], times[0]) is None and table.thumbnails.read(ids[1], times[1])
    table.remove(folder)
    assert not list(table.thumbnails.folder.rglob("*.*"))
