"""PCMSN: loss terms against slow loops, gradients of both parameter groups against finite differences, sizes, noise."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from helpers.project import check_gradients, check_resumes, prepare, trainer_settings
from helpers.slow import assert_terms_agree, slow_all_pairs, slow_cross_entropy, slow_linear, slow_scaled

from zscmr.commands import train as trainer
from zscmr.formats import matfiles
from zscmr.formats.dataset_directory import FILES
from zscmr.models import pcmsn
from zscmr.models.base import Batch, Inputs
from zscmr.training.sources import make_source
from zscmr.training.stage2 import train as stage2
from zscmr.training.steps import NOISE_STREAMS, EpochRunner
from zscmr.training.strategies import Gather

BATCH, F, G, S, T, C = 6, 7, 5, 4, 3, 3
LABELS = np.repeat(np.arange(C), 2).astype(np.int32)  # two pairs of each class, as balanced batches have them
SIZES = {
    "published": pcmsn.Settings(dim=T, dropout=0.0),
    "tuned": pcmsn.Settings(objective="tuned", dim=T, dropout=0.0, temperature=0.3),
    "direct": pcmsn.Settings(progressive=False, dim=T, dropout=0.0),
}
EVERY_TERM = [(form, name) for form, sizes in SIZES.items() for name in sizes.terms]


@pytest.fixture
def make_model(random, monkeypatch):
    monkeypatch.setattr(pcmsn, "HEAD", 6)

    def make(sizes):
        width = F if not sizes.progressive else G
        inputs = Inputs(random.normal(size=(20, F)), 2 + random.normal(size=(20, width)), np.zeros((C, S)), None)
        model = pcmsn.build(sizes, inputs)
        for weight in model.trainable_variables:  # scales, offsets and slopes too, which start alike
            weight.assign(random.normal(size=weight.shape))
        return model

    return make


@pytest.fixture
def make_batch(random):
    def make(model):
        def draw(*shape):
            return random.normal(size=shape).astype(np.float32)

        return draw(BATCH, F), draw(BATCH, model.sketch_scaling.mean.shape[0]), draw(BATCH, S), LABELS

    return make


def fast_terms(model, photos, sketches, class_vectors, labels, noise=(0, 0)):
    scaled = model.photo_scaling(photos), model.sketch_scaling(sketches)
    batch = Batch(*scaled, class_vectors, labels)
    return model.terms(batch, tf.constant(noise), Gather(replicas=1))


class Noise:
    """The draws of a step in the order of the system, each with the next seed."""

    def __init__(self, noise):
        self.noise, self.count = np.array(noise), 0

    def _next(self, function, shape, *limits):
        self.count += 1
        return function(shape, self.noise + self.count - 1, *limits).numpy().astype(np.float64)

    def normal(self, shape):
        return self._next(tf.random.stateless_normal, shape)

    def uniform(self, shape, least, most):
        return self._next(tf.random.stateless_uniform, shape, least, most)


def perceptron(layer, rows):
    """Rows (n, d) through a `Perceptron` without dropout, in float64, normalised by their own mean and variance."""
    shortcut = slow_linear(layer.shortcut, rows) if layer.shortcut else 0
    for linear, activation in zip((layer.first, layer.second), layer.activations, strict=True):
        rows = slow_linear(linear, rows)
        mean = sum(rows) / len(rows)
        variance = sum((row - mean) ** 2 for row in rows) / len(rows)
        rows = (rows - mean) / np.sqrt(variance + 1e-5) * activation.scale.numpy() + activation.offset.numpy()
        rows = np.where(rows > 0, rows, float(activation.slope.numpy()) * rows)
    return slow_linear(layer.out, rows) + shortcut


def slow_terms(model, photos, sketches, class_vectors, labels, noise=(0, 0)):
    """The terms by loops over samples and pairs; rows of photo and sketch take turns."""
    settings, draws = model.settings, Noise(noise)
    x, y = slow_scaled(model.photo_scaling, photos), slow_scaled(model.sketch_scaling, sketches)
    features = [x, y]
    if settings.progressive:
        features = [perceptron(model.photo_generator, x), perceptron(model.sketch_generator, y)]
    features = np.array([row for pair in zip(*features, strict=True) for row in pair])
    codes, divisor = perceptron(model.head, features), 1.0
    if settings.objective == "tuned":
        codes, divisor = np.array([code / np.linalg.norm(code) for code in codes]), settings.temperature
    read = features if settings.progressive else codes
    to_photo, to_sketch = perceptron(model.photo_decoder, read), perceptron(model.sketch_decoder, read)
    photo, sketch = codes[0::2], codes[1::2]
    directions = model.classifier.directions.numpy().astype(np.float64)
    total = dict.fromkeys(settings.terms, 0.0)
    for i in range(BATCH):
        for code in (photo[i], sketch[i]):
            total["classification"] += slow_cross_entropy(code @ directions / divisor, labels[i])
        if settings.objective == "tuned":
            total["euclidean"] += slow_all_pairs(photo, sketch, labels, i, temperature=0.3)
        else:
            total["euclidean"] += np.linalg.norm(photo[i] - sketch[i])
        total["reconstruction"] += sum(
            ((decoded[2 * i + k] - target[i]) ** 2).mean()
            for decoded, target in ((to_photo, x), (to_sketch, y))
            for k in (0, 1)  # from the photo's, from the sketch's features
        )
    if settings.progressive:
        generators, discriminator = pcmsn.ADVERSARIAL_TERMS
        real = perceptron(model.discriminator, class_vectors + 0.3 * draws.normal((BATCH, S)))
        fake = perceptron(model.discriminator, features + 0.3 * draws.normal((2 * BATCH, S)))
        as_if_real = draws.uniform((2 * BATCH, 1), 0.7, 1.0)
        labels_real, labels_fake = draws.uniform((BATCH, 1), 0.7, 1.0), draws.uniform((2 * BATCH, 1), 0.0, 0.3)
        for i in range(BATCH):
            total[discriminator] += ((real[i] - labels_real[i]) ** 2).item()
            for k in (2 * i, 2 * i + 1):
                total[generators] += ((fake[k] - as_if_real[k]) ** 2).item()
                total[discriminator] += 0.5 * ((fake[k] - labels_fake[k]) ** 2).item()
    return {name: value / BATCH for name, value in total.items()}


@pytest.mark.parametrize("form", SIZES)
def test_terms_agree_with_slow_loops(make_model, make_batch, form):
    model = make_model(SIZES[form])
    batch = make_batch(model)
    assert_terms_agree(fast_terms(model, *batch), slow_terms(model, *batch), SIZES[form].terms)


@pytest.mark.parametrize(("form", "name"), EVERY_TERM)
def test_gradients_agree_with_finite_differences(make_model, make_batch, form, name):
    """Of the weights of the group whose term it is: the generators and all else, or the discriminator."""
    model = make_model(SIZES[form])
    batch = make_batch(model)
    (group,) = [group for group in model.parameter_groups(1e-4) if name in group.terms]
    with tf.GradientTape() as tape:
        value = fast_terms(model, *batch)[name]
    values = [variable.value for variable in group.variables]
    gradients = tape.gradient(value, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    def slow():
        return slow_terms(model, *batch)[name]

    check_gradients(group.variables, gradients, slow, step=1e-3, tolerance=5e-3)


PARTS = (
    "photo_generator",
    "sketch_generator",
    "head",
    "photo_decoder",
    "sketch_decoder",
    "discriminator",
    "classifier",
)


def moved_by_training(folder, left_out):
    """{part: (whether its trained weights moved, whether its other weights did)} of two steps without `left_out`."""
    choices = {"model": "pcmsn", "dim": 4, "without": left_out, "batch_size": 8}
    settings, preset, dataset, split, draw = prepare(folder, learning_rate=0.1, **choices)
    state = stage2.build_state(settings, preset, dataset, split)
    model = state.model

    def values(weights):
        return [weight.numpy().copy() for weight in weights]

    both = {
        part: (getattr(model, part).trainable_weights, getattr(model, part).non_trainable_weights) for part in PARTS
    }
    before = {part: [values(weights) for weights in kinds] for part, kinds in both.items()}
    source = make_source(dataset, split.seen, model)
    run_epoch = EpochRunner(state, source, preset.constants.terms, preset.weights, seed=0)
    triads = draw(1)
    two = type(triads)(*(getattr(triads, field.name)[:2] for field in dataclasses.fields(triads)))
    run_epoch(two, first=0)
    return {
        part: [
            any(not np.array_equal(a, b) for a, b in zip(old, values(weights), strict=True))
            for old, weights in zip(before[part], kinds, strict=True)
        ]
        for part, kinds in both.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("left_out", "moved"),
    [
        ((), set(PARTS) - {"classifier"}),
        (("classification", "euclidean", "reconstruction", "generator_adversarial"), {"discriminator"}),
        (("discriminator_adversarial",), set(PARTS) - {"classifier", "discriminator"}),
        (("adversarial",), set(PARTS) - {"classifier", "discriminator"}),
        (("reconstruction",), set(PARTS) - {"classifier", "photo_decoder", "sketch_decoder"}),
    ],
)
def test_each_group_moves_its_own_weights_only(dataset_folder, monkeypatch, left_out, moved):
    """A part stays where no term of its group reaches it, the frozen classifier always; moving statistics go on."""
    monkeypatch.setattr(pcmsn, "HEAD", 8)
    parts = moved_by_training(dataset_folder, left_out)
    assert {part for part, (weights, _) in parts.items() if weights} == moved
    assert {part for part, (_, statistics) in parts.items() if statistics} == set(PARTS) - {"classifier"}


def test_frozen_classifier_has_unit_directions(make_model):
    model = make_model(SIZES["published"])
    np.testing.assert_allclose(np.linalg.norm(model.classifier.directions.numpy(), axis=0), 1, rtol=1e-6)
    assert not model.classifier.trainable_variables


def test_sizes():
    """Published sizes: F = 512, S = 654, t = 64, 100 classes. A perceptron a → h → h → b has a·h + h·h weights without
    bias, 2h scales and offsets and a slope for both hidden layers, and h·b + b: generators and decoders with h = 583,
    discriminator with h = 327, head with h = 1024. The classifier's 64·100 are not trained."""

    def size(a, h, b):
        return a * h + h * h + 2 * (2 * h + 1) + h * b + b

    features, vectors = np.random.default_rng(0).normal(size=(4, 512)), np.zeros((100, 654))
    model = pcmsn.build(pcmsn.Settings(), Inputs(features, features, vectors, None))

    def count(part):
        return sum(int(np.prod(weight.shape)) for weight in part.trainable_variables)

    assert count(model.photo_generator) == count(model.sketch_generator) == size(512, 583, 654)
    assert count(model.photo_decoder) == count(model.sketch_decoder) == size(654, 583, 512)
    assert count(model.discriminator) == size(654, 327, 1)
    assert count(model.head) == size(654, 1024, 64)
    total = 2 * (size(512, 583, 654) + size(654, 583, 512)) + size(654, 327, 1) + size(654, 1024, 64)
    assert (
        count(model) == total == sum(int(np.prod(v.shape)) for p in model.parameter_groups(1e-4) for v in p.variables)
    )
    assert model.embed_photos(features.astype(np.float32)).shape == (4, 64)
    tuned = pcmsn.build(pcmsn.PRESETS["tuned"].constants, Inputs(features, features, vectors, None))
    assert count(tuned) == total + 2 * 512 * 654 + 654 * 64  # a shortcut in each generator and in the head


def test_published_weights_and_optimizers(make_model):
    sketchy, tuberlin = pcmsn.PRESETS["sketchy"], pcmsn.PRESETS["tuberlin"]
    names = ("generator_adversarial", "classification", "euclidean", "reconstruction")
    assert [sketchy.weights[name] for name in names] == [1.0, 0.4, 0.4, 1.0]
    assert [tuberlin.weights[name] for name in names] == [1.0, 0.1, 0.4, 0.5]
    assert (sketchy.epochs, sketchy.steps, sketchy.batch_size, sketchy.learning_rate) == (30, 100, 128, 1e-4)
    generators, discriminator = make_model(SIZES["published"]).parameter_groups(sketchy.learning_rate)
    kinds = [type(group.optimizer).__name__ for group in (generators, discriminator)]
    assert kinds == ["Adam", "SGD"] and discriminator.optimizer.momentum == 0.9
    for group in (generators, discriminator):
        assert float(group.optimizer.learning_rate) == pytest.approx(1e-4)


@pytest.mark.slow
def test_embeddings_use_moving_statistics(make_model, random):
    """After many steps on one batch they are its own, and each picture is embedded alone."""
    model = make_model(SIZES["tuned"])
    photos, sketches = (random.normal(size=(BATCH, size)).astype(np.float32) for size in (F, G))
    for _ in range(120):
        fast_terms(model, photos, sketches, np.zeros((BATCH, S), np.float32), LABELS)
    x, y = slow_scaled(model.photo_scaling, photos), slow_scaled(model.sketch_scaling, sketches)
    features = perceptron(model.photo_generator, x), perceptron(model.sketch_generator, y)
    codes = perceptron(model.head, np.stack(features, axis=1).reshape(2 * BATCH, S))[0::2]
    codes /= np.linalg.norm(codes, axis=1, keepdims=True)
    alone = np.concatenate([model.embed_photos(photos[i : i + 1]).numpy() for i in range(BATCH)])
    np.testing.assert_allclose(alone, codes, atol=1e-4)


def test_noise_is_a_function_of_its_seed(make_model, make_batch):
    mixed = {"dropout": 0.5, "input_dropout": 0.3, "class_mix": 0.5, "modality_mix": 0.3}
    model = make_model(pcmsn.Settings(objective="tuned", dim=T, **mixed))
    batch = make_batch(model)

    def draw(seed):
        return [float(value) for value in fast_terms(model, *batch, noise=seed).values()]

    assert draw([1, 2]) == draw([1, 2])
    assert all(a != b for a, b in zip(draw([1, 2]), draw([1, 66]), strict=True))


def test_streams_of_noise_stay_within_those_of_a_step(make_model, make_batch):
    model = make_model(pcmsn.Settings(dim=T, input_dropout=0.3))
    seeds = []
    draw = pcmsn.Draws.draw

    def counted(self, *arguments):
        seeds.append(self.count)
        return draw(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pcmsn.Draws, "draw", counted)
        fast_terms(model, *make_batch(model))
    assert seeds == list(range(len(seeds))) and len(seeds) <= NOISE_STREAMS - 2  # mixing has seed 62


def test_features_of_two_widths_need_the_semantic_stage(make_model, refused, random):
    inputs = Inputs(random.normal(size=(9, F)), random.normal(size=(9, G)), np.zeros((C, S)), None)
    message = refused(pcmsn.build, SIZES["direct"], inputs)
    assert message == "--preset direct: photos are 7-d and sketches 5-d, and one head reads both"


def test_they_are_refused_before_a_run_is_made(dataset_folder, refused):
    file, key = FILES["sketch"]["features"]
    classes = matfiles.read_names(dataset_folder / file, "classes")
    matfiles.write(dataset_folder / file, {key: np.ones((60, 7), np.float32), "classes": classes})
    choices = {"model": "pcmsn", "preset": "direct", "batch_size": 12, "path": dataset_folder.parent / "run"}
    message = refused(trainer.main, trainer_settings(data=dataset_folder, **choices))
    assert message == "--preset direct: photos are 12-d and sketches 7-d, and one head reads both"
    assert not (dataset_folder.parent / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["sketchy", "tuned", "direct"])
def test_every_form_trains_and_resumes(dataset_folder, monkeypatch, preset):
    """Interrupted after its first epoch, a run ends with the same bytes: moving statistics, both optimizers, noise."""
    monkeypatch.setattr(pcmsn, "HEAD", 16)
    choices = {"model": "pcmsn", "preset": preset, "epochs": 2, "batch_size": 12, "dim": 6, "held_out": 0.2}
    check_resumes(trainer_settings(data=dataset_folder, **choices))
    line = json.loads((dataset_folder.parent / "whole/metrics.jsonl").read_text().splitlines()[-1])
    assert set(pcmsn.PRESETS[preset].constants.terms) < set(line)


@pytest.mark.slow
def test_training_improves_on_features(dataset_folder, monkeypatch):
    """The toy features of the two modalities lie in rotated spaces: only a trained map can bring them together."""
    monkeypatch.setattr(pcmsn, "HEAD", 32)
    choices = {"model": "pcmsn", "preset": "tuned", "epochs": 30, "batch_size": 14, "input_dropout": 0.0}
    trainer.main(trainer_settings(data=dataset_folder, path=dataset_folder.parent / "run", **choices))
    results = json.loads((dataset_folder.parent / "run/results.json").read_text())
    alone, shared = (results[space]["directions"]["sketch->image"]["mAP@all"] for space in results)
    assert shared > alone + 0.05
