"""The table: killed, shared by writers, refused where it is not what it should be."""

import json
import os
import signal
import sys
from pathlib import Path

import pytest
from helpers.project import posix
from helpers.toy_gallery import DIM, IDENTITY, ToyEncoder, adding, check_complete, write_files

from zscmr.datasets.listing import pictures_in
from zscmr.retrieval import table as module
from zscmr.retrieval import updates
from zscmr.retrieval.schema import Identity
from zscmr.retrieval.table import Table


@pytest.fixture
def opened(tmp_path):
    return Table.open(tmp_path / "g", IDENTITY)


def test_many_small_commits_become_few(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(updates, "BLOCK", 2)
    monkeypatch.setattr(module, "_SMALL", 5)
    write_files(tmp_path / "in", 12)
    opened.update("photo", tmp_path / "in", ToyEncoder())
    check_complete(opened, tmp_path / "in")
    assert opened.table().stats()["fragment_stats"]["num_fragments"] == 1
    paths = list(opened.pictures("photo").paths)
    assert [{paths[row], paths[row + 1]} for row in range(0, 12, 2)] == [
        {str(file) for file in pair} for pair in zip(*[iter(pictures_in(tmp_path / "in"))] * 2, strict=True)
    ]


@posix
@pytest.mark.slow
def test_killed_at_any_moment_nothing_is_lost_or_doubled(opened, tmp_path):
    """Commits of 20 pictures, killed as some picture of the first five blocks is embedded, or just after."""
    folder, counts = tmp_path / "in", [0]
    write_files(folder, 500)
    for lines in (0, 19, 20, 59, 95):
        process = adding(opened.location, folder, seconds=1e-3, block=20)
        for _ in range(lines):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.communicate()
        counts.append(opened.count("photo"))
        assert len(set(opened.pictures("photo").ids)) == counts[-1]
        assert counts[-1] - counts[-2] >= lines - lines % 20 - 20  # blocks before the one that the pipe told of
    assert counts == sorted(counts) and 0 < counts[-1] < 500  # what was there stays
    opened.update("photo", folder, ToyEncoder())
    check_complete(opened, folder)


@pytest.mark.slow
def test_eight_writers_at_once_lose_and_double_nothing(opened, tmp_path):
    """Every folder is brought by two writers."""
    folders = [tmp_path / f"in{number}" for number in range(4)]
    for folder in folders:
        write_files(folder, 150)
    processes = [adding(opened.location, folder, seconds=1e-4) for folder in (*folders, *folders)]
    for process in processes:
        _, faults = process.communicate(timeout=100)
        assert process.returncode == 0 and not faults, faults
    check_complete(opened, *folders)


def other_metadata(folder, **changed):
    import lancedb
    import pyarrow

    metadata = {"format": 1, "dim": DIM, "distance": "euclidean", "digest": "toy"} | changed
    schema = pyarrow.schema([pyarrow.field("id", pyarrow.string())], {"zscmr": json.dumps(metadata)})
    lancedb.connect(folder).create_table(module.TABLE, schema=schema)


def foreign_table(folder):
    import lancedb

    lancedb.connect(folder).create_table(module.TABLE, [{"id": "a"}])


def cut(folder, pattern):
    for file in folder.rglob(pattern):
        file.write_bytes(file.read_bytes()[:20])


def made(folder):
    write_files(folder.parent / "in", 4)
    Table.open(folder, IDENTITY).update("photo", folder.parent / "in", ToyEncoder())
    return folder


@pytest.mark.parametrize(
    ("prepare", "expected"),
    [
        (lambda g: Table.open(g, Identity(DIM, "euclidean", "another")), "expected digest toy, received another"),
        (lambda g: Table.open(g, Identity(DIM + 1, "euclidean", "toy")), "expected dim 8, received 9"),
        (lambda g: Table.open(g, Identity(DIM, "cosine", "toy")), "expected distance euclidean, received cosine"),
        (lambda g: other_metadata(g, format=2), "expected a gallery of format 1, received format 2"),
        (lambda g: other_metadata(g), "expected a gallery with columns id, modality, path"),
        (foreign_table, "a LanceDB table that is no gallery"),
        (lambda g: g.write_text("file"), "expected the folder of a gallery, received a file"),
        (lambda g: (g / "photos").mkdir(parents=True), "received a folder of other files"),
        (lambda g: cut(made(g), "*.manifest"), "cannot be used as a gallery"),
        (lambda g: cut(made(g), "data/*.lance"), "cannot be used as a gallery"),
    ],
)
def test_what_is_no_gallery_of_this_run_is_refused(tmp_path, refused, prepare, expected):
    """One line, and every file as it was."""
    where = tmp_path / "g"
    prepare(where)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    message = refused(lambda: Table.open(where, IDENTITY).pictures("photo"))
    assert message.startswith(f"{where}: ") and expected in message
    assert before == {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}


@posix
def test_a_place_without_permission_is_refused(tmp_path, refused):
    folder = Path("/sys") if os.geteuid() == 0 else tmp_path  # where even root makes no folder
    if folder == tmp_path:
        folder.chmod(0o555)
    elif not folder.is_dir():
        pytest.skip("root may write everywhere here")
    message = refused(Table.open, folder / "gallery", IDENTITY)
    assert message.startswith(f"{folder / 'gallery'}: cannot be used as a gallery (") and "ermi" in message


@pytest.mark.parametrize("where", ["s3://zscmr-no-such-bucket/g", "ftp://host/g"])
def test_a_uri_that_cannot_be_reached_is_refused(where, refused, monkeypatch):
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    message = refused(Table.open, where, IDENTITY)
    assert message.startswith(f"{where}: cannot be used as a gallery (") and len(message) < 400


def test_without_lancedb_the_install_line_is_given(opened, refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "lancedb", None)
    assert "python -m pip install -r requirements-search.txt" in refused(Table.open, opened.location, IDENTITY)
