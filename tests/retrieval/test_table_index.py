"""Search in the table itself against the exact index in memory."""

import numpy as np
import pytest

from zscmr.retrieval import Filter, Identity, Index, Table, TableIndex, table_index
from zscmr.retrieval.table import rows

COUNT, DIM = 3000, 8


def build(folder, distance, sketches=100):
    """A gallery of random vectors and its photos."""
    random = np.random.default_rng(0)
    identity = Identity(DIM, distance, "toy")
    names = [f"/photos/{'ab'[number % 2]}/it's {number}" for number in range(COUNT)]
    classes = [("ant", "bee", "Cow's")[number % 3] for number in range(COUNT)]
    unseen = [number % 3 == 2 for number in range(COUNT)]

    def first():
        photos, drawn = random.normal(size=(COUNT, DIM)), random.normal(size=(sketches, DIM))
        yield rows(identity, "photo", names, names, classes, unseen, photos)
        yield rows(identity, "sketch", names[:sketches], names[:sketches], classes[:sketches], unseen[:sketches], drawn)

    gallery = Table.open(folder, identity, first)
    return gallery, gallery.pictures("photo"), random.normal(size=(6, DIM)).astype(np.float32)


def overlap(found, pictures, expected):
    """Share of the expected rows that were found."""
    pairs = zip(found, expected, strict=True)
    return np.mean([len({*one.ids} & {*pictures.ids[row]}) / len(row) for one, row in pairs])


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "normalised"])
def test_the_vector_index_finds_what_it_says(tmp_path, monkeypatch, capsys, distance):
    """Recall is measured at the first opening, kept in the table, and true of other queries; distances are exact."""
    monkeypatch.setattr(table_index, "LEAST", 1000)
    gallery, pictures, queries = build(tmp_path / "g", distance)
    index = TableIndex(gallery, "photo")
    assert f"the index finds {index.recall:.1%} of the 10 nearest" in capsys.readouterr().out
    assert index.recall >= 0.95
    found, distances = index.search(queries, top=10)
    expected, apart = Index(pictures.vectors, distance).search(queries, top=10)
    assert overlap(found, pictures, expected) >= 0.9
    at = {name: row for row, name in enumerate(pictures.ids)}
    whole = Index(pictures.vectors, distance).search(queries, top=COUNT)
    for query, (one, near) in enumerate(zip(found, distances, strict=True)):
        by_row = dict(zip(whole[0][query], whole[1][query], strict=True))
        np.testing.assert_allclose(near, [by_row[at[name]] for name in one.ids], atol=1e-12)
        assert (np.diff(near) >= 0).all() and near[0] >= apart[query, 0]
    version = gallery.version()
    assert TableIndex(gallery, "photo").recall == index.recall
    assert gallery.version() == version and capsys.readouterr().out == ""  # built once


@pytest.mark.parametrize(("distance", "exact"), [("cosine", True), ("l1", False), ("hamming", False)])
def test_a_scan_compares_everything(tmp_path, monkeypatch, distance, exact):
    monkeypatch.setattr(table_index, "LEAST", 1000)
    monkeypatch.setattr(table_index, "_SCANNED", 700)
    gallery, pictures, queries = build(tmp_path / "g", distance)
    index = TableIndex(gallery, "photo", exact=exact)
    found, distances = index.search(queries, top=10)
    expected, apart = Index(pictures.vectors, distance).search(queries, top=10)
    assert index.recall == 1 and [list(one.ids) for one in found] == pictures.ids[expected].tolist()
    np.testing.assert_array_equal(distances, apart)


@pytest.mark.parametrize("exact", [True, False])
def test_filters_come_before_the_ranking(tmp_path, monkeypatch, exact, refused):
    """The mask in memory, the condition in the table, and the conditions by hand agree."""
    monkeypatch.setattr(table_index, "LEAST", 1000)
    gallery, pictures, queries = build(tmp_path / "g", "cosine")
    for wanted, by_hand in (
        (Filter(("COWS'S", "ant")), None),
        (Filter(("cow's",)), pictures.classes == "Cow's"),
        (Filter(unseen=False), pictures.classes != "Cow's"),
        (Filter(("bee",), "/photos/a", False), (pictures.classes == "bee") & (np.arange(COUNT) % 2 == 0)),
    ):
        if by_hand is None:
            assert refused(wanted.mask, pictures) == refused(TableIndex, gallery, "photo", wanted, exact)
            continue
        np.testing.assert_array_equal(wanted.mask(pictures), by_hand)
        assert gallery.count("photo", wanted) == by_hand.sum()
        found, _ = TableIndex(gallery, "photo", wanted, exact).search(queries, top=10)
        expected = Index(pictures.vectors, "cosine").search(queries, 10, by_hand)[0]
        assert overlap(found, pictures, expected) >= (1 if exact else 0.9)
        assert all(by_hand[np.isin(pictures.ids, one.ids)].all() and len(one.ids) == 10 for one in found)


def test_rows_outside_the_index_are_found_and_many_renew_it(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(table_index, "LEAST", 1000)
    gallery, _, queries = build(tmp_path / "g", "cosine")
    TableIndex(gallery, "photo")
    capsys.readouterr()

    def add(name, vectors):
        names = [f"{name}{number}" for number in range(len(vectors))]
        classes = ["new"] * len(names)
        gallery.write(rows(gallery.identity, "photo", names, names, classes, [True] * len(names), vectors))

    add("like a query", queries)
    found, distances = TableIndex(gallery, "photo").search(queries, top=3)
    assert [one.names[0] for one in found] == [f"like a query{number}" for number in range(6)]
    np.testing.assert_allclose([near[0] for near in distances], 0, atol=1e-12)
    assert capsys.readouterr().out == ""
    add("many", np.random.default_rng(9).normal(size=(1000, DIM)))
    TableIndex(gallery, "photo")
    assert "building the index of 4,106 vectors" in capsys.readouterr().out
