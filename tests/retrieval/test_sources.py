"""Pictures to add and to search with, as folders hold them."""

import os

from helpers.project import posix
from helpers.unlisted import refuse_to_list

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
    assert source.has_pictures() and source.root_name == tmp_path.name and source.exists
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
    assert faults == [f"{tmp_path}/empty: no pictures in this folder", rf"{tmp_path}/no\udcff\n.png: no such file"]
    files, faults = queries_in([tmp_path / ("x" * 300), odd / "inner.png", odd])
    assert files == [odd] and [fault.rpartition(": ")[2] for fault in faults] == [
        "File name too long",
        "Not a directory",
    ]


@posix
def test_a_source_that_cannot_be_listed_says_why(tmp_path, monkeypatch, capsys):
    """Once, as the reason of the refusal; permissions do not bind root, so that the system call refuses."""
    refuse_to_list(monkeypatch, "")
    source = open_source(tmp_path)
    assert source.files() == [] and source.why_empty() == "Permission denied"
    assert source.doubts({f"{tmp_path}/a/b.png"}) == {(str(tmp_path), "Permission denied"): [f"{tmp_path}/a/b.png"]}
    assert capsys.readouterr().err == ""


def test_files_of_a_folder_that_share_a_reason_are_one_doubt(tmp_path):
    """A folder of mode r--: names can be listed, states cannot be asked for."""
    source, files = open_source(tmp_path), [f"{tmp_path}/a/{number}.png" for number in range(3)]
    source._scan.unlisted |= dict.fromkeys(files, "Permission denied")
    assert source.doubts(set(files)) == {(f"{tmp_path}/a", "Permission denied"): files}


def test_pictures_that_cannot_be_read_are_named_where_there_are_no_others(tmp_path):
    write(tmp_path / "a.cr2", tmp_path / "b.mov")
    source = open_source(tmp_path)
    source.files()
    assert source.why_empty() == "no pictures in this folder that can be read, but 1 RAW, 1 video"
