"""The loss terms against slow loops in NumPy, their gradients against finite differences, and the layer sizes."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from helpers.project import check_gradients
from helpers.slow import assert_terms_agree, slow_all_pairs, slow_cross_entropy, slow_encoded, slow_linear, slow_scaled

from zscmr.models import aligned, zscmr
from zscmr.models.base import Batch, Inputs
from zscmr.training.sources import TrainingRows
from zscmr.training.strategies import Gather

BATCH, F, G, S, T, C = 6, 7, 6, 4, 3, 4
SIZES = {
    "paper": zscmr.Settings(dim=T, margin=1.5),
    "released": zscmr.Settings(objective="released", dim=T, margin=0.5),
    "tuned": zscmr.Settings(objective="tuned", dim=T, hidden=5, temperature=0.3),
}
EVERY_TERM = [(objective, name) for objective, sizes in SIZES.items() for name in sizes.terms]


def inputs(photos, sketches):
    return Inputs(photos, sketches, np.zeros((C, S)), np.empty((0, 2), int))


@pytest.fixture
def make_model(random):
    def make(sizes):
        model = zscmr.build(sizes, inputs(random.normal(size=(20, F)), 2 + random.normal(size=(20, G))))
        for weight in model.trainable_variables:  # biases too, which start at 0
            weight.assign(random.normal(size=weight.shape))
        return model

    return make


@pytest.fixture
def batch(random):
    def draw(*shape):
        return random.normal(size=shape).astype(np.float32)

    labels = random.integers(0, C, BATCH).astype(np.int32)
    return [draw(BATCH, F), draw(BATCH, G), draw(BATCH, F), draw(BATCH, G), draw(BATCH, S), labels]


class Slow:
    """The model's maps in float64, a row at a time."""

    def __init__(self, model):
        self.model = model

    def scale(self, modality, x):
        if self.model.settings.objective == "released":
            return x.astype(np.float64)
        return slow_scaled(self.model.photo_scaling if modality == "photo" else self.model.sketch_scaling, x)

    def embed(self, modality, x):
        encoder = self.model.photo_encoder if modality == "photo" else self.model.sketch_encoder
        return self.normed(slow_encoded(encoder, x))

    def normed(self, row):
        return row / np.linalg.norm(row) if self.model.settings.objective in ("tuned", "faithful") else row


def slow_terms(model, photos, sketches, negative_photos, negative_sketches, class_vectors, labels):
    """The terms of model.settings.objective, by loops over samples and pairs."""
    slow = Slow(model)
    x = [slow.scale("photo", row) for row in photos]
    y = [slow.scale("sketch", row) for row in sketches]
    img, skc = [slow.embed("photo", row) for row in x], [slow.embed("sketch", row) for row in y]
    other_img = [slow.embed("photo", slow.scale("photo", row)) for row in negative_photos]
    other_skc = [slow.embed("sketch", slow.scale("sketch", row)) for row in negative_sketches]
    if model.settings.objective == "released":
        return slow_released(slow, x, y, img, skc, other_skc, labels)
    sem = [slow.normed(slow_linear(model.semantic_encoder, row)) for row in class_vectors]
    total = dict.fromkeys(zscmr.TERMS, 0.0)
    tuned = model.settings.objective == "tuned"
    root = np.sqrt(T) if tuned else 1.0
    for i in range(BATCH):
        latent = ((img[i] - sem[i]) ** 2, (skc[i] - sem[i]) ** 2)
        total["latent"] += sum(part.sum() if tuned else part.mean() for part in latent)
        if tuned:
            total["triplet"] += slow_all_pairs(img, skc, labels, i, temperature=0.3)
        else:
            near = np.linalg.norm(img[i] - skc[i])
            total["triplet"] += max(near - np.linalg.norm(img[i] - other_skc[i]) + 1.5, 0)
            total["triplet"] += max(near - np.linalg.norm(skc[i] - other_img[i]) + 1.5, 0)
        total["decoder"] += ((slow_linear(model.sketch_decoder, root * img[i]) - y[i]) ** 2).mean()
        total["decoder"] += ((slow_linear(model.photo_decoder, root * skc[i]) - x[i]) ** 2).mean()
        total["classification"] += slow_cross_entropy(slow_linear(model.photo_classifier, root * img[i]), labels[i])
        total["classification"] += slow_cross_entropy(slow_linear(model.sketch_classifier, root * skc[i]), labels[i])
    return {name: value / BATCH for name, value in total.items()}


def slow_released(slow, x, y, img, skc, other_skc, labels):
    """loss0, loss3, loss9, loss4, loss5, loss6, loss7 of the released code, in the order of RELEASED_TERMS."""
    model = slow.model

    def norm(rows):
        return np.sqrt(sum((row**2).sum() for row in rows))

    near = np.mean([np.linalg.norm(img[i] - skc[i]) for i in range(BATCH)])
    far = np.mean([np.linalg.norm(img[i] - other_skc[i]) for i in range(BATCH)])
    from_sketch = [np.maximum(slow_linear(model.photo_decoder, row), 0) for row in skc]
    from_photo = [slow_linear(model.sketch_decoder, row) for row in img]
    return {
        "latent": norm([img[i] - skc[i] for i in range(BATCH)]),
        "triplet": max(near - far + 0.5, 0),
        "decoder": norm([x[i] - from_sketch[i] for i in range(BATCH)])
        + norm([y[i] - from_photo[i] for i in range(BATCH)]),
        "photo_classification": np.mean(
            [slow_cross_entropy(slow_linear(model.photo_classifier, img[i]), labels[i]) for i in range(BATCH)]
        ),
        "sketch_classification": np.mean(
            [slow_cross_entropy(slow_linear(model.sketch_classifier, skc[i]), labels[i]) for i in range(BATCH)]
        ),
        "photo_norm": abs(norm(model.photo_encoder.linear.kernel.numpy().astype(np.float64)) - 1),
        "sketch_norm": abs(norm(model.sketch_encoder.linear.kernel.numpy().astype(np.float64)) - 1),
    }


def fast_terms(model, photos, sketches, negative_photos, negative_sketches, *more, noise=(0, 0)):
    photos = np.concatenate([photos, negative_photos]) if model.negative_photos else photos
    sketches = np.concatenate([sketches, negative_sketches]) if model.negative_sketches else sketches
    batch = Batch(model.photo_scaling(photos), model.sketch_scaling(sketches), *more)
    return model.terms(batch, tf.constant(noise), Gather(replicas=1))


@pytest.mark.parametrize("objective", SIZES)
def test_terms_agree_with_slow_loops(make_model, batch, objective):
    model = make_model(SIZES[objective])
    assert_terms_agree(fast_terms(model, *batch), slow_terms(model, *batch), SIZES[objective].terms)


@pytest.mark.slow
@pytest.mark.parametrize(("objective", "name"), EVERY_TERM)
def test_gradients_agree_with_finite_differences(make_model, batch, objective, name):
    model = make_model(SIZES[objective])
    with tf.GradientTape() as tape:
        value = fast_terms(model, *batch)[name]
    gradients = tape.gradient(value, [variable.value for variable in model.trainable_variables])

    def slow():
        return slow_terms(model, *batch)[name]

    check_gradients(model.trainable_variables, gradients, slow, step=2e-3, tolerance=2e-3)


def test_sizes(make_model):
    """t = 3: encoders F·t+t, G·t+t, S·t+t; decoders t·G+G, t·F+F; two classifiers t·C+C. `released` has no
    semantic encoder, `tuned` branches of 5 units, F·5+5 and 5·t, beside the encoders of photo and sketch."""
    linear = (7 + 6 + 4) * 3 + 3 * 3 + (3 + 1) * (6 + 7) + 2 * (3 * 4 + 4)
    branch = (7 + 1 + 3) * 5 + (6 + 1 + 3) * 5
    sizes = {"paper": linear, "released": linear - (4 * 3 + 3), "tuned": linear + branch}
    for objective, expected in sizes.items():
        model = make_model(SIZES[objective])
        assert sum(int(np.prod(weight.shape)) for weight in model.trainable_variables) == expected
        assert model.embed_photos(np.ones((2, F), np.float32)).shape == (2, T)


def test_released_biases_start_as_glorot_draws():
    """Uniform within ±√(6 / (t + t)) for a bias of t numbers, where the other objectives start at 0."""
    rows = np.random.default_rng(0).normal(size=(20, F))
    model = zscmr.build(zscmr.Settings(objective="released", dim=200), inputs(rows, rows))
    bias = model.photo_encoder.linear.bias.numpy()
    assert 0.9 * np.sqrt(6 / 400) < np.abs(bias).max() < np.sqrt(6 / 400)


def test_dropout_noise_is_a_function_of_its_seed(make_model, batch):
    model = make_model(zscmr.Settings(dim=T, dropout=0.5, input_dropout=0.5))

    def draw(seed):
        return float(fast_terms(model, *batch, noise=seed)["classification"])

    assert draw([1, 2]) == draw([1, 2])
    assert draw([1, 2]) != draw([1, 3])


def training_rows(random, width=F):
    return TrainingRows(random.normal(size=(20, width)).astype(np.float32), np.arange(20) % C, np.arange(20))


def test_faithful_terms_are_those_of_paper_on_unit_embeddings(random, batch):
    """Photos and sketches have as many features."""
    settings = zscmr.Settings(objective="faithful", dim=T, margin=1.5)
    model = zscmr.build(settings, inputs(training_rows(random), training_rows(random)))
    for weight in model.trainable_variables:
        weight.assign(random.normal(size=weight.shape))
    for sketches in (1, 3):
        batch[sketches] = np.concatenate([batch[sketches], batch[sketches][:, :1]], axis=1)
    assert_terms_agree(fast_terms(model, *batch), slow_terms(model, *batch), zscmr.TERMS)


@pytest.mark.parametrize("known", [False, True])
def test_faithful_starts_at_the_map_of_aligned(random, known):
    """Similarities to the 5 classes of a classifier, if there is one, follow the features in the decoders too."""
    photos, sketches, classifier = training_rows(random), training_rows(random), random.normal(size=(F, 5))
    given = dataclasses.replace(inputs(photos, sketches), classifier=classifier.astype(np.float32) if known else None)
    model = zscmr.build(zscmr.Settings(objective="faithful", dim=T), given)
    start = aligned.build(aligned.Settings(dim=T), given)
    for modality in ("photo", "sketch"):
        expected = start.embed(photos.features, modality)
        np.testing.assert_array_equal(model.embed(photos.features, modality), expected)
        np.testing.assert_array_equal(model.branch(modality)(photos.features), expected)
    assert model.photo_decoder.kernel.shape == model.sketch_decoder.kernel.shape == (T, F + 5 * known)


def test_faithful_refuses_features_of_two_widths(random, refused):
    settings = zscmr.Settings(objective="faithful", dim=T)
    message = refused(zscmr.build, settings, inputs(training_rows(random), training_rows(random, G)))
    assert message == "photos have 7 features, sketches 6: --preset faithful needs as many of both"
