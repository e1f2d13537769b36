"""The table: in step with folders, killed, shared by writers, refused where it is not what it should be."""

import hashlib
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.project import posix
from helpers.toy_gallery import DIM, IDENTITY, ToyEncoder, adding, check_complete, write_files

from zscmr.datasets.listing import pictures_in
from zscmr.retrieval import table as module
from zscmr.retrieval.table import File, Identity, Table, rows

FORGET = module.AddRules(forget=True)


@pytest.fixture
def opened(tmp_path):
    return Table.open(tmp_path / "g", IDENTITY)


def test_rows_are_as_promised(opened, tmp_path):
    write_files(tmp_path / "in", 4)
    (tmp_path / "in/plain.png").write_text("plain")
    before = opened.version()
    assert opened.update("photo", tmp_path / "in", ToyEncoder()) == module.Update(added=5, kept=0, removed=0)
    assert opened.version() > before
    pictures = opened.pictures("photo")
    by_path = {path: row for row, path in enumerate(pictures.paths)}
    row, plain = by_path[str(tmp_path / "in/bee/00001.png")], by_path[str(tmp_path / "in/plain.png")]
    assert pictures.ids[row] == hashlib.sha256(f"photo\0{pictures.paths[row]}".encode()).hexdigest()[:16]
    assert list(pictures.names) == list(pictures.paths) and pictures.vectors.dtype == np.float32
    assert (pictures.classes[row], pictures.classes[plain]) == ("bee", "unknown")
    assert sorted(pictures.unseen) == [False, False, True, True, True]  # ant was trained on
    assert len(opened.pictures("sketch").ids) == 0 and opened.count("photo") == 5
    taken = pictures.take([plain])
    assert list(taken.ids) == [pictures.ids[plain]] and taken.vectors.shape == (1, DIM)


def test_an_update_follows_the_folder(opened, tmp_path, refused, capsys):
    """New, changed, gone, unreadable; a second call embeds nothing."""
    folder, encoder = tmp_path / "in", ToyEncoder()
    write_files(folder, 6)
    (folder / "ant/bad.png").write_text("bad")
    assert opened.update("photo", folder, encoder).added == 6
    assert capsys.readouterr().err == f"warning: {folder}/ant/bad.png: bad, skipped\n"
    (folder / "ant/bad.png").unlink()
    snapshot, version = opened.pictures("photo"), opened.version()
    encoder.embedded.clear()
    assert opened.update("photo", folder, encoder) == module.Update(0, 6, 0)
    assert not encoder.embedded and opened.version() == version
    (folder / "ant/00000.png").write_text("another content")
    (folder / "bee/00001.png").unlink()
    (folder / "bee/00003.png").write_text("bad now")
    write_files(folder, 2, start=6)
    assert opened.update("photo", folder, encoder) == module.Update(added=3, kept=3, removed=3)
    (folder / "bee/00003.png").unlink()
    check_complete(opened, folder)
    assert len(snapshot.ids) == 6
    shutil.rmtree(folder / "bee")
    assert opened.update("photo", folder, encoder) == module.Update(added=0, kept=4, removed=2)
    check_complete(opened, folder)
    assert refused(opened.update, "photo", folder / "bee", encoder).endswith("bee: no such folder")
    (tmp_path / "all bad").mkdir()
    (tmp_path / "all bad/1.png").write_text("bad")
    version = opened.version()
    assert refused(opened.update, "photo", tmp_path / "all bad", encoder).endswith("none of its pictures can be read")
    assert opened.version() == version


def add(table, folder, rules=module.AddRules()):  # noqa: B008
    return table.update("photo", folder, ToyEncoder(), rules=rules)


def test_rows_of_a_folder_that_is_gone_stay_until_they_are_to_be_forgotten(opened, tmp_path, capsys):
    """An unmounted drive: its mount point is missing, or empty."""
    folder = tmp_path / "in"
    write_files(folder, 6)
    add(opened, folder)
    shutil.rmtree(folder)
    assert add(opened, folder) == module.Update(0, 6, 0)
    expected = f"warning: --add {folder}: no such folder; 6 pictures stay in the gallery (--forget drops them)\n"
    assert capsys.readouterr().err == expected
    folder.mkdir()
    assert add(opened, folder) == module.Update(0, 6, 0)
    assert f"{folder}: is empty; 6 pictures added from there stay in the gallery" in capsys.readouterr().err
    assert add(opened, folder, FORGET) == module.Update(0, 0, 6) and opened.count("photo") == 0
    write_files(folder, 6)
    add(opened, folder)
    shutil.rmtree(folder)
    assert add(opened, folder, FORGET) == module.Update(0, 0, 6)
    assert "no such folder; 6 pictures added from there leave the gallery" in capsys.readouterr().err


def test_rows_of_a_folder_that_has_lost_more_than_half_stay(opened, tmp_path, capsys):
    folder = tmp_path / "in"
    write_files(folder, 8)
    add(opened, folder)
    for number in (0, 1, 2, 4):
        next(folder.rglob(f"{number:05}.png")).unlink()
    assert add(opened, folder) == module.Update(0, 4, 4)  # half of them is no more than half
    write_files(folder, 8)
    add(opened, folder)
    for number in (0, 1, 2, 4, 6):
        next(folder.rglob(f"{number:05}.png")).unlink()
    write_files(folder, 1, start=20)
    capsys.readouterr()
    assert add(opened, folder) == module.Update(1, 8, 0)
    assert "5 of its 8 pictures are gone; 5 pictures stay in the gallery (--forget drops" in capsys.readouterr().err
    assert add(opened, folder, FORGET) == module.Update(0, 4, 5)
    check_complete(opened, folder)


def test_an_empty_folder_keeps_its_rows_where_it_had_several(opened, tmp_path, capsys):
    """A drive that was mounted in the added folder; a picture that was deleted leaves an empty folder too."""
    folder = tmp_path / "in"
    write_files(folder, 6)
    (folder / "usb/deep").mkdir(parents=True)
    for number in range(2):
        (folder / f"usb/deep/{number}.png").write_text(f"usb {number}")
    (folder / "one").mkdir()
    (folder / "one/a.png").write_text("one")
    add(opened, folder)
    shutil.rmtree(folder / "usb/deep")
    (folder / "one/a.png").unlink()
    capsys.readouterr()
    assert add(opened, folder) == module.Update(0, 8, 1)
    expected = (
        f"warning: {folder}/usb: is empty; 2 pictures added from there stay in the gallery (--forget drops them)\n"
    )
    assert capsys.readouterr().err == expected
    assert add(opened, folder, FORGET) == module.Update(0, 6, 2)


@posix
@pytest.mark.parametrize("rules", [module.AddRules(), FORGET])
def test_rows_of_what_could_not_be_listed_stay(opened, tmp_path, capsys, monkeypatch, rules):
    """Permissions do not bind root, so that the system calls refuse: a folder in the middle, and a file's state."""
    folder = tmp_path / "in"
    write_files(folder, 6)
    (folder / "bee/deep").mkdir()
    (folder / "bee/deep/x.png").write_text("deep")
    add(opened, folder)
    (folder / "ant/00000.png").unlink()
    (folder / "ant/00002.png").unlink()
    capsys.readouterr()
    scandir = os.scandir

    def refuses(path):
        if str(path).endswith("bee"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuses)
    assert add(opened, folder, rules) == module.Update(0, 5, 2)
    assert capsys.readouterr().err.splitlines() == [
        f"warning: {folder}/bee: Permission denied, skipped",
        f"warning: {folder}/bee: Permission denied; 4 pictures added from there stay in the gallery",
    ]
    monkeypatch.undo()
    assert add(opened, folder) == module.Update(0, 5, 0)
    check_complete(opened, folder)


@posix
def test_links_that_lead_out_are_taken_on_request_alone(opened, tmp_path, capsys):
    folder, album = tmp_path / "in", tmp_path / "album"
    write_files(folder, 2)
    write_files(album, 3)
    os.symlink(album, folder / "linked")
    assert add(opened, folder).added == 2
    assert "1 link that lead" in capsys.readouterr().err
    assert add(opened, folder, module.AddRules(follow_links=True)) == module.Update(3, 2, 0)
    assert sum(f"{folder}/linked/" in path for path in opened.pictures("photo").paths) == 3
    assert add(opened, folder) == module.Update(0, 5, 0)  # not looked at is not gone


def test_names_of_files_are_no_queries(opened, tmp_path, capsys):
    """Quotes and wildcards in a folder's name; folders that begin alike; names outside UTF-8."""
    odd, alike = tmp_path / "it's 100%_", tmp_path / "it's 100%_ too"
    for folder in (odd, alike):
        write_files(folder, 2)
        opened.update("photo", folder, ToyEncoder())
    check_complete(opened, odd, alike)
    shutil.rmtree(odd)
    assert opened.update("photo", odd, ToyEncoder(), rules=FORGET).removed == 2
    check_complete(opened, alike)
    capsys.readouterr()
    with open(os.fsencode(alike) + b"/\xff.png", "w") as file:
        file.write("name")
    assert opened.update("photo", alike, ToyEncoder()) == module.Update(0, 2, 0)
    assert "the name is not UTF-8, skipped" in capsys.readouterr().err


def test_codes_are_packed(tmp_path):
    signs = np.where(np.random.default_rng(0).normal(size=(3, 12)) > 0, 1.0, -1.0)
    identity, names = Identity(12, "hamming", "toy"), ["a", "b", "c"]
    files = [File(path, name) for path, name in zip(("", "/b", "/c"), names, strict=True)]
    batch = rows(identity, "sketch", files, [True] * 3, signs, names)
    pictures = Table.open(tmp_path / "g", identity, lambda: [batch]).pictures("sketch")
    np.testing.assert_array_equal(pictures.vectors, np.packbits(signs > 0, axis=1))
    assert Table.open(tmp_path / "g", identity).search_bytes("sketch") == 3 * 128  # a query takes 64 bytes a pair
    assert list(pictures.names) == names and list(pictures.paths) == ["", "/b", "/c"]


def test_many_small_commits_become_few(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 2)
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
        process = adding(opened.where, folder, seconds=1e-3, block=20)
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
    processes = [adding(opened.where, folder, seconds=1e-4) for folder in (*folders, *folders)]
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
    assert "python -m pip install -r requirements-search.txt" in refused(Table.open, opened.where, IDENTITY)
