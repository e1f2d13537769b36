"""Searching a gallery: the answers of a slow sort, filters, and following a gallery that changes."""

import os
import threading

import numpy as np
import pytest
from helpers.toy_shapes import ToyEncoder, ToyTable, draw_gallery, toy_searcher
from PIL import Image

from zscmr.inference.class_vectors import ClassVectors
from zscmr.retrieval import Filter, Searcher


@pytest.fixture
def folders(tmp_path):
    return draw_gallery(tmp_path)


@pytest.fixture
def searcher(folders):
    return toy_searcher(folders)


def slowly(pictures, vector, allowed):
    """(id, distance) of all pictures that are `allowed`, nearest first."""
    apart = [
        (float(np.linalg.norm(row.astype(float) - vector.astype(float))), place)
        for place, row in enumerate(pictures.vectors)
        if allowed(place)
    ]
    return [(pictures.ids[place], distance) for distance, place in sorted(apart)]


def check(answer, expected):
    assert [match.id for match in answer.hits] == [name for name, _ in expected]
    np.testing.assert_allclose([match.distance for match in answer.hits], [apart for _, apart in expected], atol=1e-6)


def test_answers_are_those_of_a_slow_sort(searcher, folders):
    query = folders["sketch"] / "disc/disc_3.png"
    pictures, vector = searcher.table.pictures("photo"), ToyEncoder().embed([query])[0][0]
    expected = slowly(pictures, vector, lambda place: True)
    for picture in (query, query.read_bytes()):
        answer = searcher.search(picture, top=5)
        check(answer, expected[:5])
        assert answer.searched == 24
    first = answer.hits[0]
    assert os.path.isfile(first.path) and first.name.startswith(f"{first.class_name}/")
    assert first.unseen == (first.class_name == "cross")


@pytest.mark.parametrize(
    ("filters", "allowed"),
    [
        (Filter(("bar",)), lambda of, row: of.classes[row] == "bar"),
        (Filter(("bar", "cross")), lambda of, row: of.classes[row] in ("bar", "cross")),
        (Filter(unseen=True), lambda of, row: of.classes[row] == "cross"),
        (Filter(("bar",), unseen=True), lambda of, row: False),
    ],
)
def test_only_what_is_wanted_is_searched(searcher, folders, filters, allowed):
    query = folders["sketch"] / "bar/bar_0.png"
    pictures, vector = searcher.table.pictures("photo"), ToyEncoder().embed([query])[0][0]
    expected = slowly(pictures, vector, lambda row: allowed(pictures, row))
    answer = searcher.search(query, top=100, filters=filters)
    check(answer, expected)
    assert answer.searched == len(expected)


def test_what_is_not_there_is_refused(searcher, refused):
    assert refused(searcher.like, "0" * 16) == "no picture '0000000000000000' in the gallery"
    assert "picture: " in refused(searcher.search, b"no picture")


@pytest.mark.parametrize("gallery", ["photo", "sketch"])
def test_more_like_a_picture_leaves_it_out(searcher, gallery):
    photos = searcher.table.pictures("photo")
    expected = slowly(searcher.table.pictures(gallery), photos.vectors[5], lambda row: gallery == "sketch" or row != 5)
    answer = searcher.like(photos.ids[5], gallery, top=30)
    check(answer, expected)
    assert answer.searched == len(expected) == (23 if gallery == "photo" else 24)


def test_the_only_picture_of_a_class_has_none_like_it(folders):
    for file in sorted((folders["photo"] / "disc").iterdir())[1:]:
        file.unlink()
    searcher = toy_searcher(folders)
    (row,) = np.flatnonzero(searcher.table.pictures("photo").classes == "disc")
    answer = searcher.like(searcher.table.pictures("photo").ids[row], filters=Filter(("disc",)))
    assert not answer and answer.searched == 0


def test_an_empty_gallery_answers_with_nothing(folders):
    answer = toy_searcher({"sketch": folders["sketch"]}).search(folders["sketch"] / "bar/bar_0.png")
    assert not answer and answer.searched == 0


def test_the_index_follows_the_gallery(searcher, folders):
    query = folders["sketch"] / "bar/bar_0.png"
    assert searcher.search(query).searched == 24 and searcher.counts("photo").pictures == 24
    (folders["photo"] / "bar/bar_0.jpg").unlink()
    searcher.table.update("photo", folders["photo"], None, lambda done, total: None)
    assert searcher.search(query).searched == 23
    counts = searcher.counts("photo")
    assert counts.classes == {"bar": 7, "cross": 8, "disc": 8}
    assert counts.folders == {str(folders["photo"] / name): count for name, count in counts.classes.items()}


def test_searches_go_on_while_the_next_index_is_made(folders):
    class Slow(ToyTable):
        def pictures(self, modality):
            rows = super().pictures(modality)
            if self.number > 1:
                begun.set()
                assert go.wait(30)
            return rows

    begun, go = threading.Event(), threading.Event()
    searcher = Searcher(Slow(folders), lambda modality: ToyEncoder())
    query = folders["sketch"] / "bar/bar_0.png"
    assert searcher.search(query).searched == 24
    (folders["photo"] / "bar/bar_0.jpg").unlink()
    searcher.table.update("photo", folders["photo"], None, lambda done, total: None)
    maker = threading.Thread(target=searcher.search, args=(query,))
    maker.start()
    assert begun.wait(30) and searcher.search(query).searched == 24
    go.set()
    maker.join()
    assert searcher.search(query).searched == 23


def test_several_pictures_are_answered_in_order(searcher, folders):
    """Of every kind that is taken for a picture; one picture gives one answer, a sequence a list."""
    path = folders["sketch"] / "bar/bar_0.png"
    with Image.open(path) as image:
        answers = searcher.search([path, str(path), path.read_bytes(), image, np.asarray(image)], top=3)
    assert [answer.query for answer in answers] == [str(path), str(path), None, None, None]
    assert all(answer.hits == answers[0].hits for answer in answers)
    assert searcher.search([path], top=3) == [searcher.search(path, top=3)]
    assert searcher.search([]) == []
    (hit, *_) = answers[0]
    assert len(answers[0]) == 3 and answers[0][0] == hit


def test_pictures_that_are_none_are_refused(searcher, folders, refused):
    path = folders["sketch"] / "bar/bar_0.png"
    for wrong in (None, 3, [path, None], np.zeros((4, 4))):
        with pytest.raises(TypeError, match="expected a "):
            searcher.search(wrong)
    assert refused(searcher.search, [path, "none.png"]) == "none.png: No such file or directory"
    expected = "gallery: expected any of photo, sketch, received 'drawing'"
    assert refused(searcher.search, path, gallery="drawing") == expected


def test_a_stored_picture_is_looked_up_by_id(searcher, refused):
    photos = searcher.table.pictures("photo")
    stored = searcher.picture(photos.ids[3])
    assert (stored.path, stored.modality) == (photos.paths[3], "photo")
    assert stored.size == os.path.getsize(photos.paths[3])
    np.testing.assert_array_equal(stored.vector, photos.vectors[3])
    looked_up = []
    searcher.table.stored = lambda ids, stored=searcher.table.stored: looked_up.append(ids) or stored(ids)
    answer = searcher.search(photos.paths[0], kind="photo", top=5)
    assert [searcher.picture(hit.id).path for hit in answer] == [hit.path for hit in answer]
    assert [len(ids) for ids in looked_up] == [5]  # hits are looked up together
    searcher.table.number += 1
    searcher.picture(answer[0].id)
    assert len(looked_up) == 2
    assert refused(searcher.picture, "x' OR '1' = '1") == "no picture \"x' OR '1' = '1\" in the gallery"


def test_an_encoder_is_opened_once(folders):
    opened = []

    def open_encoder(modality):
        opened.append(modality)
        return ToyEncoder()

    searcher = Searcher(ToyTable(folders), open_encoder)
    threads = [threading.Thread(target=searcher.encoder, args=("sketch",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == ["sketch"]


def test_the_cutoff_is_for_drawings_among_photos(searcher, folders, monkeypatch):
    """Without one all is similar; other directions have distances of another range."""
    query = folders["sketch"] / "disc/disc_3.png"
    assert searcher.search(query).cutoff is None
    monkeypatch.setattr(ToyEncoder, "cutoff", 0.01)
    answer = searcher.search(query, top=3)
    assert answer.cutoff == 0.01 and not answer.any_similar and len(answer) == 3
    assert searcher.search(query, "sketch", "sketch").cutoff is None
    assert searcher.search(query, "photo", "photo").cutoff is None


def test_a_class_name_is_searched_alone_and_weighed_with_a_picture(folders, monkeypatch, refused):
    """The vector of a class is that of one of its sketches here; half-way between both by Euclidean distance."""
    disc, bar = folders["sketch"] / "disc/disc_3.png", folders["sketch"] / "bar/bar_1.png"
    vectors = ToyEncoder().embed([disc, bar])[0]
    searcher = toy_searcher(folders)
    assert searcher.class_names == () and "knows no class names" in refused(searcher.search, class_name="bar")
    monkeypatch.setattr(ToyEncoder, "class_vectors", ClassVectors(("disc", "bar"), vectors))
    monkeypatch.setattr(ToyEncoder, "cutoff", 0.01)
    pictures = searcher.table.pictures("photo")
    answer = searcher.search(class_name="Disc", top=5)
    check(answer, slowly(pictures, vectors[0], lambda place: True)[:5])
    assert (answer.query, answer.cutoff, searcher.class_names) == ("Disc", 0.01, ("disc", "bar"))
    check(searcher.search(bar, top=5, class_name="disc"), slowly(pictures, vectors.mean(0), lambda place: True)[:5])
    photo = searcher.picture(pictures.ids[0])
    between = slowly(pictures, (photo.vector + vectors[1]) / 2, lambda place: place > 0)
    check(searcher.like(photo.id, top=5, class_name="bar"), between[:5])
    assert "is 'cross'" in refused(searcher.search, bar, class_name="cross")
