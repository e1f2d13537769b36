"""Rows of the table: what a picture's columns hold, and codes packed to bits."""

import hashlib

import numpy as np
from helpers.toy_gallery import DIM, IDENTITY, ToyEncoder, write_files

from zscmr.retrieval.schema import File, Identity, rows
from zscmr.retrieval.table import Table
from zscmr.retrieval.updates import Update


def test_rows_are_as_promised(tmp_path):
    opened = Table.open(tmp_path / "g", IDENTITY)
    write_files(tmp_path / "in", 4)
    (tmp_path / "in/plain.png").write_text("plain")
    before = opened.version()
    assert opened.update("photo", tmp_path / "in", ToyEncoder()) == Update(added=5, kept=0, removed=0)
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


def test_codes_are_packed(tmp_path):
    signs = np.where(np.random.default_rng(0).normal(size=(3, 12)) > 0, 1.0, -1.0)
    identity, names = Identity(12, "hamming", "toy"), ["a", "b", "c"]
    files = [File(path, name) for path, name in zip(("", "/b", "/c"), names, strict=True)]
    batch = rows(identity, "sketch", files, [True] * 3, signs, names)
    pictures = Table.open(tmp_path / "g", identity, lambda: [batch]).pictures("sketch")
    np.testing.assert_array_equal(pictures.vectors, np.packbits(signs > 0, axis=1))
    assert Table.open(tmp_path / "g", identity).search_bytes("sketch") == 3 * 128  # a query takes 64 bytes a pair
    assert list(pictures.names) == names and list(pictures.paths) == ["", "/b", "/c"]
