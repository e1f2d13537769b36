"""Folders as users have them: thumbnails, links, names of any bytes, folders that cannot be read."""

import os
import sys

import pytest
from helpers.project import posix
from helpers.unlisted import refuse_to_list

from zscmr.datasets import listing
from zscmr.datasets.listing import Scan, is_skipped, walk


def plant(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return root


def listed(root, **more):
    """(names relative to the root, sorted; the scan)."""
    scan = Scan(root, **more)
    return sorted(os.path.relpath(file.path, scan.root) for file in walk(scan)), scan


def test_pictures_are_listed_by_suffix_with_size_and_time(tmp_path):
    plant(tmp_path, "a.JPG", "b/c.png", "b/notes.txt", "b/.hidden.png", ".cache/d.png", "e.jfif", "f")
    (file, *_) = walk(scan := Scan(tmp_path))
    status = os.stat(file.path)
    assert (file.size, file.modified) == (status.st_size, status.st_mtime_ns)
    assert listed(tmp_path)[0] == ["a.JPG", "b/c.png", "e.jfif"] and not scan.kinds


@pytest.mark.parametrize(
    "name",
    [
        *("@eaDir", "#recycle", "#snapshot", "@Recycle", "$RECYCLE.BIN", "$Recycle.Bin", "System Volume Information"),
        *("__MACOSX", "lost+found", ".thumbnails", ".Trash-1000", ".Trashes", ".AppleDouble", ".git", ".@__thumb"),
        *("Holiday Previews.lrdata", "appdata_oc1a2b3c4d5e", "files_trashbin"),
    ],
)
def test_folders_of_thumbnails_and_deleted_files_are_left_out(tmp_path, name, capsys):
    plant(tmp_path, "2024/a.jpg", f"2024/{name}/b.jpg", f"{name}/2019/c.jpg")
    names, scan = listed(tmp_path)
    assert names == ["2024/a.jpg"]
    scan.report()
    assert ("2 folders of thumbnails" in capsys.readouterr().out) == (not name.startswith("."))


def test_names_that_users_give_folders_are_read(tmp_path):
    names = ["Trash/a.jpg", "previews/a.jpg", "recycled/a.jpg", "resources/a.jpg", "thumbs/a.jpg"]
    assert listed(plant(tmp_path, *names))[0] == names


def test_of_a_photo_library_the_originals_are_read(tmp_path):
    library = "Photos.photoslibrary"
    plant(
        tmp_path, f"{library}/originals/0/a.jpg", f"{library}/resources/derivatives/a.jpg", f"{library}/database/b.jpg"
    )
    assert listed(tmp_path)[0] == [f"{library}/originals/0/a.jpg"]
    assert not is_skipped("holiday", "resources")


def test_what_cannot_be_read_is_counted_by_kind(tmp_path, capsys):
    plant(tmp_path, "a.jpg", "b.CR2", "c.nef", "d/e.psd", "f.MOV", "g.mp4", "h.txt")
    names, scan = listed(tmp_path)
    scan.report()
    assert names == ["a.jpg"] and scan.left_out() == "2 RAW, 2 videos, 1 Photoshop"
    assert capsys.readouterr().out == f"{tmp_path}: left out, because they cannot be read: {scan.left_out()}\n"


@posix
def test_links_out_of_the_folder_are_skipped_unless_followed(tmp_path, capsys):
    album = plant(tmp_path / "album", "x.jpg", "deep/y.jpg")
    root = plant(tmp_path / "in", "a.jpg", "b/c.jpg")
    os.symlink(album, root / "album")
    os.symlink(album / "x.jpg", root / "x.jpg")
    os.symlink("nowhere.jpg", root / "broken.jpg")
    os.symlink("loop.jpg", root / "loop.jpg")
    os.symlink(root / "a.jpg", root / "inner.jpg")
    names, scan = listed(root, follow_links=False)
    scan.report()
    assert names == ["a.jpg", "b/c.jpg", "inner.jpg"] and len(scan.links) == 4
    assert (
        "4 links that lead out of it or nowhere (--follow-links takes the former), skipped" in capsys.readouterr().err
    )
    names, scan = listed(root)
    assert (
        names == ["a.jpg", "album/deep/y.jpg", "album/x.jpg", "b/c.jpg", "inner.jpg", "x.jpg"] and len(scan.links) == 2
    )


@posix
def test_each_folder_is_listed_once_and_loops_end(tmp_path):
    root = plant(tmp_path / "in", "b/c.jpg")
    for number, target in enumerate((root, root / "b", tmp_path, "..")):
        os.symlink(target, root / "b" / f"loop{number}")
        os.symlink(target, root / f"a{number}")  # before the folder itself in the alphabet
    assert listed(root)[0] == ["b/c.jpg"]


@posix
def test_names_that_are_not_utf_8_are_skipped_and_counted(tmp_path, capsys):
    plant(tmp_path, "a.jpg")
    root = os.fsencode(tmp_path)
    for name in (b"caf\xe9.jpg", b"\xff.png", b"note\xe9.txt"):
        open(os.path.join(root, name), "w").close()
    os.mkdir(os.path.join(root, b"t\xfcr"))
    names, scan = listed(tmp_path)
    scan.report()
    assert names == ["a.jpg"]
    assert capsys.readouterr().err.splitlines() == [
        f"warning: {tmp_path}: 2 files: the name is not UTF-8, skipped",
        f"warning: {tmp_path}: 1 file: the name of a folder is not UTF-8, skipped",
    ]


@posix
def test_a_folder_that_cannot_be_entered_is_named_and_the_rest_goes_on(tmp_path, capsys, monkeypatch):
    """Permissions do not bind root, so that the system call refuses."""
    plant(tmp_path, "a/1.jpg", "b/2.jpg", "c/3.jpg")
    refuse_to_list(monkeypatch, "/b")
    names, scan = listed(tmp_path)
    scan.report()
    assert names == ["a/1.jpg", "c/3.jpg"] and scan.unlisted == {f"{tmp_path}/b": "Permission denied"}
    assert capsys.readouterr().err == f"warning: {tmp_path}/b: Permission denied, skipped\n"


@posix
def test_files_that_vanish_while_they_are_listed_are_counted(tmp_path, capsys):
    plant(tmp_path, *[f"{number}.jpg" for number in range(6)])

    class Syncing(Scan):
        def _sort(self, folder, entry, *found):
            if entry.name in ("2.jpg", "4.jpg"):
                os.unlink(entry.path)
            super()._sort(folder, entry, *found)

    scan = Syncing(tmp_path)
    assert len(list(walk(scan))) == 4
    scan.report()
    assert capsys.readouterr().err == f"warning: {tmp_path}: 2 files: vanished while being listed, skipped\n"


@pytest.mark.skipif(sys.platform != "linux", reason="PATH_MAX of Linux")
def test_a_tree_deeper_than_a_path_may_be_long_is_cut_where_it_gets_too_long(tmp_path, capsys):
    plant(tmp_path, "a.jpg", "z/b.jpg")
    before = os.getcwd()
    try:
        os.chdir(tmp_path)
        for _ in range(25):
            os.mkdir("d" * 200)
            os.chdir("d" * 200)
    finally:
        os.chdir(before)
    names, scan = listed(tmp_path)
    scan.report()
    error = capsys.readouterr().err
    assert names == ["a.jpg", "z/b.jpg"]
    assert error.count("\n") == 1 and "name too long, skipped" in error and len(error) < 300


@posix
def test_what_is_no_regular_file_is_not_waited_for(tmp_path, capsys):
    plant(tmp_path, "a.jpg")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    plant(tmp_path, "folder.jpg/b.jpg")
    names, scan = listed(tmp_path)
    scan.report()
    assert names == ["a.jpg", "folder.jpg/b.jpg"]
    assert "1 file: not a regular file, skipped" in capsys.readouterr().err


def test_pictures_in_a_folder_are_sorted(tmp_path):
    plant(tmp_path, "b.jpg", "a/z.jpg", "a.jpg")
    assert [str(path.relative_to(tmp_path)) for path in listing.pictures_in(tmp_path)] == ["a.jpg", "a/z.jpg", "b.jpg"]


def test_paths_are_shown_on_one_line_of_bounded_length(tmp_path):
    name = os.fsdecode(b"caf\xe9\n\x1b[31m.jpg")
    assert listing.shown(name).isprintable() and listing.shown("é日本.jpg") == "é日本.jpg"
    long = listing.shown(tmp_path / ("d" * 500) / "last.jpg")
    assert len(long) < 200 and long.startswith(str(tmp_path)) and long.endswith("last.jpg")
