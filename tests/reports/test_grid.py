"""The retrieval grid: which queries, in which order, of which direction."""

import itertools

import numpy as np
import pytest
from helpers.toy_features import command_line, features_file, picture_tree
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from zscmr.reports import grid


def test_grid_and_confusion_are_of_the_first_direction(drawn):
    """image->sketch finds all six sketches, three of each class; image->image all photos but the query, of five of its
    own class four."""
    texts = drawn("--directions", "image->sketch", "sketch->image")
    assert [len(line.retrieved) for line in texts["retrieval.png"]] == [6, 6]
    axes = texts["confusion.png"].axes[0]
    assert [text.get_text() for text in axes.texts] == ["50"] * 4
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("class of the retrieved sketches", "class of the photo")
    texts = drawn("--directions", "image->image")
    assert [[cell.name for cell in line.retrieved].count(line.title) for line in texts["retrieval.png"]] == [4, 4]
    assert [text.get_text() for text in texts["confusion.png"].axes[0].texts] == ["44", "56", "56", "44"]


def test_rows_of_the_grid_are_in_order(drawn):
    everyone = {"unseen": None, "classes": ["pear", "apple", "Fig", "date"]}
    lines = drawn(**everyone, namesx=None, namesy=None)["retrieval.png"]
    assert [line.title for line in lines] == ["apple", "date", "Fig", "pear"]


def test_retrieval_grid_shows_pictures_and_frames(tmp_path, capsys):
    variables = features_file(
        tmp_path / "f.mat", picturesx=str(tmp_path / "photos"), picturesy=str(tmp_path / "sketches")
    )
    picture_tree(tmp_path / "photos", variables["namesx"])
    picture_tree(tmp_path / "sketches", variables["namesy"])
    command_line(tmp_path / "f.mat", "--figures", tmp_path / "figures")
    output = capsys.readouterr()
    assert output.err == ""
    assert f"wrote {tmp_path / 'figures' / 'retrieval.png'}" in output.out
    colours = pixels(tmp_path / "figures" / "retrieval.png")
    for colour in ((0, 0, 255), (0x2A, 0x9D, 0x4A), (0xD0, 0x34, 0x2C)):  # the pictures; a right and a wrong frame
        assert (colours == colour).all(axis=1).sum() > 100


def test_retrieval_grid_without_pictures_says_so(tmp_path, capsys):
    features_file(tmp_path / "f.mat", picturesx=str(tmp_path / "gone"))
    command_line(tmp_path / "f.mat", "--figures", tmp_path)
    complaints = capsys.readouterr().err.splitlines()
    # Two unseen classes, so 2 queries; each with all 10 photos of the gallery.
    assert complaints[0].endswith("class names in place of 2 pictures: featuresy comes without a picture folder")
    assert complaints[1].endswith(f"class names in place of 20 pictures: not found in {tmp_path / 'gone'}")
    assert len(pixels(tmp_path / "retrieval.png")) > 1e5
    assert not (pixels(tmp_path / "retrieval.png") == (0, 0, 255)).all(axis=1).any()


def pixels(path):
    from PIL import Image

    return np.asarray(Image.open(path).convert("RGB")).reshape(-1, 3)


def test_box_in_a_padded_square():
    """200 × 100 in a square of 100: scaled to 100 × 50, 25 pixels of padding above."""
    assert grid.box_in_square((0.25, 0.0, 0.75, 0.5), (200, 100), 100) == (25, 25, 74, 49)
    assert grid.box_in_square((0, 0, 1, 1), (30, 60), 60) == (15, 0, 44, 59)


@pytest.mark.parametrize("name", ["W" * 40, "i" * 40, "long name " * 4, "猫" * 20, "aardvark"])
def test_long_names_are_cut_to_the_room_under_their_picture(tmp_path, monkeypatch, name):
    Image.new("RGB", (90, 60), "white").save(tmp_path / "1.png")
    figures, render = [], grid.rendered
    monkeypatch.setattr(grid, "rendered", lambda figure: figures.append(figure) or render(figure))
    cells = [grid.FramedPicture(tmp_path / "1.png", name, f"{name}\n0.100") for _ in range(3)]
    lost = [grid.FramedPicture(None, name)] * 2
    grid.picture_grid(tmp_path / "grid.png", "Title", "subtitle", [grid.Line(name, cells[0], cells + lost)])
    (figure,) = figures
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in figure.texts]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))
    assert all(box.x0 >= 0 and box.x1 <= figure.bbox.width for box in boxes)
    notes = [text.get_text() for text in figure.texts if "0.100" in text.get_text()]
    assert len({*notes}) == 1 and ("…" in notes[0]) == (name != "aardvark")


def test_a_box_is_outlined(tmp_path):
    Image.new("RGB", (90, 60), "white").save(tmp_path / "1.png")
    for box in (None, (0.1, 0.2, 0.9, 0.8)):
        cell = grid.FramedPicture(tmp_path / "1.png", "1", box=box)
        grid.picture_grid(tmp_path / "grid.png", "Title", "subtitle", [grid.Line("1", cell, [cell])])
        orange = (pixels(tmp_path / "grid.png") == (0xFF, 0x8C, 0x00)).all(axis=1).sum()
        assert (orange > 0) == (box is not None)
