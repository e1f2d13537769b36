"""embed.py: a run's encoders over other pictures give embeddings that knn_eval.py reads."""

import json
import shutil

import numpy as np
import tensorflow as tf
from conftest import draw_pictures, picture_flags, trainer_settings
from PIL import Image

import embed
import knn_eval
import Unified_XY_triads as trainer
from zscmr import matfiles
from zscmr.retrieval import Encoder
from zscmr.training.stage1 import make_dataset
from zscmr.training.stage1_options import Stage1Options
from zscmr.word_vectors import WordVectorOptions, join_vectors

NAMES = ("ant", "bee", "cow", "dog", "elk", "fox")


def make_small_dataset(folder, random, size):
    """Pictures of `size` in `folder`, and the dataset folder/data of them, ready for stage II."""
    draw_pictures(folder, random, NAMES, per_class=3, size=size, unseen=("dog", "fox"))
    small = {"backbone": "small", "batch_size": 8, "epochs": 1}
    make_dataset(Stage1Options(**picture_flags(folder), out=folder / "data", **small))
    np.savez(folder / "words.npz", classes=NAMES, words=random.normal(size=(len(NAMES), 5)))
    join_vectors(WordVectorOptions(data=folder / "data", vectors=(folder / "words.npz",)))


def test_pictures_of_another_dataset(tmp_path, script, refused, capsys):
    random = np.random.default_rng(0)
    make_small_dataset(tmp_path, random, size=(40, 52))
    run = tmp_path / "run"
    trainer.main(trainer_settings(data=tmp_path / "data", path=run, epochs=2, batch_size=6, dim=5))

    # the run's own pictures get the run's own embeddings
    trees = ("--photos", tmp_path / "photo", "--sketches", tmp_path / "sketch", "--unseen", tmp_path / "unseen.txt")
    script("embed.py", "--run", run, *trees, "--out", tmp_path / "own.mat")
    for key in ("featuresx", "featuresy"):
        own, expected = (matfiles.read(file, key) for file in (tmp_path / "own.mat", run / "unified_features.mat"))
        np.testing.assert_allclose(own, expected, atol=1e-2 * np.abs(expected).max())
    script("knn_eval.py", tmp_path / "own.mat", "--json", tmp_path / "own.json")
    script("knn_eval.py", run / "unified_features.mat", "--json", tmp_path / "run.json")
    own, expected = (json.loads((tmp_path / name).read_text())["directions"] for name in ("own.json", "run.json"))
    assert own.keys() == expected.keys()

    # another dataset, one class of which was trained on, and one unreadable picture
    other = tmp_path / "other"
    draw_pictures(other, random, ("cow", "hen", "jay", "gnu"), per_class=2, size=(30, 30), unseen=("cow", "hen"))
    (other / "photo/hen/hen_0.jpg").write_bytes(b"no picture")
    embed.main(embed.Settings(run=run, **picture_flags(other), out=tmp_path / "other.mat"))
    told = capsys.readouterr().err
    assert "the run was trained on 1 of the 2 unseen classes, cow among them" in told and "hen_0.jpg" in told
    features = knn_eval.load(tmp_path / "other.mat")
    assert len(features.photo.labels) == 7 and len(features.sketch.labels) == 8 and features.leaked in told
    assert features.photo.path(0).exists() and not list(tmp_path.glob(".part-*"))
    settings = embed.Settings(run=tmp_path / "nowhere", **picture_flags(other), out=tmp_path / "x.mat")
    assert refused(embed.main, settings) == f"{tmp_path / 'nowhere/config.json'}: no such file"

    # encoders without the run's own embeddings still say what ranks theirs; a run without either is not finished
    assert embed.run_distance(run) == "euclidean"
    (run / "unified_features.mat").unlink()
    assert embed.run_distance(run) == "euclidean"
    shutil.rmtree(run / "encoders")
    settings = embed.Settings(run=run, **picture_flags(other), out=tmp_path / "x.mat")
    assert "no finished run" in refused(embed.main, settings) and not (tmp_path / "x.mat").exists()

    # encoders compute in float32, whatever the run was trained in
    half = {"path": tmp_path / "half", "precision": "bfloat16", "epochs": 1, "batch_size": 6, "dim": 5}
    trainer.main(trainer_settings(data=tmp_path / "data", **half))
    found, readable = Encoder.open(tmp_path / "half", "sketch").embed([features.sketch.path(0)])
    assert readable.all() and found.shape == (1, 5)


def test_exported_graphs_answer_without_a_line_of_ours(tmp_path, script):
    """A SavedModel by plain TensorFlow and a .tflite by a plain interpreter give what the run exported."""
    make_small_dataset(tmp_path, np.random.default_rng(0), size=(40, 40))
    choices = {"model": "crossatnet", "bits": 8, "epochs": 2, "batch_size": 6, "no_encoders": True}
    trainer.main(trainer_settings(data=tmp_path / "data", path=tmp_path / "run", **choices))
    refusal = script("export.py", "--run", tmp_path / "data", cwd=tmp_path, status=2).stderr
    assert refusal == f"export.py: --run {tmp_path / 'data'}: no finished run (it has no results.json)\n"
    (tmp_path / "served/photo/1").mkdir(parents=True)
    script("export.py", "--run", tmp_path / "run", "--saved-models", tmp_path / "served")
    assert sorted(folder.name for folder in (tmp_path / "served/photo").iterdir()) == ["1", "2"]

    names = matfiles.read_names(tmp_path / "run/unified_features.mat", "namesx")
    expected = matfiles.read(tmp_path / "run/unified_features.mat", "featuresx")
    shown = np.stack([np.asarray(Image.open(tmp_path / "photo" / name).convert("RGB")) for name in names])
    loaded = tf.saved_model.load(str(tmp_path / "served/photo/2"))
    served = loaded.serve(tf.constant(shown)).numpy()
    interpreter = tf.lite.Interpreter(str(tmp_path / "run/encoders/photo.tflite"))
    interpreter.allocate_tensors()
    (given,), (found,) = interpreter.get_input_details(), interpreter.get_output_details()
    lite = []
    for picture in shown:
        interpreter.set_tensor(given["index"], picture[None])
        interpreter.invoke()
        lite.append(interpreter.get_tensor(found["index"])[0])
    for codes in (served, np.array(lite)):
        assert codes.shape == (18, 8) and set(np.unique(codes)) == {-1, 1}
        assert (codes == expected).mean() > 0.97  # a bit on the edge may fall either way
