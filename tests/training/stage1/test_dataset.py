"""Pictures become the files of a dataset; unreadable ones are named and skipped; only seen classes train a CNN."""

import dataclasses
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from helpers.project import ROOT, assert_same_bytes, draw_pictures, picture_flags, posix, random_squeezenet
from PIL import Image

from zscmr.backbones import backbone, networks
from zscmr.datasets import loader, pictures
from zscmr.datasets.classes import read_class_list
from zscmr.formats import matfiles
from zscmr.formats.dataset_directory import FILES, PICTURES, read_provenance, write_provenance
from zscmr.inference import outputs as feature_export
from zscmr.training.stage1 import precision
from zscmr.training.stage1.classifier import ClassifierTrainer
from zscmr.training.stage1.dataset import classifier_of, make_dataset
from zscmr.training.stage1.features import CnnFeatures
from zscmr.training.stage1.options import FrozenOptions, Stage1Options
from zscmr.training.stage1.spec import CnnSpec
from zscmr.utils.files import file_hash

NAMES = ("ant", "bee", "cow", "dog", "elk")


@pytest.fixture
def trees(tmp_path):
    """photo/ and sketch/ with five classes of three 48-pixel pictures, and unseen.txt with one of them."""
    draw_pictures(tmp_path, np.random.default_rng(0), NAMES, per_class=3, size=(48, 48), unseen=("dog",))
    return tmp_path


def settings(folder, **more):
    choices = {"backbone": "small", "freeze": True, "batch_size": 4, **more}
    return Stage1Options(**picture_flags(folder), out=folder / "out", **choices)


def test_export_writes_the_released_files(trees):
    make_dataset(settings(trees))
    out = trees / "out"
    for modality, files in FILES.items():
        features = matfiles.read(out / files["features"][0], files["features"][1])
        labels = matfiles.read(out / files["labels"][0], files["labels"][1])
        cell = matfiles.read(out / files["names"][0], files["names"][1])
        assert features.shape == (15, 256) and features.dtype == np.float32
        np.testing.assert_array_equal(labels, np.repeat(np.arange(5), 3)[:, None])
        assert cell.shape == (5, 3) and cell[1, 2] == f"bee_2.{'jpg' if modality == 'photo' else 'png'}"
        assert matfiles.read_names(out / files["labels"][0], "classes") == list(NAMES)
    assert read_provenance(out)["trained_on"] == []


def test_pictures_of_several_folders_become_one_dataset(trees, refused):
    """The second folder of photos repeats a picture and adds one; that of sketches is a file of Quick, Draw!."""
    (trees / "more/ant").mkdir(parents=True)
    shutil.copy(trees / "photo/ant/ant_0.jpg", trees / "more/ant")
    shutil.copy(trees / "photo/ant/ant_0.jpg", trees / "more/ant/new.jpg")
    (trees / "quick").mkdir()
    (trees / "quick/bee.ndjson").write_text(json.dumps({"drawing": [[[0, 255], [0, 255]]]}) + "\n")
    folders = {"photos": (trees / "photo", trees / "more"), "sketches": (trees / "sketch", trees / "quick")}
    make_dataset(dataclasses.replace(settings(trees), **folders))
    dataset = loader.load_dataset(trees / "out", needs_vectors=False)
    assert np.bincount(dataset.photo.labels).tolist() == [4, 3, 3, 3, 3]
    assert np.bincount(dataset.sketch.labels).tolist() == [3, 4, 3, 3, 3]
    make_dataset(dataclasses.replace(settings(trees), **folders))  # nothing differs
    both = dataclasses.replace(settings(trees), photos=(trees / "photo", trees / "sketch"))
    assert refused(make_dataset, both) == f"--photos and --sketches: both have {trees / 'sketch'}"


@pytest.mark.slow
def test_features_stand_beside_the_names_of_their_pictures(trees):
    """Row by row: the exported feature is that of the picture the names file says."""
    make_dataset(settings(trees, backbone="squeezenet", weights=random_squeezenet(trees / "w.npz")))
    model = networks.pooled(networks.build(backbone("squeezenet"), trees / "w.npz"), "average")
    features = matfiles.read(trees / "out" / "sketchmatnew.mat", "feature")
    labels = np.repeat(np.arange(5), 3)
    names = loader.read_names_of_rows(trees / "out" / "names_sketches.mat", "data3", labels, NAMES)
    for row in (0, 7, 14):
        picture = pictures.read_picture(trees / "sketch" / names[row], 227)
        expected = model(picture[None]).numpy()[0]
        np.testing.assert_allclose(features[row], expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())


@pytest.fixture
def large(tmp_path):
    """photo/ and sketch/ with four classes of four 256-pixel pictures, photos as JPEG, named as Sketchy names them."""
    random = np.random.default_rng(1)
    for name in NAMES[:4]:
        for number, photo in enumerate(("n01_12619", "n01_1270", "n01_9", "N01_7")):
            for file in (f"photo/{name}/{photo}.jpg", f"sketch/{name}/{photo}-{number + 1}.png"):
                (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
                noise = random.integers(0, 255, (32, 32, 3), dtype=np.uint8)
                Image.fromarray(noise).resize((256, 256)).save(tmp_path / file)
    (tmp_path / "unseen.txt").write_text("dog\n")
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("choices", [{"freeze": True}, {"freeze": False, "epochs": 1, "held_out": 0.0}])
def test_slice_has_the_features_of_pictures_scaled_by_hand(large, choices, capsys):
    """--first 2 --shrink 128 takes the pictures that stand first by character codes, capitals before small letters and
    12619 before 1270, and gives the features of the same pictures scaled and saved at 128 pixels; their index too."""
    firsts = ("N01_7", "n01_12619")
    for file in large.glob("*/*/*"):
        if file.stem.startswith(firsts):
            small = large / "by hand" / file.relative_to(large)
            small.parent.mkdir(parents=True, exist_ok=True)
            Image.open(file).resize((128, 128), Image.Resampling.BILINEAR).save(small)
    (large / "by hand/unseen.txt").write_text("dog\n")
    make_dataset(settings(large / "by hand", **choices))
    capsys.readouterr()
    make_dataset(settings(large, first=2, shrink=128, **choices))
    output = capsys.readouterr().out
    assert "photo: the first 2 of each class, 8 of 16 pictures" in output and "fewer" not in output
    for modality in ("photo", "sketch"):
        for part in ("features", "labels"):
            file, key = FILES[modality][part]
            ours, theirs = (matfiles.read(folder / "out" / file, key) for folder in (large, large / "by hand"))
            np.testing.assert_array_equal(ours, theirs, err_msg=file)
    assert matfiles.read(large / "out/names_images.mat", "data").tolist() == [["N01_7.jpg", "n01_12619.jpg"]] * 4
    pairs = matfiles.read(large / "out/dataset2.mat", "datamat2")
    assert pairs[:, :, 0].tolist() == [["N01_7-4.png", "n01_12619-1.png"]] * 4
    provenance = read_provenance(large / "out")
    assert provenance["first"] == 2 and provenance["shrink"] == 128


def test_other_pictures_are_not_the_same_ones_moved(large, refused):
    """Alike in names and sizes, but what the features were made of is still where it was."""
    make_dataset(settings(large))
    shutil.copytree(large / "photo", large / "other")
    message = refused(make_dataset, dataclasses.replace(settings(large), photos=large / "other"))
    assert "holds features made with another photos; --overwrite replaces them" in message


def test_frozen_features_serve_every_unseen_list(large, capsys):
    make_dataset(settings(large))
    (large / "unseen.txt").write_text("ant\nbee\n")
    capsys.readouterr()
    make_dataset(settings(large))
    assert "unseen.txt now lists the 2 classes of --unseen" in capsys.readouterr().out
    assert read_class_list(large / "out/unseen.txt") == ["ant", "bee"]
    make_dataset(settings(large))
    assert "unseen.txt" not in capsys.readouterr().out


def test_a_moved_dataset_is_still_itself(large, capsys):
    """Features are those of the pictures wherever they lie; pictures.json follows, so that figures find them."""
    make_dataset(settings(large))
    moved = large.parent / "moved"
    large.rename(moved)
    before = (moved / "out/imagematnew.mat").read_bytes()
    make_dataset(settings(moved))
    assert "already holds these features" in capsys.readouterr().out
    assert (moved / "out/imagematnew.mat").read_bytes() == before
    present = read_provenance(moved / "out")
    assert (present["photos"], present["sketches"]) == (str(moved / "photo"), str(moved / "sketch"))


@pytest.mark.slow
def test_slice_is_not_mistaken_for_the_whole(large, refused, capsys):
    """The folder holds one or the other; backbone outputs of pictures of another size are not taken for these."""
    make_dataset(settings(large, shrink=8))
    small = matfiles.read(large / "out/imagematnew.mat", "feature")
    assert "holds features made with another shrink; --overwrite" in refused(make_dataset, settings(large))
    assert "made with another first; --overwrite" in refused(make_dataset, settings(large, shrink=8, first=2))
    capsys.readouterr()
    make_dataset(settings(large, shrink=8))
    assert "already holds these features" in capsys.readouterr().out
    make_dataset(settings(large, overwrite=True))
    assert np.abs(matfiles.read(large / "out/imagematnew.mat", "feature") - small).max() > 0.1


@pytest.mark.slow
def test_class_with_fewer_pictures_than_the_slice_wants_is_named(large, capsys):
    (large / "sketch/bee/n01_9-3.png").unlink()
    make_dataset(settings(large, first=4))
    assert "sketch: the first 4 of each class, 15 of 15 pictures; 1 classes have fewer: bee" in capsys.readouterr().out


def test_corrupt_pictures_are_named_skipped_and_counted(trees, capsys):
    whole = (trees / "photo/bee/bee_1.jpg").read_bytes()
    (trees / "photo/bee/bee_1.jpg").write_bytes(whole[: len(whole) // 2])
    (trees / "sketch/ant/ant_0.png").write_bytes(b"")
    (trees / "sketch/cow/cow_2.png").write_text("not a picture")
    make_dataset(settings(trees))
    output = capsys.readouterr().err
    for file in ("photo/bee/bee_1.jpg", "sketch/ant/ant_0.png", "sketch/cow/cow_2.png"):
        assert f"{trees / file}: not a readable picture, skipped" in output
    assert "1 of 15 pictures skipped" in output and "2 of 15 pictures skipped" in output
    assert matfiles.read(trees / "out/imagematnew.mat", "feature").shape[0] == 14
    assert read_provenance(trees / "out")["skipped"]["sketch"] == ["ant/ant_0.png", "cow/cow_2.png"]
    assert matfiles.read(trees / "out/names_images.mat", "data")[1].tolist() == ["bee_0.jpg", "bee_2.jpg", 0]


def test_class_left_without_readable_pictures_is_an_error(trees, refused):
    for file in (trees / "photo/elk").iterdir():
        file.write_bytes(b"gone")
    assert refused(make_dataset, settings(trees)) == f"{trees}/photo/elk: no readable picture left in this class"
    assert not (trees / "out" / PICTURES).exists()


@pytest.fixture
def batches(monkeypatch):
    """The inputs of every training step and of every pass over held-out pictures, as they reach the CNN."""
    reached, original = {"training": [], "held out": []}, ClassifierTrainer._fetched

    def watched(trainer, batches):
        for inputs, rows in original(trainer, batches):
            reached["held out" if np.isin(rows, trainer.held_out).all() else "training"].append(inputs.numpy())
            yield inputs, rows

    monkeypatch.setattr(ClassifierTrainer, "_fetched", watched)
    return reached


def paint(trees):
    """Each class becomes one flat grey, so that a batch tells which classes are in it: ant 0, bee 50 … elk 200."""
    for level, name in enumerate(NAMES):
        for file in [*(trees / "photo" / name).iterdir(), *(trees / "sketch" / name).iterdir()]:
            Image.new("L", (48, 48), 50 * level).convert("RGB").save(file)


def classes_in(inputs):
    return set(np.round(np.concatenate(inputs)[:, 20, 20, 0] / 50))


@pytest.mark.slow
def test_unseen_pictures_never_reach_a_training_batch(trees, batches):
    """Training on pictures: of the greys only the unseen dog's, 150, is missing, in held-out batches too."""
    paint(trees)
    make_dataset(settings(trees, freeze=False, epochs=3, held_out=0.34))
    assert len(batches["training"]) == 2 * 3 * 2 and len(batches["held out"]) == 2 * 3
    assert classes_in(batches["training"]) == classes_in(batches["held out"]) == {0, 1, 2, 4}
    assert read_provenance(trees / "out")["trained_on"] == ["ant", "bee", "cow", "elk"]


@pytest.mark.slow
def test_unseen_features_never_reach_a_training_batch(trees, batches):
    """Training a head on backbone output that includes the unseen class: its vector is in no batch, all others are."""
    paint(trees)
    make_dataset(settings(trees, freeze=False, train="head", dense=4, epochs=2, held_out=0.0))
    output = [np.load(trees / "out/backbone" / modality / "vectors.npy")[::3] for modality in ("photo", "sketch")]
    known = {row.tobytes(): NAMES[label] for rows in output for label, row in enumerate(rows)}
    met = {known[row.tobytes()] for inputs in batches["training"] for row in inputs}
    assert met == set(NAMES) - {"dog"}


@pytest.mark.slow
def test_leaked_features_say_so_in_every_table(trees, script):
    """--leak-unseen trains on the unseen classes too; trainer and evaluation repeat it in all their tables."""
    (trees / "unseen.txt").write_text("dog\nelk\n")
    words = ["--photos", trees / "photo", "--sketches", trees / "sketch", "--unseen", trees / "unseen.txt"]
    words += ["--backbone", "small", "--epochs", 1, "--leak-unseen", "--out", trees / "out"]
    done = script("pretrain/finetune.py", *words)
    assert "--leak-unseen: the CNNs learn the 2 unseen classes too" in done.stderr
    np.savez(trees / "v.npz", classes=np.array(NAMES), vectors=np.eye(5))
    script("pretrain/word_vectors.py", "--data", trees / "out", "--vectors", trees / "v.npz")
    run = ["--data", trees / "out", "--path", trees / "run", "--epochs", 1, "--batch-size", 4, "--held-out", 0]
    sentence = "the CNNs were trained on 2 of the 2 unseen classes"
    assert script("Unified_XY_triads.py", *run).stdout.count(sentence) == 2
    done = script("knn_eval.py", trees / "run/unified_features.mat", "--json", trees / "results.json")
    assert sentence in done.stdout and sentence in json.loads((trees / "results.json").read_text())["leaked"]


@pytest.mark.slow
def test_training_on_all_classes_reaches_them_all(trees, batches):
    paint(trees)
    make_dataset(settings(trees, freeze=False, epochs=1, leak_unseen=True, held_out=0.0))
    assert classes_in(batches["training"]) == {0, 1, 2, 3, 4}


@pytest.mark.slow
def test_training_ends_when_patience_does(trees, capsys, monkeypatch):
    """The last epoch comes `patience` after the best, by accuracy on held-out pictures; photos, then sketches."""
    accuracies, measure = [], ClassifierTrainer.accuracy

    def measured(trainer):
        accuracies.append(measure(trainer))
        return accuracies[-1]

    monkeypatch.setattr(ClassifierTrainer, "accuracy", measured)
    paint(trees)
    make_dataset(settings(trees, freeze=False, epochs=40, held_out=0.34, patience=2, learning_rate=1e-2))
    said = capsys.readouterr().out
    for modality in ("photo", "sketch"):
        form = modality + r": epoch (\d+) of (\d+) chosen, held-out accuracy ([01]\.\d{3})"
        best, last, accuracy = re.search(form, said).groups()
        ours, accuracies = accuracies[: int(last)], accuracies[int(last) :]
        assert ours.index(max(ours)) + 1 == int(best) == int(last) - 2 < 38 and f"{max(ours):.3f}" == accuracy
    assert not accuracies


@pytest.mark.slow
def test_other_features_are_not_overwritten_unasked(trees, refused, capsys):
    make_dataset(settings(trees))
    make_dataset(settings(trees))
    assert "already holds these features" in capsys.readouterr().out
    message = refused(make_dataset, settings(trees, freeze=False))
    assert "holds features made with another train; --overwrite replaces them" in message
    before = (trees / "out/imagematnew.mat").read_bytes()
    make_dataset(settings(trees, freeze=False, epochs=1, overwrite=True))
    assert (trees / "out/imagematnew.mat").read_bytes() != before


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda d: (d / "photo").rename(d / "photos"), "photo: no such folder of class folders"),
        (
            lambda d: (shutil.rmtree(d / "photo"), (d / "photo").touch()),
            "photo: expected a folder of class folders, received a file",
        ),
        (lambda d: (d / "unseen.txt").write_text("unicorn\n"), "unseen.txt: no class 'unicorn'"),
        (lambda d: (d / "unseen.txt").unlink(), "unseen.txt: no such file"),
        (lambda d: [file.unlink() for file in (d / "sketch/bee").iterdir()], "bee: no pictures in this class folder"),
        (lambda d: [shutil.rmtree(d / "photo" / name) for name in NAMES[1:]], "share 1 classes; at least 4 are needed"),
        (lambda d: shutil.copytree(d / "photo/bee", d / "photo/B-ee"), "the same class as"),
        (lambda d: (d / "out").touch(), "--out: expected a folder, received the file "),
    ],
)
def test_bad_input_is_refused(trees, refused, spoil, expected):
    spoil(trees)
    assert expected in refused(make_dataset, settings(trees))


def test_classes_of_one_side_only_are_left_out_and_reported(trees, capsys):
    (trees / "sketch/bee").rename(trees / "sketch/Bumble_Bee")
    (trees / "sketch/elk").rename(trees / "sketch/E-L K")  # the same class, spelt otherwise
    make_dataset(settings(trees))
    output = capsys.readouterr().err
    assert "1 classes have no sketch folder and are left out: bee" in output
    assert "1 classes have no photo folder and are left out: Bumble_Bee" in output
    assert matfiles.read_names(trees / "out/label_sk.mat", "classes") == ["ant", "cow", "dog", "elk"]


@pytest.mark.slow
def test_pictures_json_names_everything_that_made_the_features(trees, capsys):
    make_dataset(settings(trees, freeze=False, epochs=1, seed=3))
    provenance = json.loads((trees / "out" / PICTURES).read_text())
    assert (
        provenance["backbone"] == "small" and provenance["seed"] == 3 and provenance["photos"] == str(trees / "photo")
    )
    trained = {modality: file_hash(trees / f"out/{modality}.weights.h5") for modality in ("photo", "sketch")}
    assert provenance["cnn_sha256"] == trained
    capsys.readouterr()
    make_dataset(settings(trees, freeze=False, epochs=1, seed=3))  # what came of it tells it from nothing
    assert "already holds these features" in capsys.readouterr().out


@pytest.mark.slow
def test_a_renamed_weight_file_is_the_same_one(trees, refused, capsys):
    """Weights are told apart by their content, whatever the file is called and wherever it lies."""
    weights, renamed = trees / "old.weights.h5", trees / "moved/new.weights.h5"
    networks.build(backbone("small")).save_weights(weights)
    make_dataset(settings(trees, weights=weights))
    before = (trees / "out/imagematnew.mat").read_bytes()
    renamed.parent.mkdir()
    weights.rename(renamed)
    capsys.readouterr()
    make_dataset(settings(trees, weights=renamed))
    said = capsys.readouterr().out
    assert "already holds these features" in said and f"pictures.json now names new.weights.h5, {renamed}" in said
    assert (trees / "out/imagematnew.mat").read_bytes() == before
    present = read_provenance(trees / "out")
    assert (present["weights"], present["weights_file"]) == ("new.weights.h5", str(renamed))
    networks.build(backbone("small")).save_weights(weights)  # the former name, other numbers
    message = refused(make_dataset, settings(trees, weights=weights))
    assert "holds features made with another weights_sha256; --overwrite replaces them" in message


def test_flags_that_make_no_sense_leave_no_folder(trees, refused):
    assert "nowhere.h5: no such file" in refused(make_dataset, settings(trees, weights=Path("nowhere.h5")))
    assert not (trees / "out").exists()


def test_ctrl_c_says_how_to_go_on(trees, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(feature_export, "outputs", stop)
    with pytest.raises(KeyboardInterrupt, match="stopped; the same command goes on"):
        make_dataset(settings(trees))
    assert not (trees / "out" / PICTURES).exists()


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_precision_is_recorded_and_not_mistaken(trees, refused, precision):
    """Frozen features of one precision, and outputs kept of it, are not taken for those of another."""
    make_dataset(settings(trees, precision=precision))
    out = trees / "out"
    assert read_provenance(out)["precision"] == precision
    features = matfiles.read(out / "imagematnew.mat", "feature")
    assert "holds features made with another precision" in refused(make_dataset, settings(trees))
    make_dataset(settings(trees, overwrite=True))
    whole = matfiles.read(out / "imagematnew.mat", "feature")
    assert 0 < np.abs(whole - features).max() < 0.05 * np.abs(whole).max()


def test_features_of_an_older_version_are_still_those(trees, capsys):
    """pictures.json without a precision is of float32."""
    make_dataset(settings(trees))
    provenance = read_provenance(trees / "out")
    assert provenance.pop("precision") == "float32"
    write_provenance(trees / "out", provenance)
    capsys.readouterr()
    make_dataset(settings(trees))
    assert "already holds these features" in capsys.readouterr().out


@pytest.mark.slow
def test_loss_that_is_not_finite_stops_the_run(trees, refused):
    message = refused(make_dataset, settings(trees, freeze=False, learning_rate=1e38, epochs=3))
    assert message.startswith("photo: the loss of epoch") and not (trees / "out" / PICTURES).exists()


def test_names_with_spaces_and_accents(trees):
    """A class folder whose accent is a character of its own, as some file systems have it, matches one without."""
    (trees / "photo/bee").rename(trees / "photo/Löwe im Zoo")
    (trees / "sketch/bee").rename(trees / "sketch/Lo\u0308we_im_Zoo")
    (trees / "photo/ant/ant_0.jpg").rename(trees / "photo/ant/große Ameise.jpg")
    make_dataset(settings(trees))
    out = trees / "out"
    assert "Löwe im Zoo" in matfiles.read_names(out / "label_sk.mat", "classes")
    assert "große Ameise.jpg" in matfiles.read(out / "names_images.mat", "data").ravel().tolist()
    assert matfiles.read(out / "sketchmatnew.mat", "feature").shape == (15, 256)


@pytest.mark.slow
@pytest.mark.parametrize("train", ["all", "head"])
def test_half_precision_on_a_gpu(trees, monkeypatch, train):
    """With a GPU, feigned here, features stay finite float32, the CNN learns, and stage II is not affected after it."""
    policies, original = [], ClassifierTrainer.fit
    monkeypatch.setattr(precision, "has_gpu", lambda: True)

    def watched(trainer, folder):
        policies.append(keras.mixed_precision.global_policy().name)
        before = [weight.copy() for weight in trainer.model.get_weights()]
        original(trainer, folder)
        assert any((old != new).any() for old, new in zip(before, trainer.model.get_weights(), strict=True))

    monkeypatch.setattr(ClassifierTrainer, "fit", watched)
    make_dataset(settings(trees, freeze=False, train=train, epochs=1))
    assert policies == ["mixed_float16"] * 2 and keras.mixed_precision.global_policy().name == "float32"
    features = matfiles.read(trees / "out/imagematnew.mat", "feature")
    assert features.dtype == np.float32 and np.isfinite(features).all() and np.ptp(features) > 0


@pytest.mark.slow
def test_trained_weights_make_the_same_features(trees):
    """The CNN file written beside the features, loaded again, gives the same vector for a picture."""
    make_dataset(settings(trees, freeze=False, train="head", dense=6, epochs=1))
    features = matfiles.read(trees / "out/imagematnew.mat", "feature")
    body = networks.pooled(networks.build(backbone("small")), "average")
    model = keras.Model(body.input, networks.head(256, 6, normalise=True)(body.output))
    model.load_weights(trees / "out/photo.weights.h5")
    picture = pictures.read_picture(trees / "photo/ant/ant_0.jpg", 40)
    np.testing.assert_allclose(features[0], model(picture[None]).numpy()[0], rtol=1e-4, atol=1e-5)


FROZEN = ("--freeze", "--first", 3, "--shrink", 24)
WHOLE = ("--train", "all", "--epochs", 3, "--held-out", 0.34)
HEAD = ("--train", "head", "--dense", 8, "--epochs", 3, "--held-out", 0.34)
JOINT = ("--train", "joint", "--epochs", 3, "--held-out", 0.5)
CLASSIFIER, TOGETHER = "zscmr.training.stage1.classifier", "zscmr.training.stage1.end_to_end"

#: runs stage I and kills the process (SIGKILL) at the given call of a function of the project
KILLER = """
import os, signal, sys
sys.path.insert(0, sys.argv.pop(1))
module, name, count = sys.argv.pop(1), sys.argv.pop(1), int(sys.argv.pop(1))
from functools import partial
from zscmr.utils import cli
from zscmr.training.stage1.dataset import make_dataset
from zscmr.training.stage1.options import Stage1Options
import importlib
module = importlib.import_module(module)
*outer, name = name.split(".")
module = getattr(module, outer[0]) if outer else module
original, calls = getattr(module, name), []
def deadly(*words, **more):
    calls.append(0)
    if len(calls) == count:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*words, **more)
setattr(module, name, deadly)
cli.run(make_dataset, Stage1Options, "")
"""


@pytest.mark.slow
@posix
@pytest.mark.parametrize(
    ("flags", "stops"),
    [
        # pictures are read 4 at a time, 15 of a modality: the third read is in the photos, the second after that
        # resumption in the rest of them or in the sketches
        (FROZEN, [("zscmr.datasets.pictures", "read_pictures", 3), ("zscmr.datasets.pictures", "read_pictures", 6)]),
        # in the second epoch; after its checkpoint; in the sketches' first; while .mat files are written
        (
            WHOLE,
            [
                (CLASSIFIER, "ClassifierTrainer.epoch", 2),
                (CLASSIFIER, "ClassifierTrainer.accuracy", 2),
                (CLASSIFIER, "ClassifierTrainer.epoch", 2),
                ("zscmr.formats.matfiles", "write", 3),
            ],
        ),
        (
            HEAD,
            [(CLASSIFIER, "ClassifierTrainer.epoch", 3), (CLASSIFIER, "ClassifierTrainer.accuracy", 4)],
        ),
        # while pictures are decoded; in the second epoch; after its steps; while features are exported, then written
        (
            JOINT,
            [
                ("zscmr.datasets.pictures", "read_pictures", 2),
                (TOGETHER, "step_rows", 2),
                (TOGETHER, "EndToEndTrainer.score", 2),
                ("zscmr.inference.outputs", "outputs", 2),
                ("zscmr.formats.matfiles", "write", 2),
            ],
        ),
    ],
)
def test_a_killed_run_goes_on_to_the_same_files(trees, script, flags, stops):
    """SIGKILL at several points, each followed by the same command: every file as an undisturbed run leaves it."""
    words = ["--photos", trees / "photo", "--sketches", trees / "sketch", "--unseen", trees / "unseen.txt"]
    words = [*map(str, (*words, "--backbone", "small", "--batch-size", 4, *flags))]
    script("pretrain/finetune.py", *words, "--out", trees / "whole")
    for module, name, count in stops:
        killer = [sys.executable, "-c", KILLER, str(ROOT), module, name, str(count), *words, "--out", trees / "parts"]
        done = subprocess.run(killer, capture_output=True, text=True)
        assert done.returncode == -signal.SIGKILL, done.stderr
        assert not (trees / "parts" / PICTURES).exists()
    said = [script("pretrain/finetune.py", *words, "--out", trees / "parts").stdout for _ in range(2)]
    assert flags is FROZEN or re.search("goes on after epoch [1-9]", said[0]), said
    assert "already holds these features" in said[1]
    files = {file.relative_to(trees / "whole") for file in (trees / "whole").rglob("*") if file.is_file()}
    assert files == {file.relative_to(trees / "parts") for file in (trees / "parts").rglob("*") if file.is_file()}
    assert_same_bytes(trees / "whole", trees / "parts", files)


def test_the_backbones_classifier_is_written_where_it_applies():
    """It applies to averaged maps of one backbone with weights."""
    kernel, file = np.arange(14.0, dtype=np.float32).reshape(-1, 2), Path("w.npz")
    entry = dataclasses.replace(backbone("small"), classifier=lambda file: (kernel, np.zeros(2)))
    plain = CnnSpec(entry, "nothing", "average", weights=file)
    headed, bare = dataclasses.replace(plain, train="head", dense=7), dataclasses.replace(plain, weights=None)
    other = dataclasses.replace(plain, entry=dataclasses.replace(entry, name="other"))

    def received(photo, sketch, width=7):
        features = dict.fromkeys(("photo", "sketch"), CnnFeatures(np.zeros((1, width)), np.ones(1, bool), None))
        return classifier_of({"photo": FrozenOptions(photo, 0, 1), "sketch": FrozenOptions(sketch, 0, 1)}, features)

    np.testing.assert_array_equal(received(plain, plain), kernel)
    assert received(plain, other) is received(headed, headed) is received(plain, plain, 8) is None
    assert received(bare, bare) is None


@pytest.mark.slow
def test_a_former_classifier_goes_with_its_features(trees):
    make_dataset(settings(trees))
    matfiles.write(trees / "out/classifier.mat", {"kernel": np.ones((7, 2))})
    make_dataset(settings(trees, seed=1, shrink=40, overwrite=True))
    assert not (trees / "out/classifier.mat").exists()
