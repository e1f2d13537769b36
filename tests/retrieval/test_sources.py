"""Pictures to add and to search with, as folders hold them."""

import os

from helpers.project import posix

from zscmr.retrieval.sources import SourceFile, open_source, queries_in


def write(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


def test_files_know_the_folder_that_they_lie_in(tmp_path):
    write(tmp_path / "b.png", tmp_path / "ant/a.png")
    source = open_source(tmp_path)
    found = source.files()
    assert [(file.path, file.folder) for file in found] == [
        (f"{tmp_path}/ant/a.png", "ant"),
        (f"{tmp_path}/b.png", ""),
    ]
    assert isinstance(found[0], SourceFile) and found[0].size == 1
    assert source.has_pictures() and source.own_name == tmp_path.name and source.exists
    assert source.doubts({f"{tmp_path}/ant/gone.png", f"{tmp_path}/gone/b.png"}) == {}


def test_a_file_is_no_source(tmp_path, refused):
    write(tmp_path / "b.png")
    assert refused(open_source, tmp_path / "b.png") == f"--add {tmp_path}/b.png: expected a folder, received a file"
    assert not open_source(tmp_path / "none").exists and open_source(tmp_path / "none").files() == []


@posix
def test_queries_are_files_and_the_pictures_of_folders(tmp_path):
    """A name may hold any bytes; what is wrong with a path is one line that can be printed."""
    odd = tmp_path / os.fsdecode(b"caf\xe9.png")
    write(tmp_path / "in/b.png", tmp_path / "in/a/c.png", odd)
    (tmp_path / "empty").mkdir()
    missing = tmp_path / os.fsdecode(b"no\xff\n.png")
    files, faults = queries_in([tmp_path / "in", odd, tmp_path / "empty", missing])
    assert files == [tmp_path / "in/a/c.png", tmp_path / "in/b.png", odd]
    assert faults == [f"{tmp_path}/empty: no pictures in this folder", rf"{tmp_path}/no\xff\n.png: no such file"]
