"""Gallery and pictures over S3, against a server on this machine that speaks it."""

import shutil

from helpers.toy_gallery import IDENTITY, ToyEncoder, adding, check_complete, vector_of, write_files

from zscmr.retrieval import Table

pytest_plugins = ("helpers.toy_storage",)


def test_two_writers_at_once(storage, tmp_path):
    gallery = Table.open("s3://zscmr/gallery", IDENTITY)
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        write_files(folder, 30)
    processes = [adding(gallery.where, folder) for folder in folders]
    for process in processes:
        assert process.wait(100) == 0, process.stderr.read()
    check_complete(gallery, *folders)
    shutil.rmtree(folders[0])
    assert gallery.update("photo", folders[0], ToyEncoder()).removed == 30
    check_complete(Table.open(gallery.where, IDENTITY), folders[1])


def test_pictures_on_object_storage(storage, tmp_path, refused, capsys):
    contents = {"zebra/1.png": b"one", "plain.png": b"two", "zebra/bad.png": b"bad", ".hidden/1.png": b"no"}
    for name, content in {**contents, "zebra/notes.txt": b"no"}.items():
        storage.put_object(Bucket="zscmr", Key=f"photos/{name}", Body=content)
    gallery, source = Table.open(tmp_path / "g", IDENTITY), "s3://zscmr/photos"
    assert gallery.update("photo", source, ToyEncoder()).added == 2
    assert capsys.readouterr().err == "warning: s3://zscmr/photos/zebra/bad.png: bad, skipped\n"
    pictures = gallery.pictures("photo")
    for path, class_name, vector in zip(pictures.paths, pictures.classes, pictures.vectors, strict=True):
        name = path.removeprefix("s3://zscmr/photos/")
        assert class_name == {"zebra/1.png": "zebra", "plain.png": "unknown"}[name]
        assert (vector == vector_of(contents[name])).all()
    storage.delete_object(Bucket="zscmr", Key="photos/plain.png")
    storage.put_object(Bucket="zscmr", Key="photos/zebra/1.png", Body=b"another")
    done = gallery.update("photo", f"{source}/", ToyEncoder())
    assert (done.added, done.kept, done.removed) == (1, 0, 2)
    assert refused(gallery.update, "photo", "s3://zscmr/none", ToyEncoder()) == "--add s3://zscmr/none: no such folder"
