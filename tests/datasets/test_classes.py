"""Class names are compared by key; lists of unseen ones are read; the split is disjoint and replayable."""

import codecs
import unicodedata

import numpy as np
import pytest
from helpers.project import CLASSES, UNSEEN

from zscmr.datasets.classes import SPLITS, class_key, class_positions, read_class_list, split_classes


@pytest.mark.parametrize(
    ("one", "other"),
    [("hot_air_balloon", "hot-air balloon"), ("jack-o-lantern", "Jack o Lantern"), ("car_(sedan)", "car (sedan)")],
)
def test_class_names_compare_without_case_and_separators(one, other):
    assert class_key(one) == class_key(other)


def test_unseen_list_with_unknown_class_names_the_nearest(tmp_path, refused):
    file = tmp_path / "unseen.txt"
    file.write_text("# a comment\nbee\ngnus # another\n")
    names = read_class_list(file)
    assert names == ["bee", "gnus"]
    assert refused(split_classes, CLASSES, names, file) == f"{file}: no class 'gnus'; nearest: gnu"


NAMES = ["café", "ÅNGSTRÖM", "straße", "owl"]
LISTS = {
    "UTF-8 with a mark": codecs.BOM_UTF8 + "\n".join(NAMES).encode(),
    "two files with marks joined": b"".join(codecs.BOM_UTF8 + f"{name}\n".encode() for name in NAMES),
    "UTF-16, little-endian": codecs.BOM_UTF16_LE + "\n".join(NAMES).encode("utf-16-le"),
    "UTF-16, big-endian": codecs.BOM_UTF16_BE + "\n".join(NAMES).encode("utf-16-be"),
    "CRLF and spaces": "".join(f" {name}\t \r\n" for name in NAMES).encode(),
    "CR": "\r".join(NAMES).encode(),
    "accents apart": unicodedata.normalize("NFD", "\n".join(NAMES)).encode(),
    "no-break spaces": "\n".join(f"{name}\u00a0" for name in NAMES).encode(),
}


@pytest.mark.parametrize("form", [None, "NFC", "NFD"])
@pytest.mark.parametrize("content", LISTS)
def test_lists_of_all_editors_are_understood(tmp_path, content, form):
    file = tmp_path / "unseen.txt"
    file.write_bytes(LISTS[content])
    present = [unicodedata.normalize(form, name) if form else name.swapcase() for name in reversed(NAMES)]
    assert class_positions(read_class_list(file), present, file).tolist() == [3, 2, 1, 0]


@pytest.mark.parametrize("content", ["owl\nbat".encode("utf-16-le"), b"caf\xe9", b"", b"# nothing", b"\xff\xfeo"])
def test_what_is_no_list_is_refused(tmp_path, refused, content):
    (tmp_path / "unseen.txt").write_bytes(content)
    assert refused(read_class_list, tmp_path / "unseen.txt").startswith(f"{tmp_path / 'unseen.txt'}: no")


def test_lists_of_the_package_go_by_their_names(tmp_path, refused, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = read_class_list("sketchy-25-sake")
    assert names == read_class_list(SPLITS / "sketchy-25-sake.txt") and len(names) == 25
    assert "no such file; lists that come with zscmr: miniature-24" in refused(read_class_list, "sketchy-26")
    assert refused(read_class_list, tmp_path / "sketchy-25-sake") == f"{tmp_path / 'sketchy-25-sake'}: no such file"
    (tmp_path / "sketchy-25-sake").write_text("owl")
    assert read_class_list("sketchy-25-sake") == ["owl"]


def test_a_class_twice_is_named(refused):
    for names in (["Bee", "bee"], ["bee", "cow", "B_ee"]):
        assert refused(split_classes, CLASSES, names, "list").startswith("list: class 'bee' occurs twice")


def test_split_is_disjoint_complete_and_replayable():
    split = split_classes(CLASSES, UNSEEN, "list", held_out_share=0.3, seed=4)
    parts = np.concatenate([split.seen, split.held_out, split.unseen])
    assert sorted(parts) == list(range(10)) and len(split.held_out) == 2
    assert [CLASSES[label] for label in split.unseen] == list(UNSEEN)
    again = split_classes(CLASSES, UNSEEN, "list", held_out_share=0.3, seed=4)
    np.testing.assert_array_equal(split.held_out, again.held_out)
