"""A backbone of its own for each modality: features of two widths, and the way back from a run to its pictures."""

import numpy as np
from helpers.project import draw_pictures, picture_flags, random_squeezenet, trainer_settings

from zscmr.backbones import networks
from zscmr.commands import train as trainer
from zscmr.datasets.word_vectors import WordVectorOptions, join_vectors
from zscmr.formats import matfiles
from zscmr.retrieval import Encoder
from zscmr.training.stage1.dataset import make_dataset
from zscmr.training.stage1.options import Stage1Options, by_modality
from zscmr.utils.files import read_json

NAMES = ("ant", "bee", "cow", "dog", "elk", "fox")


def test_run_on_two_backbones_embeds_pictures_of_both(tmp_path, random, capsys):
    draw_pictures(tmp_path, random, NAMES, per_class=3, size=(40, 40), unseen=("dog", "fox"))
    weights = random_squeezenet(tmp_path / "w.npz")
    photo_weights = tmp_path / "small.weights.h5"  # random ones are kept nowhere, and could not be exported
    networks.build("small").save_weights(photo_weights)
    flags = {"backbone": "small", "weights": photo_weights, "freeze": True}
    flags |= {"sketch_backbone": "squeezenet", "sketch_weights": weights}
    options = Stage1Options(**picture_flags(tmp_path), out=tmp_path / "data", **flags)
    make_dataset(options)
    made = read_json(tmp_path / "data/pictures.json")
    assert made["backbone"] == "small" and made["sketch"]["backbone"] == "squeezenet"
    widths = {256: "imagematnew.mat", 512: "sketchmatnew.mat"}
    assert all(matfiles.read(tmp_path / "data" / name, "feature").shape[1] == width for width, name in widths.items())
    make_dataset(options)
    assert "already holds these features" in capsys.readouterr().out

    np.savez(tmp_path / "words.npz", classes=NAMES, words=random.normal(size=(len(NAMES), 5)))
    join_vectors(WordVectorOptions(data=tmp_path / "data", vectors=(tmp_path / "words.npz",)))
    run = tmp_path / "run"
    trainer.main(trainer_settings(data=tmp_path / "data", path=run, epochs=1, batch_size=6, dim=5))
    encoder = Encoder.open(run, "sketch")
    assert encoder.preprocessing.size == 227
    rows = matfiles.read(run / "unified_features.mat", "featuresy")
    vectors, _ = encoder.embed(sorted((tmp_path / "sketch").rglob("*.png")))
    np.testing.assert_allclose(vectors, rows, atol=1e-3 * np.abs(rows).max())


def test_two_backbones_are_trained_beside_each_other(tmp_path, random):
    """The second CNN leaves alone what the first has left in the folder of unfinished work."""
    draw_pictures(tmp_path, random, NAMES, per_class=3, size=(40, 40), unseen=("dog", "fox"))
    weights = random_squeezenet(tmp_path / "w.npz")
    flags = {"backbone": "small", "sketch_backbone": "squeezenet", "sketch_weights": weights, "train": "head"}
    make_dataset(Stage1Options(**picture_flags(tmp_path), out=tmp_path / "data", epochs=1, batch_size=8, **flags))
    assert (tmp_path / "data/photo.weights.h5").is_file() and (tmp_path / "data/sketch.weights.h5").is_file()


def test_weights_without_their_backbone_are_refused(tmp_path, refused):
    places = dict.fromkeys(("photos", "sketches", "unseen", "out", "sketch_weights"), tmp_path)
    assert "--sketch-weights: is for --sketch-backbone" in refused(by_modality, Stage1Options(**places))


def test_two_backbones_do_not_train_as_one(tmp_path, refused):
    places = dict.fromkeys(("photos", "sketches", "unseen", "out"), tmp_path)
    options = Stage1Options(**places, train="joint", sketch_backbone="small")
    assert "joint training has one backbone" in refused(by_modality, options)
