"""Drawings of Quick, Draw! rendered from files the tests write; hostile files are refused in one line."""

import json

import numpy as np
import pytest
from helpers.toy_trees import NAMES, plant
from PIL import Image

from zscmr.datasets import drawings as quickdraw
from zscmr.datasets import layouts, pictures

CORNER = [[[0, 255], [0, 0]], [[0, 0], [0, 255]]]  # a stroke along the top edge, one down the left edge


def drawings_file(path, *drawings):
    """A .ndjson file; each drawing is its strokes, or the fields of its line."""
    lines = [drawing if isinstance(drawing, dict) else {"drawing": drawing} for drawing in drawings]
    base = {"word": path.stem, "countrycode": "DE", "recognized": True}
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        "".join(f"{json.dumps({**base, 'key_id': str(100 + row), **line})}\n" for row, line in enumerate(lines))
    )
    return path


def test_strokes_lie_where_their_coordinates_say():
    # At 160 pixels the margin is 10, the drawing 140 wide and the pen 2: the top edge lies at y = 10, about rows 9
    # and 10, from x = 10 to 150; the left edge at x = 10 likewise.
    ink = 255 - np.asarray(quickdraw.draw([[(0, 0), (255, 0)], [(0, 0), (0, 255)]], 160), int)
    assert ink.shape == (160, 160) and ink.max() == 255
    dark = ink > 127
    assert dark[9:11, 11:149].all() and dark[11:149, 9:11].all()
    assert not dark[:8].any() and not dark[:, :8].any() and not dark[12:, 12:].any() and not dark[:, 152:].any()


def test_a_narrow_drawing_is_centred_and_not_stretched():
    # 255 high, 51 wide: at 160 pixels 140 high and 28 wide, from x = 80 − 14 to 80 + 14
    points = [(0, 0), (51, 0), (51, 255), (0, 255), (0, 0)]
    rows, columns = np.nonzero(np.asarray(quickdraw.draw([points], 160)) < 128)
    assert (rows.min(), rows.max()) == pytest.approx((9, 150), abs=1)
    assert (columns.min(), columns.max()) == pytest.approx((65, 94), abs=1)


def test_a_stroke_of_one_point_is_a_dot():
    dark = np.asarray(quickdraw.draw([[(7, 7)]], 160)) < 128
    assert 2 <= dark.sum() <= 12 and dark[79:81, 79:81].any()


def test_classes_become_folders_of_pictures(tmp_path, capsys):
    raw = tmp_path / "raw"
    unknown = {"drawing": CORNER, "recognized": False}
    drawings_file(raw / "palm tree.ndjson", CORNER, {"drawing": CORNER, "key_id": "../x"}, CORNER, CORNER)
    drawings_file(raw / "bat.ndjson", unknown, CORNER, {"drawing": CORNER, "key_id": 101})
    for name in ("ant", "bee"):
        drawings_file(raw / f"{name}.ndjson", CORNER)
    out = tmp_path / "QuickDraw_sketches"
    options = {"drawings": raw, "out": out, "first": 3, "size": 64}
    quickdraw.render_drawings(quickdraw.DrawingOptions(**options, recognised=True))
    found = sorted(str(path.relative_to(out)) for path in out.rglob("*.png"))
    expected = ["ant/100.png", "bat/101.png", "bat/line-3.png", "bee/100.png"]
    assert found == [*expected, "palm tree/100.png", "palm tree/102.png", "palm tree/line-2.png"]
    with Image.open(out / "palm tree/100.png") as picture:
        assert picture.size == (64, 64) and picture.mode == "L"
        np.testing.assert_array_equal(picture, quickdraw.draw([[(0, 0), (255, 0)], [(0, 0), (0, 255)]], 64))
    assert layouts.list_pictures(tmp_path, "sketch").classes == ("ant", "bat", "bee", "palm tree")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    quickdraw.render_drawings(quickdraw.DrawingOptions(**options))
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before  # what is there stays
    assert f"{out / 'ant'} is already there" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("[1]", "expected a JSON object, received a list"),
        ('{"drawing":', "not readable as JSON"),
        ("[" * 100_000, "not readable as JSON"),
        ('{"drawing": [[[0],[0]]]}' + " " * quickdraw.LONGEST_LINE, "longer than 1,048,576 bytes"),
        ('{"word": "bat"}', "expected simplified strokes"),
        ('{"drawing": []}', "expected simplified strokes"),
        ('{"drawing": [[[], []]]}', "expected simplified strokes"),
        ('{"drawing": [[[0, 1], [0]]]}', "expected simplified strokes"),
        ('{"drawing": [[[0, 1], [0, 1], [0, 9]]]}', "expected simplified strokes"),  # the raw form, with times
        ('{"drawing": [[[0, 256], [0, 1]]]}', "of numbers from 0 to 255"),
        ('{"drawing": [[[0, NaN], [0, 1]]]}', "of numbers from 0 to 255"),
        ('{"drawing": [[[0, true], [0, 1]]]}', "of numbers from 0 to 255"),
        ('{"drawing": [[[0, 1e999], [0, 1]]]}', "of numbers from 0 to 255"),
        ("", "no drawings in it"),
    ],
)
def test_what_is_no_drawing_is_refused_and_leaves_nothing(tmp_path, refused, line, why):
    file = drawings_file(tmp_path / "bat.ndjson", *[CORNER] * bool(line))
    file.write_text(file.read_text() + line)
    settings = quickdraw.DrawingOptions(drawings=file, out=tmp_path / "out")
    message = refused(quickdraw.render_drawings, settings)
    assert message.startswith(f"{file} line 2: " if line else f"{file}: ") and why in message
    assert not list((tmp_path / "out").rglob("*"))


def test_a_folder_without_drawings_is_refused(tmp_path, refused):
    settings = quickdraw.DrawingOptions(drawings=tmp_path, out=tmp_path / "out")
    assert refused(quickdraw.render_drawings, settings) == f"{tmp_path}: no .ndjson file, nor a folder of them"


def test_a_drawing_is_a_picture_with_a_path(tmp_path):
    """The second line begins after the first and an empty one; the unrecognised third is not listed."""
    file = drawings_file(tmp_path / "raw" / "fox.ndjson", CORNER, CORNER[:1], {"drawing": CORNER, "recognized": False})
    first, second, third = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(first + b"\n" + second + third)
    paths = quickdraw.list_drawings(file)
    assert paths == [f"{file}/0", f"{file}/{len(first) + 1}"]
    assert all(map(quickdraw.is_drawing, paths))
    assert not any(map(quickdraw.is_drawing, (str(file), f"{file}/x", f"{tmp_path}/0", None, b"a.ndjson/0")))
    assert quickdraw.read_strokes(paths[1]) == [[(0, 0), (255, 0)]]
    expected = np.asarray(quickdraw.draw(quickdraw.read_strokes(paths[0]), 256).convert("RGB"))
    np.testing.assert_array_equal(pictures.read_picture(paths[0], 256), expected)


def test_a_damaged_line_is_an_unreadable_picture(tmp_path):
    file = drawings_file(tmp_path / "raw" / "fox.ndjson", CORNER)
    file.write_bytes(b"{" + file.read_bytes())
    with pytest.raises(OSError, match=r"fox\.ndjson/0: .*not readable as JSON"):
        pictures.read_picture(f"{file}/0", 64)


def test_files_of_drawings_are_classes_beside_folders(tmp_path):
    """Both roots have a fox; the owl has drawings alone."""
    plant(tmp_path / "drawn", "", ("one.png",))
    for name in ("fox", "owl"):
        drawings_file(tmp_path / "quick" / f"{name}.ndjson", CORNER, CORNER)
    tree = layouts.list_pictures((tmp_path / "drawn", tmp_path / "quick"), "sketch")
    assert tree.root == tmp_path and set(tree.classes) == {*NAMES, "fox", "owl"}
    counts = dict(zip(tree.classes, np.bincount(tree.labels).tolist(), strict=True))
    assert counts == {**dict.fromkeys(NAMES, 1), "fox": 2 + ("fox" in NAMES), "owl": 2 + ("owl" in NAMES)}
    assert sum(map(quickdraw.is_drawing, tree.paths())) == 4
    assert layouts.listing_hash(tree) == layouts.listing_hash(tree)


def test_a_picture_named_as_a_drawing_s_offset_counts(tmp_path):
    """Drawings of two folders begin at byte 0 both, a picture may be called 0.png; a hidden file is left out."""
    for folder in ("one", "two"):
        drawings_file(tmp_path / folder / "fox.ndjson", CORNER)
    drawings_file(tmp_path / "one" / "._fox.ndjson", CORNER)
    picture = tmp_path / "three/fox/0.png"
    picture.parent.mkdir(parents=True)
    Image.new("L", (8, 8)).save(picture)
    tree = layouts.list_pictures([tmp_path / folder for folder in ("one", "two", "three")], "sketch")
    assert sorted(tree.files) == ["one/fox.ndjson/0", "three/fox/0.png", "two/fox.ndjson/0"]
    assert len(layouts.first_of_each_class(tree, 1, "sketch").files) == 1
