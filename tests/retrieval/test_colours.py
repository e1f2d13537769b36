"""Colours of photos: read when they are added, weighed with drawings in colours, filled in for earlier versions."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.toy_gallery import DIM, ToyEncoder
from PIL import Image, ImageDraw

from zscmr.datasets.crayons import CRAYONS
from zscmr.inference.class_vectors import ClassVectors
from zscmr.inference.windows import Windows
from zscmr.retrieval import Filter, Searcher, updates
from zscmr.retrieval import searcher as module
from zscmr.retrieval.schema import File, Identity, packed_colours, rows
from zscmr.retrieval.searcher import NOT_READ, WEIGHED, Queries
from zscmr.retrieval.table import Table
from zscmr.retrieval.table_index import NOT_WEIGHED

IDENTITY = Identity(DIM, "cosine", "toy")
CRAYON = {"red": 3, "green": 6, "blue": 8}  # rows of CRAYONS


class Encoder(ToyEncoder):
    """Every picture has the same vector, so that colours alone order them."""

    cutoff, class_vectors = 0.5, None

    def embed(self, paths, step=None, notice=None):
        vectors, readable = super().embed(paths, step, notice)
        return np.ones_like(vectors), readable


@pytest.fixture
def folder(tmp_path):
    for name, row in CRAYON.items():
        (tmp_path / "in").mkdir(exist_ok=True)
        Image.new("RGB", (64, 64), tuple(CRAYONS[row].tolist())).save(tmp_path / f"in/{name}.png")
    return tmp_path / "in"


def added(tmp_path, folder):
    table = Table.open(tmp_path / "g", IDENTITY)
    table.update("photo", folder, Encoder())
    return table


def drawn(path, colour):
    sheet = Image.new("RGB", (100, 100), "white")
    ImageDraw.Draw(sheet).ellipse([10, 10, 90, 90], outline=colour, width=4)
    sheet.save(path)
    return path


def search(table, query, **options):
    searcher = Searcher(table, lambda modality: Encoder(), **options)
    answer = searcher.search(query)
    return [hit.name.rsplit("/")[-1][:-4] for hit in answer], answer


def test_a_drawing_in_colours_finds_photos_of_its_colours(tmp_path, folder):
    """All vectors are equal: a distance is the weight times the difference, 0 for the same colour and 1 for others."""
    table = added(tmp_path, folder)
    names, answer = search(table, drawn(tmp_path / "q.png", tuple(CRAYONS[CRAYON["green"]].tolist())))
    assert names[0] == "green" and answer.colours == WEIGHED
    assert answer[0].distance < 0.1 * module.COLOUR_WEIGHT
    assert answer[2].distance == pytest.approx(module.COLOUR_WEIGHT, rel=0.1)
    assert answer.cutoff == 0.5 + module.COLOUR_WEIGHT * module.USUAL_DIFFERENCE


def test_black_drawings_are_answered_as_before(tmp_path, folder):
    """By the vectors alone, in the order of being added, also beside a drawing in colours."""
    searcher = Searcher(added(tmp_path, folder), lambda modality: Encoder())
    black, blue = (drawn(tmp_path / f"{name}.png", name) for name in ("black", "blue"))
    alone, (beside, coloured) = searcher.search(black), searcher.search([black, blue])
    [vector] = searcher.search_vectors(np.ones((1, DIM), np.float32))
    assert alone.hits == beside.hits == vector.hits and coloured[0].name.endswith("blue.png")
    assert (alone.colours, alone.cutoff) == ("", 0.5)


def test_above_memory_colours_are_left_out(tmp_path, folder):
    names, answer = search(added(tmp_path, folder), drawn(tmp_path / "q.png", "lime"), memory=0)
    assert answer.colours == NOT_WEIGHED and answer.cutoff == 0.5 and len(names) == 3


def of_earlier_version(tmp_path, folder, monkeypatch):
    """The photos of the folder in a gallery without colours."""
    with monkeypatch.context() as earlier:
        earlier.setattr(Table, "add_colours", lambda table: None)
        earlier.setattr(updates, "_fill_colours", lambda *_: None)
        table = Table.open(tmp_path / "g", replace(IDENTITY, coloured=False))
        table.update("photo", folder, Encoder())
    return table


@pytest.mark.parametrize("thumbnails", [True, False])
def test_a_gallery_of_an_earlier_version_gets_colours_when_it_is_added_again(tmp_path, folder, thumbnails, monkeypatch):
    """From thumbnails or from the files; nothing is embedded again."""
    table = of_earlier_version(tmp_path, folder, monkeypatch)
    query = drawn(tmp_path / "q.png", "blue")
    assert not table.identity.coloured and search(table, query)[1].colours == NOT_READ
    if not thumbnails:
        table.thumbnails.delete(table.pictures("photo").ids)
    encoder = Encoder()
    behind = Table.open(tmp_path / "g", replace(IDENTITY, coloured=False))
    assert table.update("photo", folder, encoder).kept == 3 and not encoder.embedded
    behind.add_colours()  # the other was faster
    assert behind.identity.coloured
    names, answer = search(Table.open(tmp_path / "g", IDENTITY), query)
    assert names[0] == "blue" and answer.colours == WEIGHED
    assert table.without_colours(folder) == []


def test_a_server_follows_colours_that_another_process_adds(tmp_path, folder, monkeypatch):
    """It searches with them, and adds sketches, which have none."""
    table = of_earlier_version(tmp_path, folder, monkeypatch)
    server, query = Searcher(table, lambda modality: Encoder()), drawn(tmp_path / "q.png", "blue")
    assert server.search(query).colours == NOT_READ
    behind = Table.open(tmp_path / "g", IDENTITY)
    Table.open(tmp_path / "g", IDENTITY).update("photo", folder, Encoder())
    answer = server.search(query)
    assert answer.colours == WEIGHED and answer[0].name.endswith("blue.png")
    assert not behind.identity.coloured and behind.update("sketch", folder, Encoder()).added == 3
    assert server.search(query, gallery="sketch").colours == ""


def test_colours_beside_filters_windows_and_names(tmp_path):
    """Four photos of equal vectors, each nearest by its last window; the second and fourth are of the class."""
    windows = Windows("fast", 64, 2, ((1, 1),), penalty=0.0)
    identity = replace(IDENTITY, windows=windows)
    files = [File(f"/{name}.jpg", name[:3]) for name in ("ant1", "bee1", "ant2", "bee2")]
    one, other = np.eye(DIM, dtype=np.float32)[:2]
    vectors = np.tile([*[one] * windows.count, other], (4, 1, 1))
    colours = packed_colours(np.eye(12)[[CRAYON["red"]] * 2 + [CRAYON["green"]] * 2])
    table = Table.open(tmp_path / "g", identity)
    table.write(rows(identity, "photo", files, [True] * 4, vectors, optional={"colours": colours}))
    encoder = Encoder()
    encoder.class_vectors = ClassVectors(("one",), other[None])
    searcher = Searcher(table, lambda modality: encoder)
    green = Queries(other[None], "one", [np.eye(12)[CRAYON["green"]]])
    [answer] = searcher.search_embedded(green, filters=Filter(("bee",)))
    assert [hit.name for hit in answer] == ["/bee2.jpg", "/bee1.jpg"] and answer.colours == WEIGHED
    assert answer[0].box == tuple(windows.boxes()[-1])
    assert answer[1].distance - answer[0].distance == pytest.approx(module.COLOUR_WEIGHT)
    assert answer.parts().shape == (2, 1 + windows.count, DIM)


def test_photos_of_unknown_colours_are_neither_nearer_nor_farther(tmp_path, folder):
    """Next to a photo of the colour (0) and one of another (1), the unknown one counts 0.5."""
    table = added(tmp_path, folder)
    vectors, one = np.ones((1, DIM), np.float32), np.eye(12, dtype=np.float32)
    pictures = table.pictures("photo")
    rows = [list(pictures.names).index(str(folder / f"{name}.png")) for name in CRAYON]
    colours = np.full((3, 12), np.nan, np.float32)
    colours[rows[0]], colours[rows[1]] = one[3], one[6]
    view = module.View(replace(pictures, colours=colours), IDENTITY)
    [answer] = view.search(vectors, 3, colours=Queries(vectors, colours=[one[3]]).colours)
    assert [hit.id for hit in answer] == [pictures.ids[rows[place]] for place in (0, 2, 1)]
    np.testing.assert_allclose(
        [hit.distance for hit in answer], np.multiply(module.COLOUR_WEIGHT, [0, 0.5, 1]), atol=1e-4
    )
