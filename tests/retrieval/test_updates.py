"""A gallery in step with folders: new, changed, gone and unreadable pictures, drives that are missing, links, names."""

import os
import shutil

import pytest
from helpers.project import posix
from helpers.toy_gallery import IDENTITY, ToyEncoder, check_complete, write_files
from helpers.unlisted import refuse_to_list

from zscmr.retrieval import updates
from zscmr.retrieval.table import Table
from zscmr.retrieval.updates import AddRules, Update
from zscmr.utils.console import Once

FORGET = AddRules(forget=True)


@pytest.fixture
def opened(tmp_path):
    return Table.open(tmp_path / "g", IDENTITY)


def test_an_update_follows_the_folder(opened, tmp_path, refused, capsys):
    """New, changed, gone, unreadable; a second call embeds nothing."""
    folder, encoder = tmp_path / "in", ToyEncoder()
    write_files(folder, 6)
    (folder / "ant/bad.png").write_text("bad")
    assert opened.update("photo", folder, encoder) == Update(6, 0, 0, "1 broken")
    assert capsys.readouterr().err == f"warning: {folder}/ant/bad.png: bad, skipped\n"
    (folder / "ant/bad.png").unlink()
    snapshot, version = opened.pictures("photo"), opened.version()
    encoder.embedded.clear()
    assert opened.update("photo", folder, encoder) == Update(0, 6, 0)
    assert not encoder.embedded and opened.version() == version
    (folder / "ant/00000.png").write_text("another content")
    (folder / "bee/00001.png").unlink()
    (folder / "bee/00003.png").write_text("bad now")
    write_files(folder, 2, start=6)
    assert opened.update("photo", folder, encoder) == Update(added=3, kept=3, removed=3, left_out="1 broken")
    (folder / "bee/00003.png").unlink()
    check_complete(opened, folder)
    assert len(snapshot.ids) == 6
    shutil.rmtree(folder / "bee")
    assert opened.update("photo", folder, encoder) == Update(added=0, kept=4, removed=2)
    check_complete(opened, folder)
    assert refused(opened.update, "photo", folder / "bee", encoder).endswith("bee: no such folder")
    (tmp_path / "all bad").mkdir()
    (tmp_path / "all bad/1.png").write_text("bad")
    version = opened.version()
    assert refused(opened.update, "photo", tmp_path / "all bad", encoder).endswith("none of its pictures can be read")
    assert opened.version() == version


def test_the_first_commit_is_small(opened, tmp_path, monkeypatch):
    """So that a search soon finds something; the next are twice as large, up to a block."""
    monkeypatch.setattr(updates, "FIRST", 2)
    monkeypatch.setattr(updates, "BLOCK", 5)
    sizes = []
    monkeypatch.setattr(opened, "write", lambda batch: sizes.append(len(batch)))
    write_files(tmp_path / "in", 14)
    opened.update("photo", tmp_path / "in", ToyEncoder())
    assert sizes == [2, 4, 5, 3]


def add(table, folder, rules=AddRules()):  # noqa: B008
    return table.update("photo", folder, ToyEncoder(), rules=rules)


def test_rows_of_a_folder_that_is_gone_stay_until_they_are_to_be_forgotten(opened, tmp_path, capsys):
    """An unmounted drive: its mount point is missing, or empty."""
    folder = tmp_path / "in"
    write_files(folder, 6)
    add(opened, folder)
    shutil.rmtree(folder)
    assert add(opened, folder) == Update(0, 6, 0)
    expected = f"warning: --add {folder}: no such folder; 6 pictures stay in the gallery (--forget drops them)\n"
    assert capsys.readouterr().err == expected
    folder.mkdir()
    assert add(opened, folder) == Update(0, 6, 0)
    assert f"{folder}: is empty; 6 pictures added from there stay in the gallery" in capsys.readouterr().err
    assert add(opened, folder, FORGET) == Update(0, 0, 6) and opened.count("photo") == 0
    write_files(folder, 6)
    add(opened, folder)
    shutil.rmtree(folder)
    assert add(opened, folder, FORGET) == Update(0, 0, 6)
    assert "no such folder; 6 pictures added from there leave the gallery" in capsys.readouterr().err


def test_rows_of_a_folder_that_has_lost_more_than_half_stay(opened, tmp_path, capsys):
    folder = tmp_path / "in"
    write_files(folder, 8)
    add(opened, folder)
    for number in (0, 1, 2, 4):
        next(folder.rglob(f"{number:05}.png")).unlink()
    assert add(opened, folder) == Update(0, 4, 4)  # half of them is no more than half
    write_files(folder, 8)
    add(opened, folder)
    for number in (0, 1, 2, 4, 6):
        next(folder.rglob(f"{number:05}.png")).unlink()
    write_files(folder, 1, start=20)
    capsys.readouterr()
    assert add(opened, folder) == Update(1, 8, 0)
    assert "5 of its 8 pictures are gone; 5 pictures stay in the gallery (--forget drops" in capsys.readouterr().err
    assert add(opened, folder, FORGET) == Update(0, 4, 5)
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
    assert add(opened, folder) == Update(0, 8, 1)
    expected = (
        f"warning: {folder}/usb: is empty; 2 pictures added from there stay in the gallery (--forget drops them)\n"
    )
    assert capsys.readouterr().err == expected
    assert add(opened, folder, FORGET) == Update(0, 6, 2)


@posix
def test_a_folder_that_is_followed_is_warned_of_once(opened, tmp_path, capsys):
    """Of a bad picture and of what is left out; again once the picture has changed and is as bad."""
    folder, rules = tmp_path / "in", AddRules(once=Once())
    write_files(folder, 2)
    bad = folder / "ant/bad.png"
    bad.write_text("bad")
    (folder / "film.mov").write_text("x")
    warning = f"warning: {bad}: bad, skipped\n"
    left_out = f"{folder}: left out, because they cannot be read: 1 video\n"
    for modified, expected in ((1, (left_out, warning)), (1, ("", "")), (2, ("", warning))):
        os.utime(bad, (modified, modified))
        opened.update("photo", folder, ToyEncoder(), lambda *_: None, rules=rules)
        assert capsys.readouterr() == expected


@pytest.mark.parametrize("rules", [AddRules(), FORGET])
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
    refuse_to_list(monkeypatch, "bee")
    assert add(opened, folder, rules) == Update(0, 5, 2)
    assert capsys.readouterr().err.splitlines() == [
        f"warning: {folder}/bee: Permission denied, skipped",
        f"warning: {folder}/bee: Permission denied; 4 pictures added from there stay in the gallery",
    ]
    monkeypatch.undo()
    assert add(opened, folder) == Update(0, 5, 0)
    check_complete(opened, folder)


@posix
def test_links_that_lead_out_are_taken_on_request_alone(opened, tmp_path, capsys):
    folder, album = tmp_path / "in", tmp_path / "album"
    write_files(folder, 2)
    write_files(album, 3)
    os.symlink(album, folder / "linked")
    assert add(opened, folder).added == 2
    assert "1 link that lead" in capsys.readouterr().err
    assert add(opened, folder, AddRules(follow_links=True)) == Update(3, 2, 0)
    assert sum(f"{folder}/linked/" in path for path in opened.pictures("photo").paths) == 3
    assert add(opened, folder) == Update(0, 5, 0)  # not looked at is not gone


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
    assert opened.update("photo", alike, ToyEncoder()) == Update(0, 2, 0)
    assert "the name is not UTF-8, skipped" in capsys.readouterr().err
