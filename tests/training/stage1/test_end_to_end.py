"""End-to-end training: what it learns, what it must not see, resuming, several devices, refusals."""

import json
import os
import shutil
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import tensorflow as tf
from helpers.project import ROOT, draw_pictures, picture_flags, trainer_settings

from zscmr.commands import train as trainer
from zscmr.datasets import layouts
from zscmr.datasets.classes import split_classes
from zscmr.datasets.word_vectors import WordVectorOptions, join_vectors
from zscmr.evaluation.scoring import score_across
from zscmr.formats import matfiles
from zscmr.retrieval import Encoder
from zscmr.training.stage1 import end_to_end as joint
from zscmr.training.stage1.cnn import pooled_backbone
from zscmr.training.stage1.dataset import make_dataset
from zscmr.training.stage1.examples import PictureSet, Redrawing
from zscmr.training.stage1.options import Stage1Options, by_modality
from zscmr.training.stage1.precision import computing_in
from zscmr.training.stage1.student import build_student
from zscmr.utils.errors import BadInput
from zscmr.utils.files import read_json

NAMES = ("ant", "bee", "cow", "dog", "elk", "fox")
SMALL = {"train": "joint", "backbone": "small", "batch_size": 8, "epochs": 2}
FILES = ("imagematnew.mat", "sketchmatnew.mat", "photo.weights.h5", "pictures.json")


@pytest.fixture
def pictures(tmp_path, random):
    """A folder with photos and sketches of six classes, two of them unseen, and class vectors."""
    draw_pictures(tmp_path, random, NAMES, per_class=4, size=(40, 40), unseen=("dog", "fox"))
    np.savez(tmp_path / "words.npz", classes=NAMES, words=random.normal(size=(len(NAMES), 5)))
    return tmp_path


def train(folder, out="out", **choices):
    options = Stage1Options(**picture_flags(folder), out=folder / out, **{**SMALL, **choices})
    make_dataset(options)
    return folder / out


def features(out):
    return [matfiles.read(out / name, "feature") for name in ("imagematnew.mat", "sketchmatnew.mat")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "choices",
    [
        {},
        {"share": "none"},
        {"objective": "paper", "vectors": "words.npz"},
        {"objective": "tuned", "without": ("latent",)},
        {"pool": "average", "size": 32, "ink": 0.1},
    ],
)
def test_every_objective_trains(pictures, choices):
    if "vectors" in choices:
        choices["vectors"] = pictures / choices["vectors"]
    out = train(pictures, **choices)
    width = 64 if choices.get("objective") else 256
    assert all(rows.shape == (24, width) and np.ptp(rows, axis=0).max() > 0 for rows in features(out))
    provenance = read_json(out / "pictures.json")
    assert set(provenance["trained_on"]) == {"ant", "bee", "cow", "elk"}
    same = (out / "photo.weights.h5").read_bytes() == (out / "sketch.weights.h5").read_bytes()
    assert same == (choices.get("share") != "none" and "objective" not in choices)  # ZSCMR has two encoders
    assert provenance.get("ink") == choices.get("ink") and provenance.get("size") == choices.get("size")


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["paper", "tuned"])
def test_zscmr_trained_from_pictures_needs_no_stage_two(pictures, objective):
    """Stage I writes embeddings of its own space; the preset keeps them, and the run's encoders give the same."""
    data = train(pictures, objective=objective, vectors=pictures / "words.npz", share="none")
    join_vectors(WordVectorOptions(data=data, vectors=(pictures / "words.npz",)))
    run = pictures / "run"
    trainer.main(trainer_settings(data=data, preset="end-to-end", path=run))
    for modality, key, given in zip(("photo", "sketch"), ("featuresx", "featuresy"), features(data), strict=True):
        embeddings = matfiles.read(run / "unified_features.mat", key)
        np.testing.assert_array_equal(embeddings, given)
        paths = layouts.list_pictures(pictures / modality, modality).paths()
        vectors, readable = Encoder.open(run, modality).embed(paths)
        assert readable.all()
        np.testing.assert_allclose(vectors, embeddings, atol=1e-4 * np.abs(embeddings).max())


@pytest.mark.slow
def test_unseen_and_held_out_pictures_never_reach_a_batch(pictures, monkeypatch):
    shown = []
    step_rows = joint.step_rows

    def watch(labels, triads, system):
        shown.append((labels[triads.photo], triads.sketch.shape))
        return step_rows(labels, triads, system)

    read = []
    decode = joint.decode

    def note(modality, *words, **more):
        read.extend(modality.paths)
        return decode(modality, *words, **more)

    monkeypatch.setattr(joint, "step_rows", watch)
    monkeypatch.setattr(joint, "decode", note)
    out = train(pictures, held_out=0.5)
    assert len(shown) == 2 and all((labels >= 0).all() and labels.max() == 1 for labels, _ in shown)
    assert read and not any("dog" in path or "fox" in path for path in read)
    assert len(read_json(out / "pictures.json")["trained_on"]) == 2


@pytest.mark.slow
def test_stopped_training_goes_on_to_the_same_bytes(pictures, monkeypatch):
    whole = train(pictures, "whole", epochs=3)
    epochs, rows = [], joint.step_rows

    def stop(*words):
        epochs.append(words)
        if len(epochs) == 3:
            raise KeyboardInterrupt
        return rows(*words)

    with monkeypatch.context() as patch:
        patch.setattr(joint, "step_rows", stop)
        with pytest.raises(KeyboardInterrupt, match="the same command goes on"):
            train(pictures, "parts", epochs=3)
    assert not (pictures / "parts/pictures.json").exists()
    parts = train(pictures, "parts", epochs=3)
    for file in FILES:
        assert (whole / file).read_bytes() == (parts / file).read_bytes(), file


@pytest.fixture
def unpaired(pictures, random):
    """`pictures` with sketches of two classes that have no photos."""
    draw_pictures(pictures / "further", random, ("gnu", "owl"), per_class=3, size=(40, 40), unseen=())
    for name in ("gnu", "owl"):
        shutil.move(pictures / "further/sketch" / name, pictures / "sketch")
    return pictures


@pytest.mark.slow
def test_sketches_without_photos_are_learnt_but_get_no_features(unpaired, refused, capsys):
    without, out = train(unpaired, "without"), train(unpaired, unpaired=True)
    assert "unpaired: 6 sketches of 2 classes without photos" in capsys.readouterr().out
    provenance = read_json(out / "pictures.json")
    assert provenance["unpaired"]["classes"] == ["gnu", "owl"] and "gnu" not in provenance["classes"]
    for rows, others in zip(features(out), features(without), strict=True):
        assert rows.shape == others.shape == (24, 256) and not np.allclose(rows, others)
    assert "made with another unpaired" in refused(train, unpaired)
    shutil.rmtree(unpaired / "sketch/owl")
    assert "made with another unpaired" in refused(train, unpaired, unpaired=True)


@pytest.mark.slow
def test_with_photos_of_all_classes_nothing_is_unpaired(pictures, capsys):
    train(pictures)
    train(pictures, unpaired=True)
    assert "already holds these features" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"objective": "tuned", "without": ("latent",)}, "--objective tuned learns classes with photos only"),
        ({"train": "all"}, "--unpaired belongs to --train joint"),
    ],
)
def test_unpaired_is_refused_where_nothing_would_learn_it(pictures, refused, choices, message):
    assert message in refused(train, pictures, unpaired=True, **choices)


def test_unpaired_sketches_are_classified_beside_the_seen_classes(unpaired, monkeypatch):
    """Their labels follow those of the seen classes, and each class may be drawn."""
    trainer, shown = trainer_of(unpaired, unpaired=True), []

    def watch(first, labels, rows, images):
        shown.append(([array.numpy() for array in labels], [array.numpy() for array in rows], len(images)))
        return tf.ones(len(trainer.names) + 1)

    monkeypatch.setattr(trainer, "_resident", watch)
    assert trainer.names == ("classification", "contrast", "crossing", "unpaired")
    assert trainer.student.system.classes.kernel.shape == (64, 4 + 2)
    trainer.epoch(1)
    (pairs, labels), rows, count = shown[0]
    assert count == len(rows) == 3 and pairs.max() == 3
    assert labels.shape == rows[2].shape == (trainer.steps, 2) and set(labels.ravel()) == {4, 5}
    np.testing.assert_array_equal(labels - 4, trainer.training_set.unpaired.labels[rows[2]])
    assert trainer.weights["unpaired"] == 2 / 8


TWO_DEVICES = """
import sys
import tensorflow as tf
from pathlib import Path
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from zscmr.training import strategies
devices = int(sys.argv[2])
if devices > 1:
    strategies.choose_strategy = lambda *_: tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
import test_end_to_end
words = {key: value for key, value in (word.split("=") for word in sys.argv[3:])}
test_end_to_end.train(Path(sys.argv[1]), f"{devices}", **words)
"""


@pytest.mark.slow
@pytest.mark.parametrize("choices", [("objective=contrast", "unpaired=1"), ("train=all",)])
def test_two_devices_train_as_one_does(unpaired, choices):
    """End to end, with sketches of classes without photos, and one CNN per modality."""
    outs, pictures = {}, unpaired
    for devices in (1, 2):
        words = [str(pictures), str(devices), "pool=average", *choices]
        folders = (ROOT, ROOT / "tests", ROOT / "tests/training/stage1")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
        subprocess.run([sys.executable, "-c", TWO_DEVICES, *words], env=environment, check=True, capture_output=True)
        outs[devices] = features(pictures / str(devices))
    for one, two in zip(outs[1], outs[2], strict=True):
        scale = np.abs(one).max()
        close = np.isclose(two, one, rtol=1e-2, atol=1e-3 * scale)
        if "objective=contrast" in choices:
            assert close.all()
        else:  # behind a batch normalisation a rounding may grow: 1 element of 6,144 was 1.6e-3 off
            assert close.mean() > 0.999
            np.testing.assert_allclose(two, one, rtol=1e-2, atol=3e-3 * scale)


def trainer_of(folder, precision="float32", held_out=0.0, resident=joint.RESIDENT_BYTES, unpaired=False):
    """A trainer of the small backbone on the pictures in `folder`, as stage I makes it."""
    options = {**SMALL, "pool": "average", "precision": precision, "held_out": held_out}
    options = by_modality(Stage1Options(**picture_flags(folder), out=folder, **options))["photo"]
    sides = {}
    for key, tree in layouts.matched_trees(folder / "photo", folder / "sketch", unpaired=unpaired).items():
        modality = "photo" if key == "photo" else "sketch"
        sides[key] = PictureSet(modality, tuple(tree.paths()), tree.labels, options.spec.preprocessing(modality))
    split = split_classes(NAMES, ["dog", "fox"], "unseen.txt", held_out, 0)
    redrawing = Redrawing(options.recipe.strokes, options.seed)
    vectors = np.zeros((len(split.seen), 1), np.float32)
    training_set = joint.read_training_set(sides, split, vectors, redrawing, resident)
    with computing_in(precision):
        network = partial(pooled_backbone, options.spec, 0)
        vectors = np.zeros((len(split.seen) + 2 * unpaired, 1), np.float32)
        student, teacher = build_student(network, None, options, {}, vectors)
        return joint.EndToEndTrainer(student, teacher, training_set, options)


def weights_of(trainer):
    """All that a step may change."""
    optimizers = [group.optimizer for group in trainer.groups]
    moments = [moment for optimizer in optimizers for moment in (*optimizer.first, *optimizer.second)]
    return [array.numpy() for array in (*trainer.student.weights, *moments, *trainer.ema.values)]


@pytest.mark.slow
@pytest.mark.parametrize("strokes", [False, True])
def test_streamed_pictures_train_as_resident_ones_do(unpaired, strokes):
    pictures = unpaired
    if strokes:  # the sketches of two classes become drawings, which differ between epochs
        line = json.dumps({"drawing": [[[0, 200, 255], [0, 90, 255]], [[3, 60], [255, 3]]]})
        for name in ("ant", "owl"):
            shutil.rmtree(pictures / "sketch" / name)
            (pictures / f"sketch/{name}.ndjson").write_text(4 * f"{line}\n")
    resident, streamed = (trainer_of(pictures, resident=most, unpaired=strokes) for most in (2**30, 0))
    assert streamed.training_set.photo.images is None
    terms = [trainer.epoch(2) for trainer in (resident, streamed)]
    assert terms[0] == pytest.approx(terms[1], rel=1e-3)
    for one, other in zip(weights_of(resident), weights_of(streamed), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-4 * np.abs(one).max())


@pytest.mark.slow
def test_averages_have_the_statistics_of_trained_norms(pictures):
    trainer = trainer_of(pictures)
    statistics = [norm.moving_mean for norm in trainer.student.photo_network.layers if hasattr(norm, "moving_mean")]
    assert len(statistics) == 4 and all(any(mean is kept for kept in trainer.ema.variables_) for mean in statistics)
    trainer.epoch(1)
    before = [mean.numpy() for mean in statistics]
    trainer.ema.swap()
    for mean, live in zip(statistics, before, strict=True):
        assert (mean.numpy() != live).any() and (mean.numpy() != 0).any()


@pytest.mark.slow
def test_overflow_is_skipped_counted_and_recovered_from(pictures):
    """A loss scale far too large for float16 overflows until it has been halved often enough; nothing is spoilt."""
    trainer = trainer_of(pictures, "float16")
    trainer.guard.scale.assign(2.0**26)
    terms = {}
    for number in (1, 2, 3, 4):
        before, skipped = weights_of(trainer), int(trainer.guard.skipped)
        try:
            terms = trainer.epoch(number)
        except BadInput as error:
            assert "steps in a row are not finite: numbers beyond float16's 65504; --precision bfloat16" in str(error)
            for old, new in zip(before, weights_of(trainer), strict=True):
                np.testing.assert_array_equal(new, old)
            assert int(trainer.guard.skipped) == skipped + trainer.steps
    assert np.isfinite(list(terms.values())).all() and 4 < int(trainer.guard.skipped) < 16
    assert all(np.isfinite(array).all() for array in weights_of(trainer))
    assert trainer._shown_skips() == f"  {int(trainer.guard.skipped)} steps skipped"


@pytest.mark.slow
def test_features_beyond_the_range_leave_statistics_alone(pictures, refused):
    """The forward pass overflows whatever the scale is: no moving mean becomes infinite, and the cause is named."""
    trainer = trainer_of(pictures, "float16")
    kernel = trainer.student.photo_network.get_layer("block4_conv").kernel
    kernel.assign(np.full(kernel.shape, 6e4))
    before = weights_of(trainer)
    assert "beyond float16's 65504" in refused(trainer.epoch, 1)
    for old, new in zip(before, weights_of(trainer), strict=True):
        np.testing.assert_array_equal(new, old)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_trains_and_is_recorded(pictures, refused, precision):
    out = train(pictures, precision=precision, epochs=1)
    assert read_json(out / "pictures.json")["precision"] == precision
    assert all(np.isfinite(rows).all() and rows.dtype == np.float32 for rows in features(out))
    assert "made with another precision" in refused(train, pictures, epochs=1)


@pytest.mark.slow
def test_stopped_training_is_not_resumed_in_another_precision(pictures, capsys):
    def stop(trainer):
        raise KeyboardInterrupt

    expected = train(pictures, "expected", held_out=0.5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joint.EndToEndTrainer, "_say_chosen", stop)
        with pytest.raises(KeyboardInterrupt):
            train(pictures, "parts", held_out=0.5, precision="bfloat16")
    capsys.readouterr()
    parts = train(pictures, "parts", held_out=0.5)
    assert "goes on" not in capsys.readouterr().out
    for file in FILES:
        assert (expected / file).read_bytes() == (parts / file).read_bytes(), file


def test_held_out_score_is_compiled_once_and_that_of_single_pictures(pictures):
    trainer = trainer_of(pictures, held_out=0.5)
    scores = [trainer.score(), trainer.score()]
    assert scores[0] == scores[1] and all(f.experimental_get_tracing_count() == 1 for f in trainer._embed.values())
    rows, labels = {}, {}
    for key, examples in trainer.training_set.held_out.items():
        images = examples.read(range(len(examples.labels)))
        rows[key] = np.concatenate([trainer.student.vectors(image[None], key) for image in images])
        rows[key] -= rows[key].mean(0)
        labels[key] = examples.labels
    np.testing.assert_allclose(trainer._vectors("photo", trainer.training_set.held_out["photo"]).shape, (8, 256))
    expected = score_across(rows["photo"], rows["sketch"], labels["photo"], labels["sketch"], "cosine")
    assert scores[0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_loss_that_is_not_finite_stops(pictures, refused):
    assert "are not finite: the training diverges; a lower --learning-rate may help" in refused(
        train, pictures, learning_rate=1e30
    )
    assert not (pictures / "out/pictures.json").exists()
