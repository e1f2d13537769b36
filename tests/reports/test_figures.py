"""What `--figures` draws and writes: the report, each figure, the shell line that makes it again, the map's t-SNE."""

import contextlib
import html
import json
import shlex

import matplotlib.image
import numpy as np
import pytest
from helpers.toy_features import command_line, features_file, picture_tree

from zscmr.commands import evaluate as knn_eval
from zscmr.reports import grid, plots
from zscmr.reports import page as report
from zscmr.reports.tsne import tsne
from zscmr.utils import cli
from zscmr.utils.options import command


def test_figures_and_report(tmp_path):
    leaked = "the CNNs were trained on <all> of them"
    folders = {"picturesx": str(tmp_path / "photos"), "picturesy": str(tmp_path / "sketches")}
    variables = features_file(tmp_path / "f.mat", leaked=leaked, **folders)
    picture_tree(tmp_path / "photos", variables["namesx"])
    picture_tree(tmp_path / "sketches", variables["namesy"])
    config = {"settings": {"preset": "paper"}, "features": {"backbone": "small", "trained_on": ["ant", "cow"]}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    command_line(tmp_path / "f.mat", "--compare", "--figures", tmp_path / "out")
    drawn = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert drawn == ["classes.png", "confusion.png", "curves.png", "map.png", "report.html", "retrieval.png"]
    page = (tmp_path / "out/report.html").read_text()
    assert page.count("data:image/png;base64,") == 5 and "http" not in page
    assert page.count("the CNNs were trained on &lt;all&gt; of them") == 1 + 5 + 3  # top, captions, tables
    assert "mAP@200 interpolated, / min(k, R)" in page
    assert f"$ python knn_eval.py {tmp_path / 'f.mat'} --compare --figures {tmp_path / 'out'}" in html.unescape(page)
    assert "6-d float32" in page and "preset paper" in page and "backbone small" in page
    for name in drawn:
        if name.endswith("png"):
            pixels = matplotlib.image.imread(tmp_path / "out" / name)[..., :3]
            red = np.abs(pixels - np.array([0xD0, 0x34, 0x2C]) / 255).max(-1) < 0.1
            assert red[: len(red) // 2].sum() > 50, name  # the warning above each


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """{file name: Figure} of everything that `--figures` draws of a file with these variables."""

    def draw(*words, **variables):
        kept = {}

        def keep_grid(path, title, subtitle, lines, leaked=""):
            kept.update({path.name: lines, "subtitle": subtitle})
            return 0, 0

        monkeypatch.setattr(plots, "save_figure", lambda figure, path: kept.update({path.name: figure}))
        monkeypatch.setattr(grid, "picture_grid", keep_grid)
        monkeypatch.setattr(report, "whole_file", lambda path: contextlib.nullcontext(tmp_path / "page"))
        monkeypatch.setattr(report, "base64_of", lambda path: "")
        features_file(tmp_path / "f.mat", **variables)
        command_line(tmp_path / "f.mat", "--figures", tmp_path / "out", *words)
        return kept

    return draw


def test_curves_end_with_the_gallery(drawn):
    """Ten photos and six sketches of unseen classes: P@k has no point beyond 10, 6, and within a modality one less."""
    right = drawn()["curves.png"].axes[1]
    lines = {line.get_label(): line.get_xdata() for line in right.get_lines()}
    last = {"sketch → image": 10, "image → sketch": 6, "sketch → sketch": 5, "image → image": 9}
    assert {name: x[-1] for name, x in lines.items()} == {
        name: max(k for k in plots.DEPTHS if k <= gallery) for name, gallery in last.items()
    }
    assert right.get_xlim()[1] <= 10


def test_confusion_shows_shares_in_numbers(drawn):
    """All of cat's ten nearest are five cats and five dogs; so are dog's: there are no more photos."""
    axes = drawn()["confusion.png"].axes[0]
    assert [text.get_text() for text in axes.texts] == ["50"] * 4


def test_grid_and_confusion_are_of_the_first_direction(drawn):
    """image->sketch finds all six sketches, three of each class; image->image all photos but the query, of five of its
    own class four."""
    kept = drawn("--directions", "image->sketch", "sketch->image")
    assert [len(line.retrieved) for line in kept["retrieval.png"]] == [6, 6]
    axes = kept["confusion.png"].axes[0]
    assert [text.get_text() for text in axes.texts] == ["50"] * 4
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("class of the retrieved sketches", "class of the photo")
    kept = drawn("--directions", "image->image")
    assert [[cell.name for cell in line.retrieved].count(line.title) for line in kept["retrieval.png"]] == [4, 4]
    assert [text.get_text() for text in kept["confusion.png"].axes[0].texts] == ["44", "56", "56", "44"]


def test_figures_say_where_seen_classes_stand(drawn):
    def told(*words, **variables):
        kept = drawn(*words, **variables)
        return {"retrieval.png": kept["subtitle"]} | {
            name: "; ".join(text.get_text() for text in figure.texts)
            for name, figure in kept.items()
            if name not in ("retrieval.png", "subtitle")
        }

    assert not any("generalised" in words for words in told().values())
    both = told("--generalised", "pcmsn")
    assert both.pop("map.png").endswith("generalised: seen classes among the photos and the sketches")
    assert both.pop("classes.png").endswith("unseen queries; generalised: seen classes among the gallery")
    assert len(both) == 3
    assert all(words.endswith("generalised: seen classes among the queries and the gallery") for words in both.values())
    # sketches of unseen classes alone
    gallery = told("--generalised", "pcmsn", "--directions", "sketch->image", labelsy=np.repeat([[1], [3]], 6, axis=0))
    assert gallery.pop("map.png").endswith("generalised: seen classes among the photos")
    assert all(words.endswith("generalised: seen classes among the gallery") for words in gallery.values())


def test_names_on_the_map_have_the_colour_of_their_points(drawn):
    left, right = drawn()["map.png"].axes
    for axes in (left, right):
        dots = axes.collections[0].get_facecolor()[:, :3]  # five cats, then five dogs
        names = {text.get_text(): text.get_color() for text in axes.texts}
        np.testing.assert_allclose([names["cat"], names["dog"]], 0.85 * dots[[0, -1]])


def test_rows_of_the_grid_are_in_order(drawn):
    everyone = {"unseen": None, "classes": ["pear", "apple", "Fig", "date"]}
    lines = drawn(**everyone, namesx=None, namesy=None)["retrieval.png"]
    assert [line.title for line in lines] == ["apple", "date", "Fig", "pear"]


def test_the_shell_line_of_a_report_can_be_given_again():
    words = [
        "a file.mat",
        "--directions",
        "sketch->image",
        "image->image",
        "--json",
        "my results.json",
        "--queries",
        "5",
    ]
    settings = cli.parse(knn_eval.Settings, "", words)
    line = shlex.split(command("knn_eval.py", settings))
    assert line[:3] == ["python", "knn_eval.py", "a file.mat"]
    assert cli.parse(knn_eval.Settings, "", line[2:]) == settings


def test_tsne_keeps_neighbourhoods_and_is_repeatable():
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 25)
    cloud = 6 * random.normal(size=(4, 10))[labels] + random.normal(size=(100, 10))
    flat = tsne(cloud)
    assert flat.shape == (100, 2) and np.array_equal(flat, tsne(cloud))
    assert (labels[knn_eval.rank(flat, flat, "euclidean", np.arange(100))[:, :5]] == labels[:, None]).mean() > 0.95
