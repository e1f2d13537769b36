"""Gallery and pictures over S3, against a server on this machine that speaks it."""

import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.toy_gallery import DIM, IDENTITY, ToyEncoder, adding, check_complete, vector_of, write_files
from PIL import Image

from zscmr.retrieval import AddRules, Table, sources, updates
from zscmr.retrieval.schema import File
from zscmr.utils.errors import BadInput

pytest_plugins = ("helpers.toy_storage",)


@pytest.mark.slow
def test_two_writers_at_once(storage, tmp_path):
    table = Table.open("s3://zscmr/gallery", IDENTITY)
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        write_files(folder, 30)
    processes = [adding(table.location, folder) for folder in folders]
    for process in processes:
        assert process.wait(100) == 0, process.stderr.read()
    check_complete(table, *folders)
    shutil.rmtree(folders[0])
    assert table.update("photo", folders[0], ToyEncoder(), rules=AddRules(forget=True)).removed == 30
    check_complete(Table.open(table.location, IDENTITY), folders[1])


def test_pictures_on_object_storage(storage, tmp_path, refused, capsys):
    contents = {"zebra/1.png": b"one", "plain.png": b"two", "zebra/bad.png": b"bad", ".hidden/1.png": b"no"}
    for name, content in {**contents, "zebra/notes.txt": b"no"}.items():
        storage.put_object(Bucket="zscmr", Key=f"photos/{name}", Body=content)
    table, source = Table.open(tmp_path / "g", IDENTITY), "s3://zscmr/photos"
    assert table.update("photo", source, ToyEncoder()).added == 2
    assert capsys.readouterr().err == "warning: s3://zscmr/photos/zebra/bad.png: bad, skipped\n"
    pictures = table.pictures("photo")
    for path, class_name, vector in zip(pictures.paths, pictures.classes, pictures.vectors, strict=True):
        name = path.removeprefix("s3://zscmr/photos/")
        assert class_name == {"zebra/1.png": "zebra", "plain.png": "unknown"}[name]
        assert (vector == vector_of(contents[name])).all()
    storage.delete_object(Bucket="zscmr", Key="photos/plain.png")
    storage.put_object(Bucket="zscmr", Key="photos/zebra/1.png", Body=b"another")
    done = table.update("photo", f"{source}/", ToyEncoder())
    assert (done.added, done.kept, done.removed) == (1, 0, 2)
    assert refused(table.update, "photo", "s3://zscmr/none", ToyEncoder()) == "--add s3://zscmr/none: no such folder"


def test_colours_on_object_storage(storage, monkeypatch):
    """Written as photos are added; read from the photos for a gallery of an earlier version."""
    content = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(content, "PNG")
    storage.put_object(Bucket="zscmr", Key="coloured/red.png", Body=content.getvalue())
    storage.put_object(Bucket="zscmr", Key="coloured/none.png", Body=b"no picture")
    new, old = Table.open("s3://zscmr/new", IDENTITY), Table.open("s3://zscmr/old", replace(IDENTITY, coloured=False))
    new.update("photo", "s3://zscmr/coloured", ToyEncoder())
    with monkeypatch.context() as earlier:
        earlier.setattr(Table, "add_colours", lambda table: None)
        earlier.setattr(updates, "_fill_colours", lambda *_: None)
        old.update("photo", "s3://zscmr/coloured", ToyEncoder())
    assert old.update("photo", "s3://zscmr/coloured", ToyEncoder()).kept == 2
    for table in (new, old):
        colours = dict(zip(table.pictures("photo").names, table.pictures("photo").colours, strict=True))
        assert colours["s3://zscmr/coloured/red.png"][3] > 0.8
        assert np.isnan(colours["s3://zscmr/coloured/none.png"]).all()


def test_rows_of_a_prefix_that_is_empty_stay_until_they_are_to_be_forgotten(storage, tmp_path, capsys):
    table, source = Table.open(tmp_path / "g", IDENTITY), "s3://zscmr/emptied"
    for number in range(4):
        storage.put_object(Bucket="zscmr", Key=f"emptied/zebra/{number}.png", Body=f"{number}".encode())
    storage.put_object(Bucket="zscmr", Key="emptied/@eaDir/0.png", Body=b"thumbnail")
    assert table.update("photo", source, ToyEncoder()).added == 4
    for number in range(4):
        storage.delete_object(Bucket="zscmr", Key=f"emptied/zebra/{number}.png")
    storage.delete_object(Bucket="zscmr", Key="emptied/@eaDir/0.png")
    assert table.update("photo", source, ToyEncoder()).removed == 0
    assert "no such folder; 4 pictures stay in the gallery (--forget drops them)" in capsys.readouterr().err
    assert table.update("photo", source, ToyEncoder(), rules=AddRules(forget=True)).removed == 4


def test_what_is_too_large_is_not_read(storage, tmp_path, capsys, monkeypatch):
    """Neither where the listing says so, nor where a file has grown since."""
    monkeypatch.setattr(sources, "REMOTE_BYTES", 10)
    storage.put_object(Bucket="zscmr", Key="large/small.png", Body=b"one")
    storage.put_object(Bucket="zscmr", Key="large/large.png", Body=b"more than ten bytes")
    table = Table.open(tmp_path / "g", IDENTITY)
    assert table.update("photo", "s3://zscmr/large", ToyEncoder()).added == 1
    expected = "warning: s3://zscmr/large/large.png: 19 bytes, more than 10, skipped\n"
    assert capsys.readouterr().err == expected
    source, grown = sources.open_source("s3://zscmr/large"), ["s3://zscmr/large/large.png"]
    with pytest.raises(BadInput, match="more than 10 bytes"), source.local(grown):
        pass


def test_a_file_that_goes_before_it_is_read_is_skipped(storage, tmp_path, capsys):
    class Late(ToyEncoder):
        def embed(self, paths, step=None, notice=None):
            there = [Path(path).exists() for path in paths]
            vectors = np.zeros((len(paths), DIM), np.float32)
            return vectors, np.array(there)

        def faults(self, paths, readable):
            return [f"{path}: No such file" for path, good in zip(paths, readable, strict=True) if not good]

    for name in ("a", "b"):
        storage.put_object(Bucket="zscmr", Key=f"late/{name}.png", Body=b"one")
    source = sources.open_source("s3://zscmr/late")
    files = [File(file.path, "unknown", file.size, file.modified) for file in source.files()]
    storage.delete_object(Bucket="zscmr", Key="late/b.png")
    table = Table.open(tmp_path / "g", IDENTITY)
    assert updates.embed(table, "photo", source, files, Late()) == (
        ["s3://zscmr/late/a.png"],
        ["s3://zscmr/late/b.png: No such file"],
    )
