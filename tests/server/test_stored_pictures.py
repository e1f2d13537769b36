"""A picture's file is opened once, checked as it is open, and sent from there."""

import dataclasses
import io
import os
import shutil

import numpy as np
import pytest
from helpers.project import posix
from PIL import Image

pytest.importorskip("starlette", reason="Starlette is not installed: the server is not tested")

from zscmr.retrieval.schema import StoredPicture
from zscmr.retrieval.thumbnails import KeptThumbnails
from zscmr.server.stored_pictures import LARGEST, LARGEST_REMOTE, Thumbnails, open_stored, read_object

pytest_plugins = ("helpers.toy_storage",)

NONE = KeptThumbnails("s3://bucket/gallery")  # keeps none


def row(path, name=None, **changed):
    """The row of a file as it is now."""
    status = os.stat(path)
    one = StoredPicture(
        "0" * 16, "photo", str(path), name or str(path), "cow", True, status.st_size, status.st_mtime_ns, np.zeros(2)
    )
    return dataclasses.replace(one, **changed)


def draw(path, colour, side=20):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), colour).save(path, "JPEG")
    return path


def content(picture):
    with open_stored(picture) as file:
        return file.read()


@pytest.fixture
def photo(tmp_path):
    return draw(tmp_path / "photos/cow/1.jpg", "red")


@pytest.fixture
def secret(tmp_path):
    return draw(tmp_path / "private/secret.jpg", "blue")


def test_a_file_and_a_changed_file(photo):
    picture = row(photo)
    assert content(picture) == photo.read_bytes()
    draw(photo, "green", 30)
    assert content(picture) == photo.read_bytes()


def test_what_has_gone(photo):
    picture = row(photo)
    shutil.rmtree(photo.parents[1])
    for gone in (picture, dataclasses.replace(picture, path="")):
        with pytest.raises(FileNotFoundError):
            open_stored(gone)


@posix
@pytest.mark.parametrize("level", [0, 1, 2])
@pytest.mark.parametrize("state", ["other", "same size and time, link of another user"])
def test_a_link_that_came_later_is_not_followed(photo, secret, level, state, monkeypatch):
    """In place of the file, its folder, or the added folder."""
    picture = row(photo)
    linked, target = [photo, *photo.parents][level], [secret, *secret.parents][min(level, 1)]
    if level == 1:
        secret.rename(secret.with_name(photo.name))
    elif level == 2:
        shutil.copytree(secret.parent, secret.parent / "cow")
        (secret.parent / "cow/secret.jpg").rename(secret.parent / "cow/1.jpg")
    linked.rename(linked.with_name("before"))
    linked.symlink_to(target)
    if state != "other":
        picture = row(photo)
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
        if os.getuid() == 0:
            os.lchown(linked, 4711, 4711)
    with pytest.raises(OSError, match="through a link"):
        open_stored(picture)


@posix
def test_a_link_of_the_user_s_own_leads_to_the_file_that_was_added(photo, secret, tmp_path):
    """A folder that was moved, with a link left behind; not to a file that has changed since."""
    picture = row(photo)
    (tmp_path / "photos").rename(tmp_path / "moved")
    (tmp_path / "photos").symlink_to(tmp_path / "moved")
    assert content(picture) == photo.read_bytes()
    draw(photo, "green", 30)
    with pytest.raises(OSError, match="through a link"):
        open_stored(picture)


@posix
def test_a_run_s_own_picture_lies_in_its_dataset(photo, secret, tmp_path):
    """The dataset's folder may be a link, and links in it may lead to files in it."""
    (tmp_path / "data").symlink_to(tmp_path / "photos")
    own = row(tmp_path / "data/cow/1.jpg", "cow/1.jpg", size=-1, modified=0)
    assert content(own) == photo.read_bytes()
    photo.rename(photo.with_name("object"))
    photo.symlink_to("object")
    assert content(own) == photo.read_bytes()
    photo.unlink()
    photo.symlink_to(secret)
    with pytest.raises(OSError, match="through a link"):
        open_stored(own)
    with pytest.raises(OSError, match="through a link"):
        open_stored(row(f"{tmp_path}/photos/../private/secret.jpg", "../private/secret.jpg", size=-1))


@posix
def test_a_link_that_comes_while_the_file_is_opened_is_not_followed(photo, secret, monkeypatch):
    """After the path was looked at, and at each step of opening it."""
    picture, realpath = row(photo), os.path.realpath

    def swapped(path):
        real = realpath(path)
        photo.unlink()
        photo.symlink_to(secret)
        return real

    monkeypatch.setattr(os.path, "realpath", swapped)
    with pytest.raises(OSError):
        open_stored(picture)


@posix
def test_what_is_sent_is_what_was_opened(photo, secret):
    before = photo.read_bytes()
    with open_stored(row(photo)) as file:
        photo.unlink()
        photo.symlink_to(secret)
        assert file.read() == before


@posix
def test_what_is_no_regular_file_is_refused(photo):
    picture = row(photo)
    photo.unlink()
    os.mkfifo(photo)
    with pytest.raises(OSError, match="not a regular file"):
        open_stored(picture)
    photo.unlink()
    photo.mkdir()
    with pytest.raises(OSError):
        open_stored(picture)


@posix
def test_a_file_that_is_too_large_is_refused(photo):
    with photo.open("r+b") as file:
        file.truncate(LARGEST + 1)  # sparse
    with pytest.raises(OSError, match="larger than"):
        open_stored(row(photo))


def test_no_descriptor_is_left_open(photo, secret):
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no /proc: open descriptors are not counted")
    picture, before = row(photo), len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        content(picture)
    photo.write_text("no picture")
    thumbnails = Thumbnails(2**20, NONE)
    for _ in range(3):
        with pytest.raises(OSError):
            thumbnails.get(picture)
    photo.unlink()
    photo.symlink_to(secret)
    for _ in range(3):
        with pytest.raises(OSError):
            open_stored(picture)
    assert len(os.listdir("/proc/self/fd")) == before


def test_thumbnails_follow_their_file_and_are_bounded(tmp_path):
    files = [draw(tmp_path / f"{number}.jpg", (number, 0, 0), 300) for number in range(5)]
    thumbnails = Thumbnails(3000, NONE)
    made = [thumbnails.get(row(file))[1] for file in files]
    with Image.open(io.BytesIO(made[0])) as thumbnail:
        assert thumbnail.size == (256, 256)
    assert [thumbnails.get(row(file))[1] for file in files] == made
    assert 0 < sum(map(len, thumbnails._cached.values())) <= 3000 and len(thumbnails._cached) < 5
    picture = row(files[4])
    draw(files[4], "blue", 30)
    with Image.open(io.BytesIO(thumbnails.get(picture)[1])) as thumbnail:
        assert thumbnail.size == (30, 30)


def test_a_kept_thumbnail_is_given_without_decoding(photo, tmp_path):
    """Until the file has another time; then a new one is made, and kept in its place."""
    kept, picture = KeptThumbnails(tmp_path / "g"), row(photo)
    kept.write(picture.id, picture.modified, b"\xff\xd8 kept")
    assert Thumbnails(2**20, kept).get(picture)[1] == b"\xff\xd8 kept"
    os.utime(photo, ns=(5, 5))
    made = Thumbnails(2**20, kept).get(picture)[1]
    assert made != b"\xff\xd8 kept" and kept.read(picture.id, 5) == made


def test_a_thumbnail_in_memory_is_not_given_for_a_file_that_may_not_be_read(photo, secret):
    picture, thumbnails = row(photo), Thumbnails(2**20, NONE)
    thumbnails.get(picture)
    photo.unlink()
    photo.symlink_to(secret)
    with pytest.raises(OSError):
        thumbnails.get(picture)


def test_an_object_is_read_up_to_a_size(photo):
    fs = pytest.importorskip("pyarrow.fs", reason="pyarrow is not installed: object storage is not tested")
    system, size = fs.LocalFileSystem(), photo.stat().st_size
    assert read_object(system, str(photo), size) == photo.read_bytes()
    with pytest.raises(OSError, match="larger than"):
        read_object(system, str(photo), size - 1)
    for missing in (photo.parent, photo.with_name("none.jpg")):
        with pytest.raises(FileNotFoundError):
            read_object(system, str(missing))


@pytest.mark.slow
def test_an_object_on_s3_is_read_up_to_a_size(storage, photo):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: object storage is not tested")
    storage.put_object(Bucket="zscmr", Key="cow/1.jpg", Body=photo.read_bytes())
    picture = dataclasses.replace(row(photo), path="s3://zscmr/cow/1.jpg")
    assert content(picture) == photo.read_bytes()
    thumbnails = Thumbnails(2**20, NONE)
    with Image.open(io.BytesIO(thumbnails.get(picture)[1])) as thumbnail:
        assert thumbnail.size == (20, 20)
    storage.put_object(Bucket="zscmr", Key="large.jpg", Body=photo.read_bytes() + bytes(LARGEST_REMOTE))
    with pytest.raises(OSError, match="larger than"):
        thumbnails.get(dataclasses.replace(picture, path="s3://zscmr/large.jpg"))
    with pytest.raises(FileNotFoundError):
        open_stored(dataclasses.replace(picture, path="s3://zscmr/none.jpg"))


def test_an_address_of_a_local_file_is_held_to_the_same(photo, secret):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: object storage is not tested")
    picture = dataclasses.replace(row(photo), path=f"file://{photo}")
    assert content(picture) == photo.read_bytes()
    photo.unlink()
    photo.symlink_to(secret)
    with pytest.raises(OSError, match="through a link"):
        open_stored(picture)


@pytest.mark.parametrize("uri", ["none://x/1.jpg", "s3://", "s3:///x", "file://", "://"])
def test_an_address_that_cannot_be_read(photo, uri):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: object storage is not tested")
    with pytest.raises(OSError):
        open_stored(dataclasses.replace(row(photo), path=uri))
