"""Encoders of a run, exported: the embeddings of stage I and II again; CNNs that are missing, moved or others."""

import importlib.util
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from helpers.finished_run import find, forget_encoders, make_run, rewrite
from helpers.project import ROOT, random_squeezenet

from zscmr.backbones import backbone, networks
from zscmr.formats import matfiles
from zscmr.retrieval import Encoder
from zscmr.training import export
from zscmr.utils.errors import BadInput
from zscmr.utils.files import file_hash


@pytest.fixture
def folder(finished, tmp_path):
    """A copy of the run, to be changed; its dataset and pictures stay where they are."""
    shutil.copytree(finished / "run", tmp_path / "run")
    return tmp_path


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
        vectors, readable = Encoder.open(folder / "run", modality).embed([folder / modality / name for name in names])
        assert readable.all()
        np.testing.assert_allclose(
            vectors, expected, rtol=1e-4, atol=3e-4 * np.abs(expected).max()
        )  # by another engine


def test_cnn_that_gives_other_features_is_told(finished, folder, refused):
    """The features were replaced after stage I: the run was trained on others than its CNNs give."""
    forget_encoders(folder)
    rewrite(folder, lambda config: config["dataset"].update(photo=7))
    message = refused(find, folder, finished / "sketch/ant/ant_1.png")
    assert message.startswith(f"{folder / 'run'}: was trained on photo features 7-d, and the CNN that it names gives ")


@pytest.mark.slow
def test_cnns_that_have_moved_are_exported_from_where_they_are(finished, folder, refused):
    """From the directory of --weights, or from where config.json says; features are not needed, the weights are."""
    query = finished / "sketch/ant/ant_1.png"
    forget_encoders(folder)
    moved = str(folder / "moved")
    rewrite(folder, lambda config: config["settings"].update(data=moved))
    rewrite(folder, lambda config: config["dataset"].update(directory=moved))
    message = f"{moved}: no photo.weights.h5; --weights names the directory where it is now"
    assert refused(find, folder, query) == message
    assert not (folder / "run/encoders").exists()
    find(folder, query, weights=finished / "data")
    forget_encoders(folder)
    shutil.copytree(finished / "data", moved, ignore=shutil.ignore_patterns("*.mat"))
    find(folder, query)
    rewrite(folder, lambda config: config.update(features={}))
    forget_encoders(folder)
    assert "search needs the CNNs that made its features" in refused(find, folder, query)


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


def test_a_failed_export_leaves_no_folder(folder, refused, monkeypatch):
    def fails(model, path):
        path.parent.mkdir()
        raise BadInput(f"{path}: the model cannot be converted")

    forget_encoders(folder)
    monkeypatch.setattr(export, "write_tflite", fails)
    assert refused(export.write_encoders, folder / "run").endswith("photo.tflite: the model cannot be converted")
    assert not (folder / "run/encoders").exists()
