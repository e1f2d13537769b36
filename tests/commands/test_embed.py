"""embed.py: a run's encoders over other pictures give embeddings that knn_eval.py reads."""

import json
import shutil

import numpy as np
import pytest
from helpers.finished_run import make_small_dataset
from helpers.project import draw_pictures, picture_flags, trainer_settings
from helpers.slow import loop_ap, loop_rank

from zscmr.commands import embed
from zscmr.commands import evaluate as knn_eval
from zscmr.commands import train as trainer
from zscmr.datasets.drawings import DrawingOptions, render_drawings
from zscmr.formats import matfiles
from zscmr.retrieval import Encoder
from zscmr.utils.files import alone


@pytest.mark.slow
def test_pictures_of_another_dataset(tmp_path, script, refused, capsys):
    random = np.random.default_rng(0)
    make_small_dataset(tmp_path, random, per_class=3, size=(40, 52), backbone="small", epochs=1)
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
    output = capsys.readouterr().err
    assert "the run was trained on 1 of the 2 unseen classes, cow among them" in output and "hen_0.jpg" in output
    features = knn_eval.load(tmp_path / "other.mat")
    assert len(features.photo.labels) == 7 and len(features.sketch.labels) == 8 and features.leaked in output
    assert features.photo.path(0).exists() and not list(tmp_path.glob(".part-*"))
    settings = embed.Settings(run=run, **picture_flags(other), out=tmp_path / "other.mat")
    with alone("--out", tmp_path / "other.mat"):
        assert "another process is at work there" in refused(embed.main, settings)
    assert features.across == "trained on data, tested on other/photo: 2 classes of unseen.txt"
    settings = embed.Settings(run=tmp_path / "nowhere", **picture_flags(other), out=tmp_path / "x.mat")
    assert refused(embed.main, settings) == f"{tmp_path / 'nowhere/config.json'}: no such file"
    check_across_datasets(run, tmp_path / "third", random, refused, capsys)

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


def check_across_datasets(run, folder, random, refused, capsys):
    """On photos of noise and drawings of Quick, Draw! of other classes, two of which the run left unseen."""
    draw_pictures(
        folder, random, ("Ant", "dog", "fox", "hen"), per_class=3, size=(30, 30), unseen=("dog", "hen", "Ant")
    )
    shutil.rmtree(folder / "sketch")
    for name in ("ant", "dog", "fox", "hen"):
        points = random.integers(0, 256, (3, 2, 6)).tolist()
        (folder / f"{name}.ndjson").write_text("".join(f"{json.dumps({'drawing': [stroke]})}\n" for stroke in points))
    render_drawings(DrawingOptions(drawings=folder, out=folder / "sketch", size=64))
    trees = {"run": run, "photos": folder / "photo", "sketches": folder / "sketch", "out": folder / "x.mat"}
    capsys.readouterr()
    embed.main(embed.Settings(**trees))
    output = capsys.readouterr()
    across = "trained on data, tested on third/photo: 2 classes that both have and the run left unseen"
    assert f"Across datasets: {across}." in " ".join(output.out.split()) and "trained on 1" not in output.err

    vectors, labels = {}, {}
    for modality in ("photo", "sketch"):
        files = [path for name in ("dog", "fox") for path in sorted((folder / modality / name).iterdir())]
        vectors[modality], _ = Encoder.open(run, modality).embed(files)
        labels[modality] = [path.parent.name for path in files]
    expected = []
    for query, label in zip(vectors["sketch"], labels["sketch"], strict=True):
        order = loop_rank(query, vectors["photo"], "euclidean")
        expected.append(loop_ap([labels["photo"][item] == label for item in order], len(order), "R", False))
    [line] = (line for line in output.out.splitlines() if "sketch->image" in line)
    assert line.split()[1] == f"{np.mean(expected):.3f}"

    # a list less what was trained on; and what leaves nothing
    embed.main(embed.Settings(**trees, unseen=folder / "unseen.txt", drop_trained=True))
    assert "2 classes of unseen.txt that the run was not trained on" in " ".join(capsys.readouterr().out.split())
    (folder / "ant.txt").write_text("ant\n")
    settings = embed.Settings(**trees, unseen=folder / "ant.txt", drop_trained=True)
    assert refused(embed.main, settings).endswith("no class of ant.txt that the run was not trained on")
    assert refused(embed.main, embed.Settings(**trees, drop_trained=True)).startswith("--drop-trained: ")
