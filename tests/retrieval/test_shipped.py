"""The encoder that comes with the project, and one graph for both modalities."""

import numpy as np
import pytest
from helpers.project import draw_pictures, picture_flags, trainer_settings

from zscmr.commands import search
from zscmr.commands import train as trainer
from zscmr.formats import matfiles
from zscmr.retrieval import Encoder
from zscmr.retrieval.encoder import SHIPPED
from zscmr.training.export import write_shared_encoder
from zscmr.training.stage1.dataset import make_dataset
from zscmr.training.stage1.options import Stage1Options
from zscmr.utils.files import read_json

NAMES = ("ant", "bee", "cow", "dog")


@pytest.fixture
def pictures(tmp_path, random):
    draw_pictures(tmp_path, random, NAMES, per_class=3, size=(40, 40), unseen=("dog",))
    return tmp_path


def test_shipped_encoder_is_small_and_names_no_place():
    encoders = [Encoder.shipped(modality) for modality in ("photo", "sketch")]
    assert {encoder.network.width for encoder in encoders} == {64}
    assert encoders[0].preprocessing.ink is None and encoders[1].preprocessing.ink == 0.1
    assert encoders[0].shrink is None and encoders[1].shrink == 128  # as small as the sketches that it learnt from
    assert sum(file.stat().st_size for file in SHIPPED.iterdir()) < 10e6
    words = (SHIPPED / "about.json").read_text()
    assert not any(place in words for place in ("/home", "/root", "/work", "/tmp"))
    assert len(encoders[0].seen) == 125


def test_shipped_encoder_searches_without_a_run(pictures, monkeypatch, capsys):
    monkeypatch.chdir(pictures)
    search.main(search.Settings(add=pictures / "photo"))
    query = pictures / "sketch/ant/ant_0.png"
    search.main(search.Settings(query=(query,), top=3))
    assert "wrote search.png" in capsys.readouterr().out and (pictures / "gallery/pictures.lance").is_dir()
    found, readable = Encoder.shipped("sketch").embed([query])
    assert readable.all()
    np.testing.assert_allclose(np.linalg.norm(found), 1.0, rtol=1e-5)


def test_one_graph_gives_what_the_run_has_embedded(pictures, refused, random):
    """In half precision, to a hundredth; the modalities' halves of the vector are told apart. Of a run with likenesses
    to a classifier's classes, whose map amplifies rounding, to hundredths, and its own graphs to 1e-4."""
    small = {"train": "joint", "backbone": "small", "batch_size": 4, "epochs": 1}
    runs = {}
    for share in ("all", "none"):
        data = pictures / f"data-{share}"
        make_dataset(Stage1Options(**picture_flags(pictures), out=data, share=share, **small))
        runs[share] = pictures / f"run-{share}"
        trainer.main(trainer_settings(data=data, preset="aligned", path=runs[share]))
    assert "a CNN of its own" in refused(write_shared_encoder, runs["none"], pictures / "other")
    folder = write_shared_encoder(runs["all"], pictures / "shared", sketch_shrink=48)
    assert [read_json(folder / "about.json")[modality]["shrink"] for modality in ("photo", "sketch")] == [None, 48]
    folder = write_shared_encoder(runs["all"], pictures / "shared")
    assert read_json(folder / "about.json")["sketch"]["columns"] == [64, 128]
    data, likened = pictures / "data-all", pictures / "run-likened"
    kernel = random.normal(size=(matfiles.read(data / "imagematnew.mat", "feature").shape[1], 9)).astype(np.float32)
    matfiles.write(data / "classifier.mat", {"kernel": kernel})
    trainer.main(trainer_settings(data=data, preset="aligned", path=likened))
    other = write_shared_encoder(likened, pictures / "shared-likened")
    for modality, key, suffix in (("photo", "featuresx", "jpg"), ("sketch", "featuresy", "png")):
        paths = sorted((pictures / modality).glob(f"*/*.{suffix}"))
        for run, where, allowed in ((runs["all"], folder, 0.02), (likened, other, 0.05), (likened, likened, 1e-4)):
            rows = matfiles.read(run / "unified_features.mat", key)
            found, readable = Encoder.open(where, modality).embed(paths)
            assert readable.all()
            np.testing.assert_allclose(found, rows, atol=allowed)
