"""The miniature dataset: its two hand-written lists, its pictures, its class vectors."""

import itertools
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.ft2font import FT2Font
from PIL import Image

from zscmr.datasets import miniature
from zscmr.datasets.classes import read_class_list
from zscmr.datasets.miniature import MiniatureOptions as Settings
from zscmr.datasets.miniature import draw_miniature
from zscmr.utils.errors import BadInput

PICTOGRAPHS = miniature.read_classes()
UNSEEN = read_class_list(miniature.UNSEEN_FILE)


def files_of(folder):
    """{relative path: bytes} of every file below `folder`."""
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """All classes, one photo and one sketch each."""
    out = tmp_path_factory.mktemp("miniature") / "full"
    draw_miniature(Settings(out=out, per_class=1))
    return out


def test_names_and_code_points_are_unique_and_in_the_font():
    names = [p.name for p in PICTOGRAPHS]
    code_points = [p.code_point for p in PICTOGRAPHS]
    assert 100 <= len(names) == len(set(names)) == len(set(code_points))
    assert set(code_points) <= set(FT2Font(str(miniature.FONT_FILE)).get_charmap())
    assert all(name == name.lower() and name.isidentifier() for name in names)


def test_24_unseen_classes_each_with_a_seen_relative_in_its_sub_family():
    by_name = {p.name: p for p in PICTOGRAPHS}
    assert len(UNSEEN) == len(set(UNSEEN)) == 24
    assert set(UNSEEN) <= set(by_name)
    families_seen = {p.path[:-1] for p in PICTOGRAPHS if p.name not in UNSEEN}
    assert {by_name[name].path[:-1] for name in UNSEEN} <= families_seen


def test_glyph_outline_stands_upright():
    """The umbrella's canopy is up and wide, its stick down and narrow; y points downwards."""
    points = np.concatenate(miniature.outline(next(p.code_point for p in PICTOGRAPHS if p.name == "umbrella")))
    assert np.abs(points).max() == pytest.approx(1, abs=0.02)
    assert np.ptp(points[points[:, 1] < 0, 0]) > 2 * np.ptp(points[points[:, 1] > 0.5, 0])


def test_fill_leaves_a_contour_within_a_contour_open():
    square = np.array([[0.0, 0.0], [1, 0], [1, 1], [0, 1]])
    coverage = np.asarray(miniature.fill([square * 28 + 2, square * 12 + 10], 32))
    assert coverage[5, 5] == 255 and coverage[16, 16] == 0 and coverage[0, 0] == 0


def test_every_picture_shows_something(full):
    """Photos are colour, 48 x 48 and not flat; sketches are grey, mostly paper, with some ink."""
    photos, sketches = sorted((full / "photo").rglob("*.jpg")), sorted((full / "sketch").rglob("*.png"))
    assert len(photos) == len(sketches) == len(PICTOGRAPHS)
    for path in photos:
        photo = np.asarray(Image.open(path))
        assert photo.shape == (48, 48, 3) and photo.std() > 10, path
    for path in sketches:
        sketch = np.asarray(Image.open(path))
        assert sketch.shape == (48, 48), path
        assert sketch.max() == 255 and 0.02 < (sketch < 128).mean() < 0.6, path


def test_same_seed_same_bytes_and_another_seed_other_pictures(tmp_path):
    for name, seed in (("once", 3), ("again", 3), ("other", 4)):
        draw_miniature(Settings(out=tmp_path / name, seed=seed, per_class=2, classes=6))
    once, again, other = (files_of(tmp_path / name) for name in ("once", "again", "other"))
    assert once == again
    pictures = [path for path in once if path.suffix in (".jpg", ".png")]
    assert len(pictures) == 6 * 2 * 2
    assert all(once[path] != other[path] for path in pictures)
    vectors = Path("class_vectors.npz")
    assert once[vectors] == other[vectors]  # the taxonomy does not depend on the seed


def test_a_slice_has_the_full_set_s_pictures(full, tmp_path):
    """12 of some 110 classes: 3 of the 24 unseen, to the nearest; each picture and vector as in the full set."""
    draw_miniature(Settings(out=tmp_path / "slice", per_class=1, classes=12))
    part, whole = files_of(tmp_path / "slice"), files_of(full)
    pictures = [path for path in part if path.suffix in (".jpg", ".png")]
    assert len(pictures) == 12 * 2
    assert all(part[path] == whole[path] for path in pictures)
    assert len((tmp_path / "slice" / "unseen.txt").read_text().split()) == 3
    some, every = (np.load(folder / "class_vectors.npz") for folder in (tmp_path / "slice", full))
    rows = [every["classes"].tolist().index(name) for name in some["classes"]]
    assert np.array_equal(some["taxonomy"], every["taxonomy"][rows])


def test_class_vectors_hold_the_taxonomy(full):
    """Unit vectors; the cosine is about the share of the path in common: siblings 2/3, cousins 1/3, strangers 0."""
    stored = np.load(full / "class_vectors.npz")
    vectors = stored["taxonomy"]
    assert stored["classes"].tolist() == [p.name for p in PICTOGRAPHS]
    assert vectors.shape == (len(PICTOGRAPHS), 300) and vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    cosines = {0: [], 1: [], 2: []}  # by the number of nodes in common
    for a, b in itertools.combinations(range(len(PICTOGRAPHS)), 2):
        pairs = zip(PICTOGRAPHS[a].path, PICTOGRAPHS[b].path, strict=True)
        cosines[sum(x == y for x, y in pairs)].append(vectors[a] @ vectors[b])
    assert [np.mean(cosines[shared]) for shared in (2, 1, 0)] == pytest.approx([2 / 3, 1 / 3, 0], abs=0.05)
    assert min(cosines[2]) > max(cosines[0])


def test_the_same_miniature_is_left_alone_and_any_other_folder_is_refused(tmp_path, capsys):
    settings = Settings(out=tmp_path / "mini", per_class=1, classes=4)
    draw_miniature(settings)
    before = files_of(tmp_path / "mini")
    draw_miniature(settings)
    assert "already" in capsys.readouterr().out
    with pytest.raises(BadInput, match="mini: exists"):
        draw_miniature(Settings(out=tmp_path / "mini", per_class=2, classes=4))
    assert files_of(tmp_path / "mini") == before


def test_a_failed_drawing_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(miniature, "draw_sketch", None)
    with pytest.raises(TypeError):
        draw_miniature(Settings(out=tmp_path / "mini", per_class=1, classes=4))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"per_class": 0}, "--per-class should be at least 1, received 0"),
        ({"seed": -1}, "--seed should be at least 0, received -1"),
        ({"size": 8}, "--size should be at least 16, received 8"),
        ({"classes": 3}, "--classes: expected 0 or at least 4 (two seen, two unseen), received 3"),
        ({"classes": -1}, "--classes should be at least 0, received -1"),
    ],
)
def test_settings_that_cannot_be_drawn_are_refused(tmp_path, refused, wrong, expected):
    assert refused(lambda: draw_miniature(Settings(out=tmp_path / "mini", **wrong))) == expected
    assert not (tmp_path / "mini").exists()


def test_script_ends_with_2_and_one_line_when_the_folder_is_in_use(script, tmp_path):
    """Run from elsewhere, as a script: it finds the repository's modules, and never touches a foreign folder."""
    done = script("data/make_miniature.py", "--out", tmp_path, cwd=tmp_path, status=2)
    assert done.stderr.count("\n") == 1 and str(tmp_path) in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_font_is_the_one_that_comes_with_matplotlib():
    assert miniature.FONT_FILE.is_file()
    assert miniature.FONT_FILE.is_relative_to(matplotlib.get_data_path())
