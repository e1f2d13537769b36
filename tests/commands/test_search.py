"""The command search: answers, filters, queries, files, what is added, the page; bad input."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import keras
import numpy as np
import pytest
from helpers.finished_run import NAMES, find, forget_encoders
from helpers.project import ROOT, posix
from helpers.toy_shapes import draw
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from zscmr.commands import evaluate as knn_eval
from zscmr.commands import search
from zscmr.formats import matfiles
from zscmr.inference.export_graph import write_tflite
from zscmr.inference.windows import Windows
from zscmr.reports import grid
from zscmr.retrieval.run_gallery import open_run_table
from zscmr.training.export import PooledMaps
from zscmr.utils.files import write_json


@pytest.fixture
def folder(finished, tmp_path):
    """A copy of the run, to be changed; its dataset and pictures stay where they are."""
    shutil.copytree(finished / "run", tmp_path / "run")
    return tmp_path


def test_answers_are_those_of_the_ranking(finished, folder, capsys):
    """Sketches of the run as queries: order, names and distances against a full sort of its own embeddings."""
    queries = [finished / "sketch/ant/ant_1.png", finished / "sketch/dog/dog_3.png"]
    found = find(folder, *queries, top=7)
    features = knn_eval.load(folder / "run/unified_features.mat")
    for query, answer in zip(queries, found["queries"], strict=True):
        row = features.sketch.names.index(f"{query.parent.name}/{query.name}")
        apart = np.linalg.norm(features.photo.vectors.astype(float) - features.sketch.vectors[row], axis=1)
        order = np.argsort(apart)[:7]
        assert [one["name"] for one in answer["found"]] == [features.photo.names[row] for row in order]
        np.testing.assert_allclose([one["distance"] for one in answer["found"]], apart[order], rtol=1e-4)
        assert all(one["class"] == one["name"].split("/")[0] for one in answer["found"])
    output = capsys.readouterr()
    assert "2 queries answered in" in output.out and not (folder / "run/search.png").exists()
    told = f"warning: {queries[0]} and 1 more look like photos, not drawn; "  # they are of noise
    assert output.err == f"{told}--query-kind photo searches with photos\n"
    find(folder, *queries, top=7, grid=folder / "search.png")
    with Image.open(folder / "search.png") as drawn:
        colours = np.asarray(drawn).reshape(-1, 3)
    right = sum(
        one["class"] == q.parent.name for q, a in zip(queries, found["queries"], strict=True) for one in a["found"]
    )
    for colour, count in (((0x2A, 0x9D, 0x4A), right), ((0xD0, 0x34, 0x2C), 14 - right)):
        assert ((colours == colour).all(axis=1).sum() > 100) == (count > 0)


def test_any_direction_and_unseen_classes_alone(finished, folder):
    photo = finished / "photo/fox/fox_2.jpg"
    first = find(folder, photo, query_kind="photo")["queries"][0]["found"][0]
    assert first["name"] == "fox/fox_2.jpg" and first["distance"] < 1e-2
    found = find(folder, photo, query_kind="photo", gallery_kind="sketch", unseen_only=True, top=100)
    assert found["gallery"] == {"modality": "sketch", "pictures": 8, "unseen_only": True, "search": "exact"}
    assert {one["class"] for one in found["queries"][0]["found"]} == {"dog", "fox"}


def test_filters_and_a_gallery_larger_than_memory(finished, folder, capsys, refused):
    """The table, read instead of held in memory, gives the same answers; both leave out what is not wanted."""
    query = finished / "sketch/ant/ant_1.png"
    for wanted, classes in (
        ({}, {*NAMES}),
        ({"seen_only": True}, {"ant", "bee", "cow", "elk"}),
        ({"classes": ("Bee", "dog"), "below": finished / "photo"}, {"bee", "dog"}),
    ):
        held = find(folder, query, top=100, **wanted)
        read = find(folder, query, top=100, memory=1e-9, exact=True, **wanted)
        assert held["queries"] == read["queries"]
        assert {one["class"] for one in held["queries"][0]["found"]} == classes
        assert (held["gallery"]["search"], read["gallery"]["search"]) == ("exact", "every picture compared")
    assert "8 pictures, every picture compared" in capsys.readouterr().out
    for memory in (1.0, 1e-9):
        message = refused(find, folder, query, below=folder, memory=memory)
        assert message == f"folder: no picture of '{folder}' in the gallery"
    assert refused(find, folder, query, classes=("zebra",)) == "the gallery has no class 'zebra'"
    assert "exclude each other" in refused(find, folder, query, seen_only=True, unseen_only=True)


def test_a_folder_of_queries_in_batches(finished, folder):
    """24 sketches at once and one alone get the same answers."""
    whole = find(folder, finished / "sketch", top=3)["queries"]
    assert len(whole) == 24
    single = find(folder, finished / "sketch/cow/cow_0.png", top=3)["queries"][0]
    assert [one["name"] for one in single["found"]] == [
        one["name"] for one in next(a for a in whole if a["query"].endswith("cow_0.png"))["found"]
    ]


def test_grid_tells_all_it_has_to_within_its_edges(finished, folder, monkeypatch):
    """Of 24 pictures found it shows 20, and says so; beside 3 there is less room, so that lines are folded."""
    drawn, render = [], grid.rendered
    monkeypatch.setattr(grid, "rendered", lambda figure: drawn.append(figure) or render(figure))
    for top, note in ((24, "; the nearest 20 of 24 found"), (3, "; class of the query's folder green")):
        find(folder, finished / "sketch/cow/cow_0.png", top=top, grid=folder / "search.png")
        figure = drawn[-1]
        assert note in " ".join(text.get_text() for text in figure.texts)
        renderer = FigureCanvasAgg(figure).get_renderer()
        boxes = [text.get_window_extent(renderer) for text in figure.texts]
        assert all(box.x0 >= 0 and box.x1 <= figure.bbox.width for box in boxes)
        assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_photos_given_as_drawings_cause_a_warning(capsys):
    photos = ["1.png", "2.png"]
    search.warn_of_photos([])
    assert capsys.readouterr().err == ""
    search.warn_of_photos(photos[:1])
    line = f"warning: {photos[0]} looks like a photo, not drawn; --query-kind photo searches with photos\n"
    assert capsys.readouterr().err == line
    search.warn_of_photos(photos)
    assert "1.png and 1 more look like photos" in capsys.readouterr().err


def test_bad_queries_are_named_and_skipped(finished, folder, capsys):
    good = finished / "sketch/ant/ant_1.png"
    (folder / "text.png").write_text("no picture")
    (folder / "empty.jpg").touch()
    (folder / "cut.jpg").write_bytes((finished / "photo/ant/ant_0.jpg").read_bytes()[:700])
    bad = [folder / name for name in ("text.png", "empty.jpg", "cut.jpg", "missing.png")]
    assert len(find(folder, *bad, good)["queries"]) == 1
    *lines, told = capsys.readouterr().err.splitlines()
    assert f"{good} looks like a photo" in told  # it is of noise
    assert len(lines) == 4 and all(line.endswith("skipped") for line in lines)
    assert all(any(str(path) in line for line in lines) for path in bad)


@pytest.mark.parametrize(
    ("prepare", "changed", "expected"),
    [
        (lambda f: (f / "q.png").write_text("text"), {}, "q.png: neither JPEG"),
        (lambda f: None, {}, "q.png: no such file"),
        (lambda f: (f / "q.png").mkdir(), {}, "q.png: no pictures in this folder"),
        (lambda f: None, {"query": ()}, "--query: expected pictures"),
        (lambda f: None, {"top": 0}, "--top should be at least 1, received 0"),
        (lambda f: None, {"memory": 0.0}, "--memory should be above 0"),
        (lambda f: None, {"query": (), "add": "nowhere"}, "nowhere: no such folder"),
        (lambda f: None, {"query": (), "add": "nowhere", "draw": True}, "nowhere: no such folder"),
        (lambda f: (f / "q.png").touch(), {"add": "q.png"}, "q.png: expected a folder, received a file"),
        (lambda f: (f / "q.png").mkdir(), {"query": (), "add": "q.png"}, "no pictures in this folder"),
        (lambda f: (f / "run/config.json").unlink(), {}, "run: no run directory"),
        (lambda f: (f / "run/unified_features.mat").unlink(), {"query": "a"}, "unified_features.mat: no such file"),
        (lambda f: forget_encoders(f, "checkpoints"), {"query": "a"}, "checkpoints: no checkpoint"),
        (lambda f: None, {"query": "a", "forget": True}, "--forget: expected with --add"),
    ],
)
def test_bad_input_is_refused(finished, folder, refused, prepare, changed, expected):
    prepare(folder)
    changed = {name: folder / value if name == "add" else value for name, value in changed.items()}
    if changed.get("query") == "a":
        changed["query"] = (finished / "sketch/ant/ant_1.png",)
    settings = {"run": folder / "run", "query": (folder / "q.png",), **changed}
    assert expected in refused(lambda: search.main(search.Settings(**settings)))


def test_pictures_that_are_gone_leave_their_names(finished, folder, capsys):
    shutil.copytree(finished / "photo/ant", folder / "new")
    search.main(search.Settings(run=folder / "run", gallery=str(folder / "g"), add=folder / "new"))
    shutil.rmtree(folder / "new")
    more = {"gallery": str(folder / "g"), "grid": folder / "search.png"}
    answer = find(folder, finished / "sketch/ant/ant_1.png", top=5, **more)["queries"][0]
    assert len(answer["found"]) == 4
    output = capsys.readouterr().err
    assert output.count("\n") == 2 and "ant_1.png looks like a photo" in output  # it is of noise
    assert "class names in place of 4 pictures whose files are gone" in output


def test_added_pictures_are_found(finished, folder, capsys):
    """Persistent, idempotent, in step with the folder; of a class where they lie in a class folder."""
    new = folder / "new"
    (new / "Cow").mkdir(parents=True)
    (new / "zebra").mkdir()
    for source, target in (("ant/ant_0", "plain"), ("cow/cow_1", "Cow/one"), ("fox/fox_1", "zebra/two")):
        shutil.copy(finished / f"photo/{source}.jpg", new / f"{target}.jpg")
    (new / "broken.jpg").write_text("no picture")
    query = {"query_kind": "photo", "top": 30}
    found = find(folder, finished / "photo/ant/ant_0.jpg", add=new, **query)["queries"][0]["found"]
    assert "3 pictures added, 0 were there, 0 replaced or gone; 27 in the gallery" in capsys.readouterr().out
    classes = {one["name"]: one["class"] for one in found if "/new/" in one["name"]}
    assert classes == {f"{new}/plain.jpg": "unknown", f"{new}/Cow/one.jpg": "cow", f"{new}/zebra/two.jpg": "zebra"}
    # a copy of a photo of the run stands beside it, at the same distance
    assert {one["name"] for one in found[:2]} == {"ant/ant_0.jpg", f"{new}/plain.jpg"}

    before = open_run_table(folder / "run").version()
    search.main(search.Settings(run=folder / "run", add=new))
    assert "0 pictures added, 3 were there, 0 replaced or gone; 27 in the gallery" in capsys.readouterr().out
    assert open_run_table(folder / "run").version() == before

    unseen = find(folder, finished / "photo/ant/ant_0.jpg", unseen_only=True, **query)["queries"][0]["found"]
    assert {one["class"] for one in unseen} == {"dog", "fox", "unknown", "zebra"}

    (new / "zebra/two.jpg").unlink()
    shutil.copy(finished / "photo/dog/dog_0.jpg", new / "plain.jpg")
    search.main(search.Settings(run=folder / "run", add=new))
    assert "1 pictures added, 1 were there, 2 replaced or gone; 26 in the gallery" in capsys.readouterr().out
    found = find(folder, finished / "photo/dog/dog_0.jpg", **query)["queries"][0]["found"]
    assert {one["name"] for one in found[:2]} == {"dog/dog_0.jpg", f"{new}/plain.jpg"}


def test_adding_the_run_s_own_pictures_adds_nothing(finished, folder, capsys):
    search.main(search.Settings(run=folder / "run", add=finished / "photo"))
    assert "0 pictures added, 0 were there, 0 replaced or gone; 24 in the gallery" in capsys.readouterr().out


def test_a_gallery_elsewhere_holds_what_was_added_alone(finished, folder, refused):
    where, query = str(folder / "gallery"), finished / "photo/ant/ant_0.jpg"
    message = refused(find, folder, query, gallery=where)
    assert message == f"--gallery {where}: no such gallery; --add DIR makes one" and not (folder / "gallery").exists()
    search.main(search.Settings(run=folder / "run", gallery=where, add=finished / "sketch", gallery_kind="sketch"))
    assert (
        refused(find, folder, query, gallery=where)
        == f"{where}: no photo to search in the gallery; --add DIR adds some"
    )
    found = find(folder, query, gallery=where, gallery_kind="sketch", unseen_only=True, top=100)
    assert found["gallery"]["pictures"] == 8
    pictures = open_run_table(folder / "run", where).pictures("sketch")
    names = matfiles.read_names(folder / "run/unified_features.mat", "namesy")
    expected = matfiles.read(folder / "run/unified_features.mat", "featuresy")
    order = [names.index("/".join(path.split("/")[-2:])) for path in pictures.paths]
    np.testing.assert_allclose(pictures.vectors, expected[order], rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.fixture
def windowed_encoder(tmp_path):
    """A folder of an exported encoder with windows, the quarters of a picture of 24 pixels."""
    keras.utils.set_random_seed(0)
    pictures, weights = keras.Input((16, 16, 3), dtype="uint8"), keras.Input((16,))
    maps = keras.layers.Conv2D(8, 4, strides=4)(keras.layers.Rescaling(1 / 127.5, offset=-1)(pictures))
    model = keras.Model([pictures, weights], PooledMaps()(maps, weights))
    folder = tmp_path / "encoder"
    entry = {"size": 16, "resample": 2, "crop": "squash", "fraction": 1.0, "shrink": None, "dim": 8}
    entry |= {"file": "encoder.tflite", "sha256": write_tflite(model, folder / "encoder.tflite")}
    windows = Windows("fast", 24, 6, ((3, 3),), 0.1).record()
    about = {"photo": entry | {"windows": [windows]}, "sketch": entry, "distance": "cosine"}
    write_json(folder / "about.json", about | {"classes": {"seen": ["ant"], "held_out": []}})
    return folder


def test_photos_are_added_with_windows_and_found_by_them(windowed_encoder, tmp_path, capsys, refused):
    """The query is the lower right quarter of one photo. The folder of an encoder is a --run."""
    random, folder = np.random.default_rng(0), tmp_path / "photos"
    folder.mkdir()
    for number in range(3):
        colours = random.integers(0, 256, (2, 2, 3), np.uint8)
        Image.fromarray(colours).resize((48, 48), Image.Resampling.NEAREST).save(folder / f"{number}.png")
    Image.open(folder / "1.png").crop((24, 24, 48, 48)).save(tmp_path / "part.png")

    def add(**more):
        search.main(search.Settings(run=windowed_encoder, add=folder, **more))

    found = {"run": windowed_encoder, "query": (tmp_path / "part.png",), "query_kind": "photo", "top": 1}
    add(windows="fast")
    search.main(search.Settings(**found, json=tmp_path / "found.json"))
    (hit,) = json.loads((tmp_path / "found.json").read_text())["queries"][0]["found"]
    assert (hit["name"], hit["box"]) == (str(folder / "1.png"), [0.5, 0.5, 1.0, 1.0])
    assert hit["distance"] == pytest.approx(0.1, abs=5e-3)  # scaling mixes colours at edges
    assert "1.png  (across 50-100 %, down 50-100 %)" in capsys.readouterr().out
    add()  # the gallery keeps its windows
    assert "0 pictures added, 3 were there" in capsys.readouterr().out
    assert "have fast windows; leave --windows out" in refused(add, windows="0")
    add(windows="0", gallery=str(tmp_path / "other"))
    search.main(search.Settings(**found, gallery=str(tmp_path / "other"), json=tmp_path / "found.json"))
    assert json.loads((tmp_path / "found.json").read_text())["queries"][0]["found"][0]["box"] is None
    assert "(its modes: 0, fast)" in refused(add, windows="thorough")


def test_the_gallery_belongs_to_the_run_s_embeddings(finished, folder, refused):
    """A copied file is the same file; another one is refused."""
    run = folder / "run"
    rows = matfiles.read(run / "unified_features.mat", "featuresx")
    np.testing.assert_array_equal(open_run_table(run).pictures("photo").vectors, rows)
    (run / "unified_features.mat").touch()
    version = open_run_table(run).version()
    variables = {
        key: matfiles.read(run / "unified_features.mat", key) for key in matfiles.keys(run / "unified_features.mat")
    }
    content = (run / "unified_features.mat").read_bytes()
    matfiles.write(run / "unified_features.mat", variables | {"featuresx": 2 * variables["featuresx"]})
    assert "search: the gallery of another run, or of this one before it changed" in refused(open_run_table, run)
    (run / "unified_features.mat").write_bytes(content)
    assert open_run_table(run).version() == version


def test_nothing_is_called_wrong_where_the_class_is_not_in_the_gallery(finished, folder, monkeypatch):
    """The query's folder names a seen class; of the gallery only unseen ones are left."""
    rights = []
    framed = grid.framed_pictures
    monkeypatch.setattr(grid, "framed_pictures", lambda *arguments: rights.append(arguments[2]) or framed(*arguments))
    monkeypatch.setattr(grid, "picture_grid", lambda *_: (0, 0))
    for unseen_only in (False, True):
        find(folder, finished / "sketch/ant/ant_1.png", unseen_only=unseen_only, grid=folder / "search.png")
    assert rights[0].any() and rights[1] is None


@posix
@pytest.mark.slow
def test_draw_serves_the_run(finished, folder):
    """The page's interface finds what --query finds, with what --add brought in; TensorFlow is not imported."""
    for module in ("uvicorn", "ai_edge_litert"):
        pytest.importorskip(module, reason=f"{module} is not installed: --draw is not tested")
    shutil.copytree(finished / "photo/ant", folder / "new")
    run, query = str(folder / "run"), finished / "sketch/cow/cow_2.png"
    words = "import sys; from zscmr.commands import search; "
    words += f"search.main(search.Settings(run=search.Path({run!r}), draw=True, port=0, "
    words += f"add=search.Path({str(folder / 'new')!r}), no_browser=True)); sys.exit('tensorflow' in sys.modules)"
    environment = {**os.environ, "ZSCMR_TOKEN": "correct-horse_battery"}
    command, pipe = [sys.executable, "-c", words], subprocess.PIPE
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=pipe, text=True)
    address, _, token = process.stdout.readline().split()[0].partition("?token=")
    try:
        assert token == "correct-horse_battery"
        sent, state = {"Authorization": f"Bearer {token}", "Content-Type": "image/png"}, None
        while not state or state["running"]:
            state = json.load(urllib.request.urlopen(urllib.request.Request(f"{address}health", None, sent)))["adding"]
        assert "error" not in state
        posted = urllib.request.Request(f"{address}search?top=30", query.read_bytes(), sent)
        answer = json.load(urllib.request.urlopen(posted))
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    found = find(folder, query, top=30)["queries"][0]["found"]
    assert answer["searched"] == 28
    assert [one["name"] for one in answer["found"]] == [one["name"] for one in found]
    np.testing.assert_allclose([one["distance"] for one in answer["found"]], [one["distance"] for one in found])


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        ({}, "--query: expected pictures to search with, a folder to --add, or --draw, received none of them"),
        ({"draw": True, "query": ("x.png",)}, "--draw: expected without --query"),
        (
            {"draw": True, "host": "0.0.0.0", "no_token": True},
            "--host 0.0.0.0: others can reach this address; it needs",
        ),
        ({"draw": True, "token": "short"}, "--token: expected at least 12 letters, digits, _ or -"),
        ({"draw": True, "token": "long-enough-one", "no_token": True}, "--token and --no-token exclude each other"),
    ],
)
def test_what_draw_does_not_go_with(folder, refused, flags, why):
    assert refused(search.main, search.Settings(run=folder / "run", **flags)).startswith(why)


def test_draw_without_its_packages_says_the_line_to_install_them(folder, refused, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "zscmr.server.serving", raising=False)
    monkeypatch.delattr("zscmr.server.serving", raising=False)
    message = refused(search.main, search.Settings(run=folder / "run", draw=True))
    assert "python -m pip install -r requirements-search.txt" in message


@pytest.mark.slow
def test_a_class_name_is_a_query(folder, refused, capsys):
    """Of a run: the mean of the class's photos by its distance. Unseen classes have no vector."""
    file = folder / "run/unified_features.mat"
    rows = matfiles.read(file, "featuresx")
    labels, names = matfiles.read(file, "labelsx").ravel(), matfiles.read_names(file, "namesx")
    distances = np.linalg.norm(rows - rows[labels == 2].mean(0), axis=1)
    (answer,) = find(folder, class_name="Cow", top=5)["queries"]
    assert answer["query"] == "Cow"
    assert [hit["name"] for hit in answer["found"]] == [names[row] for row in np.argsort(distances, kind="stable")[:5]]
    assert "\nCow\n  rank   distance  class  name\n     1 " in "\n" + capsys.readouterr().out
    sketch = folder / "ant.png"
    draw("bar", np.random.default_rng(0)).save(sketch)
    (both,) = find(folder, sketch, class_name="cow", top=5)["queries"]
    assert both["query"] == str(sketch) and both["found"][0]["distance"] != answer["found"][0]["distance"]
    assert "is 'dog'" in refused(find, folder, class_name="dog")
    about = folder / "run/encoders/about.json"
    write_json(about, {key: value for key, value in json.loads(about.read_text()).items() if key != "class_vectors"})
    assert refused(find, folder, class_name="cow").startswith("this encoder knows no class names; export.py")


def test_a_class_name_has_no_picture_to_draw(refused):
    settings = search.Settings(class_name="cow", grid=Path("search.png"))
    assert refused(search.main, settings) == "--grid: draws queries and their answers, expected with --query"
