"""Several pictures as one zip."""

import io
import zipfile

import pytest

pytest.importorskip("uvicorn", reason="uvicorn is not installed: the server is not tested")
pytest_plugins = ("helpers.toy_server",)


def test_a_zip_holds_the_files(serve, folders):
    """Under their own names, a number where two are alike; one that is no picture any more is listed."""
    server = serve()
    pictures = server.searcher.table.pictures("photo")
    ids = dict(zip(pictures.names, pictures.ids, strict=True))
    server.searcher.table.rows["photo"].names[list(pictures.names).index("bar/bar_1.jpg")] = "other/bar_0.JPG"
    (folders["photo"] / "disc/disc_0.jpg").write_text("text")
    chosen = [ids[name] for name in ("bar/bar_0.jpg", "bar/bar_1.jpg", "disc/disc_0.jpg", "bar/bar_0.jpg")]
    status, headers, content = server.ask("GET", f"/zip?{'&'.join(f'id={one}' for one in chosen)}")
    assert status == 200 and headers["Content-Type"] == "application/zip"
    assert headers["Content-Disposition"] == 'attachment; filename="pictures.zip"'
    archive = zipfile.ZipFile(io.BytesIO(content))
    assert archive.testzip() is None and archive.read("missing.txt") == b"disc/disc_0.jpg\n"
    files = {"bar_0.jpg": "bar/bar_0.jpg", "bar_0 (2).JPG": "bar/bar_1.jpg"}
    assert archive.namelist() == [*files, "missing.txt"]
    for name, file in files.items():
        assert archive.read(name) == (folders["photo"] / file).read_bytes()
