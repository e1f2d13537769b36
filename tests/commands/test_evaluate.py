"""knn_eval against slow loops, numbers worked by hand, and files that are wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers.toy_features import command_line, features_file

from zscmr.commands import evaluate as knn_eval
from zscmr.formats import matfiles

ROOT = Path(__file__).parents[2]


def test_only_unseen_classes_are_evaluated(tmp_path, capsys):
    variables = features_file(tmp_path / "f.mat")
    command_line(tmp_path / "f.mat", "--json", tmp_path / "r.json")
    photos, sketches = (np.isin(variables[key].ravel(), [1, 3]) for key in ("labelsx", "labelsy"))
    expected = knn_eval.evaluate(
        variables["featuresx"][photos],
        variables["featuresy"][sketches],
        variables["labelsx"][photos],
        variables["labelsy"][sketches],
    )
    written = json.loads((tmp_path / "r.json").read_text())
    assert {key: written[key] for key in expected} == expected
    assert set(written) - set(expected) == {"features", "intervals", "classes"}
    assert expected["directions"]["image->sketch"]["queries"] == 10
    assert expected["directions"]["image->sketch"]["gallery"] == 6
    assert "2 unseen classes" in capsys.readouterr().out


def test_an_unseen_class_without_pictures_is_named(tmp_path, capsys):
    features_file(tmp_path / "f.mat", classes=["ant", "cat", "cow", "dog", "elk"], unseen=np.array([[1], [3], [4]]))
    command_line(tmp_path / "f.mat", "--generalised", "pcmsn")
    assert capsys.readouterr().err == f"warning: {tmp_path / 'f.mat'}: unseen: no picture of elk\n"


def test_json_layout(tmp_path):
    features_file(tmp_path / "f.mat")
    command_line(tmp_path / "f.mat", "--json", tmp_path / "r.json", "--distance", "cosine", "--queries", 4)
    results = json.loads((tmp_path / "r.json").read_text())
    assert results["protocol"] == "standard"
    assert results["distance"] == "cosine"
    assert list(results["directions"]) == ["sketch->image", "image->sketch", "sketch->sketch", "image->image"]
    for scores in results["directions"].values():
        assert list(scores) == ["mAP@all", "P@100", "mAP@200", "P@200", "queries", "gallery"]
        assert scores["queries"] == 4
    assert "leaked" not in results


def test_without_unseen_all_classes_are_evaluated(tmp_path):
    features_file(tmp_path / "f.mat", unseen=None)
    command_line(tmp_path / "f.mat", "--json", tmp_path / "r.json", "--directions", "sketch->image")
    directions = json.loads((tmp_path / "r.json").read_text())["directions"]
    assert {name: (value["queries"], value["gallery"]) for name, value in directions.items()} == {
        "sketch->image": (12, 20)
    }


def test_the_recorded_distance_is_the_default(tmp_path, capsys):
    features_file(tmp_path / "f.mat", distance="cosine")
    command_line(tmp_path / "f.mat")
    assert "(cosine)" in capsys.readouterr().out
    command_line(tmp_path / "f.mat", "--distance", "euclidean")
    assert "(euclidean)" in capsys.readouterr().out


def test_knncode_variables(tmp_path):
    # One sketch of each class beside two photos of it and far from the other class: every AP is 1.
    # P@100 is taken over the gallery of 4: 2/4.
    matfiles.write(
        tmp_path / "k.mat",
        {
            "photo_feat_un": np.array([[0.0, 1], [0, 2], [9, 0], [8, 0]]),
            "sketch_un": np.array([[0.0, 0], [9, 1]]),
            "photo_lab": np.array([[100, 100, 101, 101]]),
            "sketch_lab": np.array([[100], [101]]),
        },
    )
    command_line(tmp_path / "k.mat", "--json", tmp_path / "r.json", "--directions", "sketch->image")
    assert json.loads((tmp_path / "r.json").read_text())["directions"]["sketch->image"] == {
        **{"mAP@all": 1, "P@100": 0.5, "mAP@200": 1, "P@200": 0.5},
        **{"queries": 2, "gallery": 4},
    }


def test_the_newest_run_is_the_default(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, written in (("1", 1000), ("2", 3000), ("3", 2000)):
        file = tmp_path / "runs" / name / "unified_features.mat"
        file.parent.mkdir(parents=True)
        features_file(file)
        os.utime(file, (written, written))
    command_line()
    assert str(Path("runs/2/unified_features.mat")) in capsys.readouterr().out


BAD = {
    "no photos": ({"featuresx": None}, [], "'featuresx'"),
    "no labels": ({"labelsy": None}, [], "'labelsy'"),
    "text for numbers": ({"featuresx": "photos"}, [], "featuresx: expected an array of numbers"),
    "NaN": ({"featuresy": np.where(np.arange(12)[:, None] == 4, np.nan, np.ones((12, 6)))}, [], "featuresy row 4 "),
    "infinity": (
        {"featuresx": np.where(np.arange(20)[:, None] > 8, -np.inf, np.ones((20, 6)))},
        [],
        "featuresx row 9 ",
    ),
    "labels of another length": (
        {"labelsx": np.zeros((19, 1))},
        [],
        "labelsx: expected 20 rows as in featuresx, received 19",
    ),
    "names of another length": ({"namesy": ["ant/s.png"]}, [], "namesy: expected 12 rows"),
    "widths differ": ({"featuresy": np.ones((12, 5))}, [], "received (20, 6) and (12, 5)"),
    "label out of range": (
        {"labelsy": np.full((12, 1), 4)},
        [],
        "row 0 (counted from 0): expected class indices 0 to 3",
    ),
    "label between classes": ({"labelsx": np.full((20, 1), 0.5)}, [], "labelsx row 0"),
    "unseen out of range": ({"unseen": np.array([[1], [7]])}, [], "unseen row 1"),
    "zero vector under cosine": (
        # row 16 is of an unseen class, row 2 is not and does not matter
        {"featuresx": np.where(np.isin(np.arange(20), [2, 16])[:, None], 0, np.ones((20, 6)))},
        ["--distance", "cosine"],
        "featuresx row 16 ",
    ),
    "zero vector under a peer's distance": (
        {"featuresx": np.where(np.arange(20)[:, None] == 16, 0, np.ones((20, 6)))},
        ["--protocol", "sake"],
        "featuresx row 16 ",
    ),
    "empty gallery": ({"labelsx": np.zeros((20, 1)), "namesx": None}, [], "sketch->image: the gallery is empty"),
    "no queries": ({"labelsy": np.zeros((12, 1)), "namesy": None}, [], "sketch->image: expected at least 1 sketch"),
    "recorded distance": ({"distance": "manhattan"}, [], "distance: expected any of euclidean, normalised, cosine, l1"),
    "unknown direction": ({}, ["--directions", "photo->sketch"], "received photo->sketch"),
    "unquoted direction": ({}, ["--directions", "sketch-"], "put quotes around it"),
    "unknown distance": ({}, ["--distance", "L1"], "--distance"),
    "unknown protocol": ({}, ["--protocol", "mine"], "--protocol"),
    "little memory": ({}, ["--memory", "1e-7"], "--memory: one query against"),
    "no memory": ({}, ["--memory", "0"], "--memory should be above 0"),
    "nothing seen": ({"unseen": None}, ["--generalised", "pcmsn"], "--generalised needs photos of seen classes"),
    "no rank": ({}, ["--top", "0"], "--top should be at least 1, received 0"),
    "top of knncode": ({}, ["--top", "5", "--protocol", "knncode"], "--top"),
    "more bits than dimensions": ({}, ["--bits", "32"], "at most as many bits as the embedding has dimensions, 6"),
    "sign codes of another length": ({}, ["--bits", "32", "--codes", "sign"], "as many bits as the embedding"),
    "codes by L1": ({}, ["--bits", "32", "--distance", "l1"], "--bits ranks by Hamming distance"),
    "expected interpolated AP": ({}, ["--protocol", "sake", "--ties", "expected"], "no expected value over ties"),
    "pairs without names": ({"namesx": None}, ["--drop-paired"], "--drop-paired needs the file names"),
    "against nothing": ({}, ["--against", "gone.mat"], "gone.mat: no such file"),
    "no queries asked for": ({}, ["--queries", "0"], "--queries should be at least 1, received 0"),
    "negative seed": ({}, ["--seed", "-1"], "--seed should be at least 0, received -1"),
    "JSON to a folder": ({}, ["--json", "."], "--json: expected a file"),
    "figures to a file": ({}, ["--figures", "f.mat"], "--figures: expected a folder"),
    "JSON below a file": ({}, ["--json", "f.mat/a/r.json"], "--json: expected a folder, received the file"),
    "JSON over the embeddings": ({}, ["--json", "./f.mat"], "--json: f.mat holds the embeddings"),
    "nothing embedded": ({}, ["--against", "notes.json"], "notes.json: expected embeddings, a .mat or .npz file"),
}


@pytest.mark.parametrize(("changes", "words", "culprit"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line_and_status_2(changes, words, culprit, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    features_file("f.mat", **changes)
    Path("notes.json").write_text("{}")
    with pytest.raises(SystemExit) as exit:
        command_line("f.mat", *words)
    output, complaint = capsys.readouterr()
    assert exit.value.code == 2 and output == ""  # nothing was scored
    assert complaint.count("\n") == 1 and complaint.endswith("\n")
    assert culprit in complaint


def test_missing_file(tmp_path, capsys):
    with pytest.raises(SystemExit) as exit:
        command_line(tmp_path / "elsewhere.mat")
    assert exit.value.code == 2
    assert capsys.readouterr().err.endswith("elsewhere.mat: no such file\n")


def test_no_run_yet(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as exit:
        command_line()
    assert exit.value.code == 2
    assert "python Unified_XY_triads.py makes one" in capsys.readouterr().err


def test_script_in_a_process_of_its_own(tmp_path):
    (tmp_path / "f.mat").write_text("no MATLAB here")
    script = [sys.executable, ROOT / "knn_eval.py", tmp_path / "f.mat"]
    ended = subprocess.run(script, capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1 and "f.mat: not a readable .mat file" in ended.stderr


def test_import_is_quick():
    slow = ("tensorflow", "keras", "matplotlib", "PIL", "scipy", "h5py", "rich")
    code = f"import sys, knn_eval; print([module for module in {slow} if module in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert ended.stdout.strip() == "[]"
