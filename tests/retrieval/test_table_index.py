"""Search in the table itself against the exact index in memory."""

import numpy as np
import pytest

from zscmr.retrieval import Filter, Identity, Index, Searcher, Table, TableIndex
from zscmr.retrieval.schema import File, rows
from zscmr.retrieval.table_index import scan

COUNT, DIM, LEAST = 3000, 8, 1000


def build(folder, distance, sketches=100):
    """A table of random vectors, its photos, and six queries."""
    random = np.random.default_rng(0)
    identity = Identity(DIM, distance, "toy")
    classes = "ant", "bee", "Cow's"
    files = [File(f"/photos/{'ab'[number % 2]}/it's {number}", classes[number % 3]) for number in range(COUNT)]
    unseen = [number % 3 == 2 for number in range(COUNT)]

    def first():
        photos, drawn = random.normal(size=(COUNT, DIM)), random.normal(size=(sketches, DIM))
        yield rows(identity, "photo", files, unseen, photos)
        yield rows(identity, "sketch", files[:sketches], unseen[:sketches], drawn)

    table = Table.open(folder, identity, first)
    return table, table.pictures("photo"), random.normal(size=(6, DIM)).astype(np.float32)


def overlap(answers, pictures, expected):
    """Share of the expected rows that were found."""
    pairs = zip(answers, expected, strict=True)
    return np.mean([len({hit.id for hit in one} & {*pictures.ids[row]}) / len(row) for one, row in pairs])


@pytest.mark.parametrize("distance", ["cosine", "euclidean", "normalised"])
def test_the_vector_index_finds_what_it_says(tmp_path, capsys, distance):
    """Recall is measured at the first search, kept in the table, and true of other queries; distances are exact."""
    table, pictures, queries = build(tmp_path / "g", distance)
    index = TableIndex(table, "photo", LEAST)
    answers = index.search(queries, top=10)
    assert f"the index finds {index.recall():.1%} of the 10 nearest photo pictures" in capsys.readouterr().out
    assert index.recall() >= 0.95 and answers[0].how == f"by an index that finds {index.recall():.1%} of the nearest"
    expected, apart = Index(pictures.vectors, distance).search(queries, top=10)
    assert overlap(answers, pictures, expected) >= 0.9
    position = {name: row for row, name in enumerate(pictures.ids)}
    whole = Index(pictures.vectors, distance).search(queries, top=COUNT)
    for query, answer in enumerate(answers):
        by_row = dict(zip(whole[0][query], whole[1][query], strict=True))
        near = [hit.distance for hit in answer]
        np.testing.assert_allclose(near, [by_row[position[hit.id]] for hit in answer], atol=1e-12)
        assert (np.diff(near) >= 0).all() and near[0] >= apart[query, 0]
        assert (answer.searched, answer.pictures) == (COUNT, COUNT)
    version = table.version()
    assert TableIndex(table, "photo", LEAST).recall() == index.recall()
    assert table.version() == version and capsys.readouterr().out == ""  # built once


def test_recall_is_measured_for_the_modality_that_is_searched(tmp_path, capsys):
    """Each by its own searches; photos and sketches of other spreads give other numbers. The index is built once."""
    table, _, _ = build(tmp_path / "g", "cosine", sketches=1500)
    photo, sketch = (TableIndex(table, modality, LEAST).recall() for modality in ("photo", "sketch"))
    output = capsys.readouterr().out
    assert output.count("building the index") == 1
    assert f"the index finds {photo:.1%} of the 10 nearest photo pictures" in output
    assert f"the index finds {sketch:.1%} of the 10 nearest sketch pictures" in output
    assert [TableIndex(table, modality, LEAST).recall() for modality in ("photo", "sketch")] == [photo, sketch]
    assert capsys.readouterr().out == ""


def test_a_recall_recorded_for_both_modalities_is_measured_anew(tmp_path, capsys):
    """As earlier versions recorded it; the index itself stays."""
    table, _, _ = build(tmp_path / "g", "cosine")
    TableIndex(table, "photo", LEAST).recall()
    old = {"zscmr-recall": '{"recall": 0.123, "probes": 16, "rows": 3100}'}
    table.table().update_field_metadata({"path": "vector", "metadata": old})
    capsys.readouterr()
    assert TableIndex(table, "photo", LEAST).recall() >= 0.95
    output = capsys.readouterr().out
    assert "building" not in output and "nearest photo pictures" in output


@pytest.mark.parametrize(("distance", "exact"), [("cosine", True), ("l1", False), ("hamming", False)])
def test_a_scan_compares_everything(tmp_path, distance, exact):
    table, pictures, queries = build(tmp_path / "g", distance)
    answers = TableIndex(table, "photo", LEAST).search(queries, top=10, exact=exact)
    expected, apart = Index(pictures.vectors, distance).search(queries, top=10)
    assert answers[0].how == "every picture compared"
    assert [[hit.id for hit in one] for one in answers] == pictures.ids[expected].tolist()
    np.testing.assert_array_equal([[hit.distance for hit in one] for one in answers], apart)
    _, in_blocks, _ = scan(table.table(), table.identity, queries, 10, "modality = 'photo'", block=700)
    np.testing.assert_array_equal(in_blocks, apart)


@pytest.mark.parametrize("exact", [True, False])
def test_filters_come_before_the_ranking(tmp_path, exact, refused):
    """The mask in memory, the condition in the table, and the conditions by hand agree."""
    table, pictures, queries = build(tmp_path / "g", "cosine")
    index = TableIndex(table, "photo", LEAST)
    for filters, by_hand in (
        (Filter(("COWS'S", "ant")), None),
        (Filter(folder="/photos/c"), None),
        (Filter(("cow's",)), pictures.classes == "Cow's"),
        (Filter(unseen=False), pictures.classes != "Cow's"),
        (Filter(("bee",), "/photos/a", False), (pictures.classes == "bee") & (np.arange(COUNT) % 2 == 0)),
    ):
        if by_hand is None:
            assert refused(filters.mask, pictures) == refused(index.search, queries, 10, filters, exact=exact)
            continue
        np.testing.assert_array_equal(filters.mask(pictures), by_hand)
        assert table.count("photo", filters) == by_hand.sum()
        answers = index.search(queries, 10, filters, exact=exact)
        expected = Index(pictures.vectors, "cosine").search(queries, 10, by_hand)[0]
        assert overlap(answers, pictures, expected) >= (1 if exact else 0.9)
        found = [[hit.id for hit in one] for one in answers]
        assert all(by_hand[np.isin(pictures.ids, ids)].all() and len(ids) == 10 for ids in found)
        assert index.classes(filters) == sorted({*pictures.classes[by_hand]})
    nothing = index.search(queries, 10, Filter(("Cow's",), unseen=False), exact=exact)
    assert [(len(one), one.searched) for one in nothing] == [(0, 0)] * 6


def test_rows_outside_the_index_are_found_and_many_renew_it(tmp_path, capsys):
    table, _, queries = build(tmp_path / "g", "cosine")
    TableIndex(table, "photo", LEAST).recall()
    capsys.readouterr()

    def add(name, vectors):
        files = [File(f"{name}{number}", "new") for number in range(len(vectors))]
        table.write(rows(table.identity, "photo", files, [True] * len(files), vectors))

    add("like a query", queries)
    answers = TableIndex(table, "photo", LEAST).search(queries, top=3)
    assert [one[0].name for one in answers] == [f"like a query{number}" for number in range(6)]
    np.testing.assert_allclose([one[0].distance for one in answers], 0, atol=1e-12)
    assert capsys.readouterr().out == ""
    add("many", np.random.default_rng(9).normal(size=(1000, DIM)))
    TableIndex(table, "photo", LEAST).recall()
    assert "building the index of 4,106 vectors" in capsys.readouterr().out


@pytest.mark.parametrize("distance", ["euclidean", "hamming"])
def test_a_gallery_above_memory_is_never_loaded(tmp_path, distance, refused):
    """All that the page asks for is read from the table, and equals what is answered in memory."""
    table, pictures, queries = build(tmp_path / "g", distance)
    small, large = Searcher(table, None), Searcher(table, None, memory=1000)
    table.pictures = None  # what loads all of them
    expected = TableIndex(table, "photo").search(queries, 10)
    assert large.search_vectors(queries) == expected and expected[0].how
    row = 7
    like = large.like(pictures.ids[row], top=5)
    assert pictures.ids[row] not in {hit.id for hit in like} and like.searched == COUNT - 1
    stored = large.picture(pictures.ids[row])
    assert (stored.path, stored.class_name, stored.unseen) == (pictures.paths[row], "bee", False)
    np.testing.assert_array_equal(stored.vector, pictures.vectors[row])
    counts = large.counts("photo")
    assert counts.classes == {"Cow's": 1000, "ant": 1000, "bee": 1000}
    assert counts.folders == {"/photos/a": 1500, "/photos/b": 1500} and counts.pictures == COUNT
    assert large.classes("photo", Filter(unseen=True)) == ["Cow's"]
    assert "no picture 'none' in" in refused(large.picture, "none")
    del table.pictures
    held = small.search_vectors(queries)
    assert [one.hits for one in held] == [one.hits for one in expected] and held[0].how == ""
    assert small.like(pictures.ids[row], top=5).hits == like.hits
