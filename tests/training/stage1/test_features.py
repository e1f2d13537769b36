"""Features by large backbones, by a part that is trained, and by a backbone of its own for each modality."""

import numpy as np
import pytest
from helpers.project import draw_pictures, picture_flags, random_squeezenet, trainer_settings

from zscmr.backbones import backbone, networks
from zscmr.commands import train as trainer
from zscmr.datasets.word_vectors import WordVectorOptions, join_vectors
from zscmr.formats import matfiles
from zscmr.retrieval import Encoder
from zscmr.training.stage1.dataset import make_dataset
from zscmr.training.stage1.options import Stage1Options
from zscmr.utils.files import read_json

NAMES = ("ant", "bee", "cow", "dog", "elk", "fox")


@pytest.mark.slow
def test_run_on_two_backbones_embeds_pictures_of_both(tmp_path, random, capsys):
    draw_pictures(tmp_path, random, NAMES, per_class=3, size=(40, 40), unseen=("dog", "fox"))
    weights = random_squeezenet(tmp_path / "w.npz")
    photo_weights = tmp_path / "small.weights.h5"  # random ones are kept nowhere, and could not be exported
    networks.build(backbone("small")).save_weights(photo_weights)
    flags = {"backbone": "small", "weights": photo_weights, "freeze": True}
    flags |= {"sketch_backbone": "squeezenet", "sketch_weights": weights}
    options = Stage1Options(**picture_flags(tmp_path), out=tmp_path / "data", **flags)
    make_dataset(options)
    provenance = read_json(tmp_path / "data/pictures.json")
    assert provenance["backbone"] == "small" and provenance["sketch"]["backbone"] == "squeezenet"
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


@pytest.mark.slow
def test_two_backbones_are_trained_beside_each_other(tmp_path, random):
    """The second CNN leaves alone what the first has left in the folder of unfinished work."""
    draw_pictures(tmp_path, random, NAMES, per_class=3, size=(40, 40), unseen=("dog", "fox"))
    weights = random_squeezenet(tmp_path / "w.npz")
    flags = {"backbone": "small", "sketch_backbone": "squeezenet", "sketch_weights": weights, "train": "head"}
    make_dataset(Stage1Options(**picture_flags(tmp_path), out=tmp_path / "data", epochs=1, batch_size=8, **flags))
    assert (tmp_path / "data/photo.weights.h5").is_file() and (tmp_path / "data/sketch.weights.h5").is_file()


@pytest.mark.slow
def test_weights_of_several_seeds_are_averaged(tmp_path, random):
    draw_pictures(tmp_path, random, NAMES, per_class=3, size=(40, 40), unseen=("dog", "fox"))
    weights = tmp_path / "small.weights.h5"
    networks.build(backbone("small")).save_weights(weights)
    flags = {"backbone": "small", "weights": weights, "train": "joint", "epochs": 1, "batch_size": 8}
    for out, more in {"seven": {"seed": 7}, "eight": {"seed": 8}, "both": {"seed": 7, "soup": 2}}.items():
        make_dataset(Stage1Options(**picture_flags(tmp_path), out=tmp_path / out, **flags, **more))
    record = read_json(tmp_path / "both/pictures.json")
    assert (record["seed"], record["soup"]) == (7, 2) and "soup" not in read_json(tmp_path / "seven/pictures.json")
    networks_of = {out: networks.build(backbone("small")) for out in ("seven", "eight", "both")}
    for out, network in networks_of.items():
        network.load_weights(tmp_path / out / "photo.weights.h5")
    moved = False
    for first, second, both in zip(*(network.get_weights() for network in networks_of.values()), strict=True):
        np.testing.assert_allclose(both, (first + second) / 2, rtol=1e-6, atol=1e-7)
        moved |= not np.array_equal(first, second)
    assert moved


@pytest.fixture
def slice_of_pictures(tmp_path):
    """Settings for four classes of three 32-pixel pictures, one class unseen."""
    classes = ("ant", "bee", "cow", "dog")
    draw_pictures(tmp_path, np.random.default_rng(0), classes, per_class=3, size=(32, 32), unseen=("dog",))
    return {**picture_flags(tmp_path), "out": tmp_path / "out", "batch_size": 8}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "size"),
    [
        ({"backbone": "vgg16", "train": "head", "dense": 32, "epochs": 2}, 32),
        ({"backbone": "vgg16", "freeze": True}, 512),
        ({"backbone": "resnet50", "train": "last-block", "epochs": 1}, 2048),
    ],
)
def test_large_backbones_run(slice_of_pictures, tmp_path, flags, size):
    weights = tmp_path / "w.weights.h5"
    networks.build(backbone(flags["backbone"])).save_weights(weights)
    make_dataset(Stage1Options(**slice_of_pictures, weights=weights, **flags))
    for file in ("imagematnew.mat", "sketchmatnew.mat"):
        features = matfiles.read(tmp_path / "out" / file, "feature")
        assert features.shape == (12, size) and np.isfinite(features).all() and np.ptp(features) > 0


@pytest.mark.slow
def test_last_block_leaves_the_rest_as_it_was(slice_of_pictures, tmp_path):
    weights = random_squeezenet(tmp_path / "w.npz")
    flags = {"backbone": "squeezenet", "weights": weights, "train": "last-block", "epochs": 1}
    make_dataset(Stage1Options(**slice_of_pictures, **flags))
    before = networks.pooled(networks.build(backbone("squeezenet"), weights), "average")
    after = networks.pooled(networks.build(backbone("squeezenet")), "average")
    after.load_weights(tmp_path / "out/sketch.weights.h5")
    changed = {
        layer.name
        for layer, trained in zip(before.layers, after.layers, strict=True)
        for old, new in zip(layer.get_weights(), trained.get_weights(), strict=True)
        if not np.array_equal(old, new)
    }
    assert changed == {"fire9_squeeze1x1", "fire9_expand1x1", "fire9_expand3x3"}
