"""The loss terms against slow loops in NumPy, their gradients against finite differences, and the layer sizes."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from helpers.project import check_gradients
from helpers.slow import assert_terms_agree, slow_all_pairs, slow_cross_entropy, slow_encoded, slow_linear, slow_scaled

from zscmr.models import layers, losses, zscmr
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
        return slow_scaled(getattr(self.model, f"{modality}_scaling"), x)

    def embed(self, modality, x):
        return self.normed(slow_encoded(getattr(self.model, f"{modality}_encoder"), x))

    def normed(self, row):
        return row / np.linalg.norm(row) if self.model.settings.objective == "tuned" else row


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


@pytest.mark.parametrize(("objective", "name"), EVERY_TERM)
def test_gradients_agree_with_finite_differences(make_model, batch, objective, name):
    model = make_model(SIZES[objective])
    with tf.GradientTape() as tape:
        value = fast_terms(model, *batch)[name]
    gradients = tape.gradient(value, [variable.value for variable in model.trainable_variables])

    def slow():
        return slow_terms(model, *batch)[name]

    check_gradients(model.trainable_variables, gradients, slow, step=2e-3, tolerance=2e-3)


def test_triplet_hinge_by_hand():
    """Photos at 0, sketches at 3 on a line, margin 2. Other sketches at 4 and 1: max(3−4+2, 0) = 1, max(3−1+2, 0) = 4;
    other photos at −1 and 9, 4 and 6 from the sketch: max(3−4+2, 0) = 1, max(3−6+2, 0) = 0."""

    def line(*points):
        return tf.constant(points)[:, None]

    loss = losses.triplet_loss(line(0.0, 0.0), line(3.0, 3.0), line(-1.0, 9.0), line(4.0, 1.0), margin=2.0)
    assert float(loss) == pytest.approx((1 + 4) / 2 + (1 + 0) / 2)


def test_gradient_where_photo_and_sketch_are_equal():
    """Of their distance 0; of that to the other sketch, √3 away, 1/√3 in each component, half of it by the mean."""
    point = tf.Variable(tf.ones((2, 3)))
    with tf.GradientTape() as tape:
        loss = losses.triplet_loss(point, tf.ones((2, 3)), tf.zeros((2, 3)), tf.zeros((2, 3)), 5.0)
    np.testing.assert_allclose(tape.gradient(loss, point).numpy(), np.full((2, 3), -1 / np.sqrt(12)), rtol=1e-6)


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


def test_virtual_classes_blend_neighbours_with_one_share_each():
    """Rows come in twos per class; the virtual rows of class k lie between those of k and k − 1, at equal shares."""
    rows = np.repeat(np.eye(4, dtype=np.float32), 2, axis=0)  # class k is the k-th axis
    photos, sketches = (part.numpy() for part in layers.mix_pairs(rows, rows, 0.0, 0.5, tf.constant([1, 2])))
    np.testing.assert_array_equal(photos[:8], rows)
    virtual = photos[8:]
    np.testing.assert_allclose(np.linalg.norm(virtual, axis=1), 1, rtol=1e-6)
    for k in range(4):
        assert set(np.flatnonzero(virtual[2 * k])) <= {k, (k - 1) % 4}
        assert virtual[2 * k, k] >= virtual[2 * k, (k - 1) % 4]
        np.testing.assert_array_equal(virtual[2 * k], virtual[2 * k + 1])
    np.testing.assert_array_equal(photos, sketches)


def test_mixed_modalities_stay_within_their_share():
    photos, sketches = np.zeros((6, F), np.float32), np.ones((6, F), np.float32)
    mixed = [part.numpy() for part in layers.mix_pairs(photos, sketches, 0.3, 0.0, tf.constant([1, 2]))]
    assert mixed[0].shape == (6, F) and 0 < mixed[0].max() <= 0.3 and 0.7 <= mixed[1].min() < 1


def principal(dim, rows, labels):
    settings = zscmr.Settings(objective="tuned", start="principal", dim=dim)
    return zscmr.build(settings, inputs(*[TrainingRows(rows, labels, np.arange(len(rows)))] * 2))


def test_principal_start_is_of_all_components_however_many_are_asked_for(random):
    """With as many as there are, the map without its division by variances is a rotation; further columns are 0."""
    rows, labels = random.normal(size=(30, F)), random.integers(0, 3, 30)
    for dim in (F, F + 2):
        kernel = principal(dim, rows, labels).photo_encoder.linear.kernel.numpy()
        directions = kernel[:, :F] / np.linalg.norm(kernel[:, :F], axis=0)
        np.testing.assert_allclose(directions @ directions.T, np.eye(F), atol=1e-5)
        assert not kernel[:, F:].any()


def test_principal_start_of_unlike_widths_is_refused(random, refused):
    settings = zscmr.Settings(objective="tuned", start="principal", dim=T)
    rows = [TrainingRows(random.normal(size=(9, width)), np.zeros(9, int), np.arange(9)) for width in (F, F + 1)]
    assert "needs as many of both" in refused(zscmr.build, settings, inputs(*rows))


def test_principal_start_weighs_what_varies_within_classes(random):
    """The largest directions of WITHIN · within-class + between-class scatter of the scaled rows, by loops, each
    divided by its variance^WHITENING."""
    rows, labels = random.normal(size=(40, F)) + random.normal(size=(4, F))[np.arange(40) % 4], np.arange(40) % 4
    model = principal(2, rows, labels)
    scaled = slow_scaled(model.sketch_scaling, rows.astype(np.float32))
    scatter, mean = np.zeros((F, F)), scaled.mean(0)
    for label in range(4):
        own = scaled[labels == label].mean(0)
        for row in scaled[labels == label]:
            scatter += layers.WITHIN * np.outer(row - own, row - own) + np.outer(own - mean, own - mean)
    variances, directions = np.linalg.eigh(scatter)
    expected = directions[:, ::-1][:, :2] * (variances[::-1][:2] / variances[-1]) ** -layers.WHITENING
    for encoder in (model.photo_encoder, model.sketch_encoder):
        kernel = encoder.linear.kernel.numpy()
        np.testing.assert_allclose(kernel @ kernel.T, expected @ expected.T, rtol=1e-3, atol=1e-4)


def test_components_without_variance_count_for_nothing(random):
    rows = np.repeat(random.normal(size=(20, 1)), F, axis=1)  # all on one line
    kernel = principal(3, rows, np.arange(20) % 4).photo_encoder.linear.kernel.numpy()
    assert np.isfinite(kernel).all() and kernel[:, 0].any() and not kernel[:, 1:].any()


def test_likeness_against_a_slow_loop(random):
    """Each row: its scaled features at length 1, then the roots of its shares in the classes, about their mean."""
    rows, classifier = random.normal(size=(9, F)), random.normal(size=(F, C)).astype(np.float32)
    layer = layers.Likeness(TrainingRows(rows, np.zeros(9, int), np.arange(9)), "likeness", classifier)
    units = slow_scaled(layer.scaling, rows) / np.sqrt(F)
    directions = [classifier[:, k] - classifier.mean(1) for k in range(C)]
    shares = []
    for unit in units:
        cosines = np.array([unit @ direction / np.linalg.norm(direction) for direction in directions])
        raised = np.exp(cosines / layers.LIKENESS_TEMPERATURE)
        shares.append(np.sqrt(raised / raised.sum()))
    shares = np.array(shares) - np.mean(shares, axis=0)
    for unit, share, received in zip(units, shares, layer(rows.astype(np.float32)).numpy(), strict=True):
        whole = np.concatenate([unit, layers.LIKENESS_WEIGHT * share / np.linalg.norm(share)])
        np.testing.assert_allclose(received, whole * np.sqrt((F + C) / (whole @ whole)), rtol=1e-3, atol=1e-4)


def test_aligned_describes_pictures_by_the_classifier_where_there_is_one(random):
    rows = [TrainingRows(random.normal(size=(20, F)), np.arange(20) % 4, np.arange(20))] * 2
    classifier = random.normal(size=(F, C)).astype(np.float32)
    settings = dataclasses.replace(zscmr.PRESETS["aligned"].constants, dim=T)
    with_classes = Inputs(*rows, np.zeros((C, S)), np.empty((0, 2), int), classifier)
    widths = {}
    for name, some in (("features", inputs(*rows)), ("features and classes", with_classes)):
        model = zscmr.build(settings, some)
        assert model.embed_photos(rows[0].features[:3].astype(np.float32)).shape == (3, T)
        widths[name] = model.photo_encoder.linear.kernel.shape[0]
    assert widths == {"features": F, "features and classes": F + C}
    paper = zscmr.build(SIZES["paper"], with_classes)
    assert paper.photo_encoder.linear.kernel.shape[0] == F
