"""The report of an evaluation: its figures, its page, and the shell line that makes it again."""

import html
import json
import shlex

import matplotlib.image
import numpy as np
import pytest
from helpers.toy_features import command_line, features_file, picture_tree

from zscmr.commands import evaluate as knn_eval
from zscmr.utils import cli
from zscmr.utils.options import command


@pytest.mark.slow
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
    assert "6-d float32" in page
    for name, value in (("preset", "paper"), ("backbone", "small")):
        assert f'<tr><th scope="row">{name}</th><td>{value}</td></tr>' in page
    assert "trained_on" not in page
    for name in drawn:
        if name.endswith("png"):
            pixels = matplotlib.image.imread(tmp_path / "out" / name)[..., :3]
            red = np.abs(pixels - np.array([0xD0, 0x34, 0x2C]) / 255).max(-1) < 0.1
            assert red[: len(red) // 2].sum() > 50, name  # the warning above each


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
