"""The gallery of the user: found from any folder; that of an earlier version, in the working directory, is used."""

import subprocess

import pytest
from helpers.toy_gallery import IDENTITY

pytest.importorskip("lancedb", reason="LanceDB is not installed: galleries are not tested")

from zscmr.commands import search
from zscmr.retrieval.default_gallery import EARLIER, default_gallery
from zscmr.retrieval.table import Table


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A user without a gallery, in a folder of its own."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path


def test_a_gallery_of_an_earlier_version_is_used_and_told(home, capsys):
    """That in the working directory, until it has moved; a folder of other files with this name is none."""
    folder = home / "data/zscmr/gallery"
    (home / "here/gallery").mkdir()
    assert default_gallery(IDENTITY.digest) == folder and capsys.readouterr().err == ""
    Table.open(home / "here/gallery", IDENTITY)
    assert default_gallery(IDENTITY.digest) == EARLIER
    line = capsys.readouterr().err
    how = f"mkdir -p {folder.parent} && mv gallery {folder}"
    used = f"warning: {home}/here/gallery: the gallery in this folder is used, as by earlier versions; "
    assert line == f"{used}to find it from any folder: {how}\n"
    subprocess.run(how, shell=True, check=True)
    assert default_gallery(IDENTITY.digest) == folder and capsys.readouterr().err == ""
    Table.open(home / "here/gallery", IDENTITY)
    assert default_gallery(IDENTITY.digest) == folder
    assert capsys.readouterr().err == f"warning: {home}/here/gallery: left alone; --gallery gallery searches it\n"


def test_a_gallery_of_a_replaced_encoder_is_left_alone(home, capsys):
    Table.open(home / "here/gallery", IDENTITY)
    folder = home / "data/zscmr/gallery"
    assert default_gallery("newer") == folder
    line = (
        f"warning: {home}/here/gallery: left alone, since its encoder was replaced; --add DIR adds pictures to {folder}"
    )
    assert capsys.readouterr().err == f"{line}\n"


def test_search_finds_the_gallery_of_the_user_from_any_folder(home, refused, monkeypatch):
    opened = []
    monkeypatch.setattr(search.Searcher, "shipped", lambda location, *_: opened.append(location))
    search.open_searcher(search.Settings(draw=True))
    monkeypatch.chdir(home)
    search.open_searcher(search.Settings(draw=True))
    assert opened == [home / "data/zscmr/gallery"] * 2


def test_another_gallery_is_begun_for_another_encoder(home, capsys):
    """Beside the one before, of which a line says what was added to it, until the new one is there."""
    folder = home / "data/zscmr/gallery"
    Table.open(folder, IDENTITY).note("/photos/of mine", "photo", changed=True)
    assert default_gallery(IDENTITY.digest) == folder and capsys.readouterr().err == ""
    anew = folder.with_name("gallery-01234567")
    assert default_gallery("0123456789abcdef") == anew
    line = f"warning: {folder}: left alone, since its encoder was replaced; --add DIR begins another; "
    assert capsys.readouterr().err == f"{line}here was added: /photos/of mine\n"
    Table.open(anew, IDENTITY)
    assert default_gallery("0123456789abcdef") == anew and capsys.readouterr().err == ""
