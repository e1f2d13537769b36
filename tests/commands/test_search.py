"""Searching a run with pictures: the embeddings of stage I and II again, the same ranking, a gallery that grows."""

import importlib.util
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pytest
from helpers.project import ROOT, draw_pictures, picture_flags, posix, random_squeezenet, trainer_settings
from helpers.toy_shapes import colourful_photo, draw
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from zscmr.backbones import backbone, networks
from zscmr.commands import evaluate as knn_eval
from zscmr.commands import search
from zscmr.commands import train as trainer
from zscmr.datasets.word_vectors import WordVectorOptions, join_vectors
from zscmr.formats import matfiles
from zscmr.inference.export_graph import write_tflite
from zscmr.inference.windows import Windows
from zscmr.reports import grid
from zscmr.retrieval import Answer, Encoder, Hit, answers
from zscmr.retrieval.run_gallery import open_run_table
from zscmr.retrieval.table import UNKNOWN
from zscmr.training.export import PooledMaps
from zscmr.training.stage1.dataset import make_dataset
from zscmr.training.stage1.options import Stage1Options
from zscmr.training.stage2.restore import load_model
from zscmr.utils.files import file_hash, write_json

NAMES = ("ant", "bee", "cow", "dog", "elk", "fox")


def make_run(folder, **flags):
    """Pictures, features and a finished run in `folder`."""
    random = np.random.default_rng(0)
    draw_pictures(folder, random, NAMES, per_class=4, size=(40, 52), unseen=("dog", "fox"))
    make_dataset(Stage1Options(**picture_flags(folder), out=folder / "data", batch_size=8, **flags))
    np.savez(folder / "words.npz", classes=NAMES, words=random.normal(size=(len(NAMES), 5)))
    join_vectors(WordVectorOptions(data=folder / "data", vectors=(folder / "words.npz",)))
    choices = {"epochs": 3, "batch_size": 8, "dim": 5}
    trainer.main(trainer_settings(data=folder / "data", path=folder / "run", **choices))
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run whose CNNs were trained: all of `small`."""
    return make_run(tmp_path_factory.mktemp("finished"), backbone="small", epochs=1)


@pytest.fixture
def folder(finished, tmp_path):
    """A copy of the run, to be changed; its dataset and pictures stay where they are."""
    shutil.copytree(finished / "run", tmp_path / "run")
    return tmp_path


def find(folder, *queries, **more):
    """The answers as --json gives them."""
    search.main(search.Settings(run=folder / "run", query=queries, json=folder / "found.json", **more))
    return json.loads((folder / "found.json").read_text())


def embedded(run, modality, paths):
    vectors, readable = Encoder.open(run, modality).embed(paths)
    assert readable.all()
    return vectors


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags",
    [
        {"backbone": "squeezenet", "freeze": True},
        {"backbone": "small", "train": "head", "dense": 6, "epochs": 1},
    ],
)
def test_a_picture_of_the_dataset_gets_the_embedding_of_its_row(tmp_path, flags):
    """Frozen, or with a trained head: decoding, CNN and encoder together give what the run exported."""
    if flags["backbone"] == "small":
        weights = tmp_path / "small.weights.h5"
        networks.build(backbone("small")).save_weights(weights)
    else:
        weights = random_squeezenet(tmp_path / "w.npz")
    make_run(tmp_path, weights=weights, **flags)
    check_every_row(tmp_path)


@pytest.mark.slow
def test_so_does_one_of_a_run_with_trained_cnns(finished):
    check_every_row(finished)


def check_every_row(folder):
    file = folder / "run/unified_features.mat"
    for modality, side in (("photo", "x"), ("sketch", "y")):
        names = matfiles.read_names(file, f"names{side}")
        expected = matfiles.read(file, f"features{side}")
        vectors = embedded(folder / "run", modality, [folder / modality / name for name in names])
        np.testing.assert_allclose(
            vectors, expected, rtol=1e-4, atol=3e-4 * np.abs(expected).max()
        )  # by another engine


def test_best_epoch_is_restored_without_the_dataset(finished, tmp_path):
    """The features are needed for nothing: what `load_model` embeds is what was exported, of the epoch chosen."""
    shutil.copytree(finished / "run", tmp_path / "run")
    config = json.loads((tmp_path / "run/config.json").read_text())
    config["settings"]["data"] = config["dataset"]["directory"] = str(tmp_path / "gone")
    (tmp_path / "run/config.json").write_text(json.dumps(config))
    model = load_model(tmp_path / "run")
    features = matfiles.read(finished / "data/imagematnew.mat", "feature")
    expected = matfiles.read(tmp_path / "run/unified_features.mat", "featuresx")
    np.testing.assert_allclose(model.embed_photos(features).numpy(), expected, rtol=1e-5, atol=1e-5)


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


def test_pictures_without_a_class_are_shown_by_name(tmp_path, monkeypatch):
    """And a query whose folder names no class leaves the frames plain."""
    hits = Hit(0.1, UNKNOWN, "", "/far/my_dog.png", "1", True), Hit(0.2, "cow", "", "cow/1.png", "2", True)
    grids = []
    monkeypatch.setattr(grid, "picture_grid", lambda *words: grids.append(words) or (0,))
    answer = Answer(hits, 2, 2, query=str(tmp_path / "q.png"))
    answers.draw_answers(tmp_path / "grid.png", "Sketch → photo", "2 pictures", [answer], [None])
    (_, _, words, (line,), _) = grids[0]
    assert words.endswith("; plain frames: the queries' folders name no class of the gallery")
    assert [cell.name for cell in line.retrieved] == ["my dog", "cow"]


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


def test_photos_given_as_drawings_cause_a_warning(tmp_path, capsys):
    drawing = tmp_path / "drawing.png"
    draw("cross", np.random.default_rng(0)).save(drawing)
    photos = [tmp_path / name for name in ("1.png", "2.png")]
    for file in photos:
        colourful_photo().save(file)
    search.warn_of_photos([drawing])
    assert capsys.readouterr().err == ""
    search.warn_of_photos([drawing, photos[0]])
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


def forget_encoders(folder, *others):
    for name in ("encoders", *others):
        shutil.rmtree(folder / "run" / name)


def rewrite(folder, change):
    config = json.loads((folder / "run/config.json").read_text())
    change(config)
    (folder / "run/config.json").write_text(json.dumps(config))


def test_cnn_that_gives_other_features_is_told(finished, folder, refused):
    """The features were replaced after stage I: the run was trained on others than its CNNs give."""
    forget_encoders(folder)
    rewrite(folder, lambda config: config["dataset"].update(photo=7))
    message = refused(find, folder, finished / "sketch/ant/ant_1.png")
    assert message.startswith(f"{folder / 'run'}: was trained on photo features 7-d, and the CNN that it names gives ")


@pytest.mark.slow
def test_missing_cnn_is_told_in_one_line(finished, folder, refused):
    query = finished / "sketch/ant/ant_1.png"

    forget_encoders(folder)

    def message(weights=None):
        return refused(search.main, search.Settings(run=folder / "run", query=(query,), weights=weights))

    def moved(config):
        config["settings"]["data"] = config["dataset"]["directory"] = str(folder / "moved")

    rewrite(folder, moved)
    assert message() == f"{folder / 'moved'}: no photo.weights.h5; --weights names the directory where it is now"
    assert "expected the dataset directory" in message(query)
    find(folder, query, weights=finished / "data")  # features or not, the weights are all that is needed
    forget_encoders(folder)
    shutil.copytree(finished / "data", folder / "moved", ignore=shutil.ignore_patterns("*.mat"))
    find(folder, query)
    forget_encoders(folder)
    provenance = json.loads((folder / "moved/pictures.json").read_text())
    (folder / "moved/pictures.json").write_text(json.dumps({**provenance, "seed": 7}))
    assert "photo.weights.h5: is of other features than those of" in message()
    (folder / "moved/pictures.json").unlink()
    (folder / "moved/photo.weights.h5").write_bytes(b"nothing")
    assert "photo.weights.h5: not the weights that made the features" in message()

    rewrite(
        folder,
        lambda config: config.update(
            features={**provenance, "train": "nothing", "weights": "w.npz", "weights_sha256": "0"}
        ),
    )
    assert message().startswith("w.npz: no such file")
    (folder / "w.npz").touch()
    assert "w.npz: not the weights that made the features" in message(folder / "w.npz")
    rewrite(folder, lambda config: config.update(features={}))
    assert "search needs the CNNs that made its features" in message()


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
    assert refused(find, folder, query, gallery=where) == f"{where}: no photo to search in the gallery"
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


@pytest.mark.slow
def test_trained_weights_that_changed_are_refused(finished, folder, refused):
    """The CNN file beside the features has the right form and other numbers than those that made them."""
    shutil.copytree(finished / "data", folder / "data", ignore=shutil.ignore_patterns("*.mat"))
    networks.pooled(networks.build(backbone("small")), "average").save_weights(folder / "data/sketch.weights.h5")
    query = finished / "sketch/ant/ant_1.png"
    settings = search.Settings(run=folder / "run", query=(query,), weights=folder / "data")
    message = refused(search.main, settings)
    assert message.startswith(f"{folder / 'data'}/sketch.weights.h5: not the weights that made the features")


@pytest.mark.slow
def test_renamed_weights_of_a_frozen_backbone_are_accepted(finished, folder, refused):
    """Their content counts: under the former name they are missing, under another one they serve."""
    forget_encoders(folder)
    weights = folder / "other name.weights.h5"
    networks.build(backbone("small")).save_weights(weights)
    gone = {"train": "nothing", "weights": "w.weights.h5", "weights_file": str(folder / "w.weights.h5")}
    rewrite(folder, lambda config: config["features"].update(gone, weights_sha256=file_hash(weights)))
    query = finished / "sketch/ant/ant_1.png"
    assert refused(find, folder, query).startswith(f"{folder / 'w.weights.h5'}: no such file")
    assert len(find(folder, query, weights=weights)["queries"]) == 1


def test_an_encoder_serves_several_threads(finished):
    """Four threads at once get what one gets; nothing is printed."""
    encoder = Encoder.open(finished / "run", "photo")
    paths = sorted((finished / "photo").rglob("*.jpg"))
    alone = [encoder.embed([path])[0] for path in paths]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda path: encoder.embed([path])[0], paths))
    np.testing.assert_allclose(np.concatenate(together), np.concatenate(alone), rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_a_run_without_encoders_is_exported_once(finished, folder, capsys, refused):
    """With a line about it; a program is told what to run. `--weights` exports anew."""
    query = finished / "sketch/cow/cow_2.png"
    expected = find(folder, query, top=5)["queries"]
    forget_encoders(folder)
    run = folder / "run"
    message = f"{run}: its encoders are not exported; python export.py --run {run} writes them"
    assert refused(Encoder.open, run, "photo") == message
    capsys.readouterr()
    assert find(folder, query, top=5)["queries"] == expected
    assert f"{run}: exporting its encoders once, with TensorFlow\n" in capsys.readouterr().out
    find(folder, query)
    assert "exporting" not in capsys.readouterr().out
    find(folder, query, weights=finished / "data")
    assert "exporting" in capsys.readouterr().out


@pytest.mark.slow
def test_exported_encoders_answer_without_tensorflow(finished, folder):
    """A finished run holds encoders/; search never imports TensorFlow where LiteRT is installed."""
    query = finished / "sketch/cow/cow_2.png"
    about = json.loads((folder / "run/encoders/about.json").read_text())
    assert about["photo"]["size"] == 40 and about["sketch"]["dim"] == 5 and about["classes"]["unseen"] == ["dog", "fox"]
    encoder, other = Encoder.open(folder / "run", "photo"), Encoder.open(folder / "run/encoders", "photo")
    paths = sorted((finished / "photo").rglob("*.jpg"))
    np.testing.assert_array_equal(encoder.embed(paths)[0], other.embed(paths)[0])
    words = "import sys; from zscmr.commands import search; "
    words += f"search.main(search.Settings(run=search.Path({str(folder / 'run')!r}), "
    words += f"query=(search.Path({str(query)!r}),))); sys.exit('tensorflow' in sys.modules)"
    if importlib.util.find_spec("ai_edge_litert"):
        subprocess.run([sys.executable, "-c", words], cwd=ROOT, check=True)


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


def test_damaged_encoder_is_refused(finished, folder, refused):
    graph, about = folder / "run/encoders/photo.tflite", folder / "run/encoders/about.json"
    content = graph.read_bytes()
    graph.write_bytes(content[:-100])
    assert f"{graph}: expected SHA-256 " in refused(Encoder.open, folder / "run", "photo")
    graph.write_bytes(content)
    written = json.loads(about.read_text())
    about.write_text(json.dumps({name: value for name, value in written.items() if name != "photo"}))
    assert f"{about}: expected an entry 'photo', received none" == refused(Encoder.open, folder / "run", "photo")


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
    assert "\nCow\n    1 " in "\n" + capsys.readouterr().out
    sketch = folder / "ant.png"
    draw("bar", np.random.default_rng(0)).save(sketch)
    (both,) = find(folder, sketch, class_name="cow", top=5)["queries"]
    assert both["query"] == str(sketch) and both["found"][0]["distance"] != answer["found"][0]["distance"]
    assert "is 'dog'" in refused(find, folder, class_name="dog")
    about = folder / "run/encoders/about.json"
    write_json(about, {key: value for key, value in json.loads(about.read_text()).items() if key != "class_vectors"})
    assert refused(find, folder, class_name="cow").startswith("class name: this encoder knows none; export.py")


def test_a_class_name_has_no_picture_to_draw(refused):
    settings = search.Settings(class_name="cow", grid=Path("search.png"))
    assert refused(search.main, settings) == "--grid: draws queries and their answers, expected with --query"
