"""The loss terms against slow loops in NumPy, their gradients against finite differences, and the layer sizes."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from models import zscmr  # noqa: E402

BATCH, F, G, S, T, C = 5, 7, 6, 4, 3, 4
SIZES = zscmr.Settings(dim=T, dropout=0.0, margin=1.5)


@pytest.fixture
def random():
    return np.random.default_rng(3)


@pytest.fixture
def model(random):
    model = zscmr.ZSCMR(SIZES, random.normal(size=(20, F)), 2 + random.normal(size=(20, G)), S, C)
    for weight in model.trainable_variables:  # biases too, which start at 0
        weight.assign(random.normal(size=weight.shape))
    return model


@pytest.fixture
def batch(random):
    draw = lambda *shape: random.normal(size=shape).astype(np.float32)  # noqa: E731
    labels = random.integers(0, C, BATCH).astype(np.int32)
    return [draw(BATCH, F), draw(BATCH, G), draw(BATCH, F), draw(BATCH, G), draw(BATCH, S), labels]


def slow_terms(model, photos, sketches, negative_photos, negative_sketches, class_vectors, labels):
    """FACTS of the paper's slide, a sample at a time in float64."""

    def linear(layer, x):
        return x @ layer.kernel.numpy().astype(np.float64) + layer.bias.numpy()

    def scale(scaling, x):
        x = (x - scaling.mean.numpy()) / scaling.deviation.numpy()
        return x / np.sqrt((x**2).mean())

    def cross_entropy(logits, label):
        return np.log(np.exp(logits).sum()) - logits[label]

    total = dict.fromkeys(zscmr.TERMS, 0.0)
    for i in range(BATCH):
        x, y = scale(model.photo_scaling, photos[i]), scale(model.sketch_scaling, sketches[i])
        img, skc = linear(model.photo_encoder, x), linear(model.sketch_encoder, y)
        other_img = linear(model.photo_encoder, scale(model.photo_scaling, negative_photos[i]))
        other_skc = linear(model.sketch_encoder, scale(model.sketch_scaling, negative_sketches[i]))
        sem = linear(model.semantic_encoder, class_vectors[i])
        near = np.linalg.norm(img - skc)
        total["latent"] += ((img - sem) ** 2).mean() + ((skc - sem) ** 2).mean()
        total["triplet"] += max(near - np.linalg.norm(img - other_skc) + 1.5, 0)
        total["triplet"] += max(near - np.linalg.norm(skc - other_img) + 1.5, 0)
        total["decoder"] += ((linear(model.sketch_decoder, img) - y) ** 2).mean()
        total["decoder"] += ((linear(model.photo_decoder, skc) - x) ** 2).mean()
        total["classification"] += cross_entropy(linear(model.photo_classifier, img), labels[i])
        total["classification"] += cross_entropy(linear(model.sketch_classifier, skc), labels[i])
    return {name: value / BATCH for name, value in total.items()}


def test_terms_agree_with_slow_loops(model, batch):
    fast = model.terms(*batch, noise=tf.constant([0, 0]))
    slow = slow_terms(model, *batch)
    assert tuple(fast) == zscmr.TERMS
    for name in zscmr.TERMS:
        assert float(fast[name]) == pytest.approx(slow[name], rel=1e-5), name


@pytest.mark.parametrize("name", zscmr.TERMS)
def test_gradients_agree_with_finite_differences(model, batch, name):
    """Central differences of the slow float64 loop in 40 random coordinates of the weights."""
    with tf.GradientTape() as tape:
        value = model.terms(*batch, noise=tf.constant([0, 0]))[name]
    variables = model.trainable_variables
    gradients = tape.gradient(
        value, [variable.value for variable in variables], unconnected_gradients=tf.UnconnectedGradients.ZERO
    )
    random, moved = np.random.default_rng(0), 0
    for _ in range(40):
        which = random.integers(len(variables))
        variable, place = variables[which], tuple(random.integers(size) for size in variables[which].shape)
        start = variable.numpy()
        values = []
        for step in (2e-3, -2e-3):
            bumped = start.copy()
            bumped[place] += step
            variable.assign(bumped)
            values.append((slow_terms(model, *batch)[name], float(bumped[place])))
        variable.assign(start)
        expected = (values[0][0] - values[1][0]) / (values[0][1] - values[1][1])
        assert gradients[which].numpy()[place] == pytest.approx(expected, abs=2e-3 * (1 + abs(expected)))
        moved += abs(expected) > 1e-3
    assert moved > 5  # the term does depend on the weights


def test_triplet_hinge_by_hand():
    """Anchor 0, positive at 3, negatives at 4 and 1 on a line, margin 2: max(3−4+2, 0) = 1 and max(3−1+2, 0) = 4."""
    anchor, positive = tf.zeros((2, 1)), tf.constant([[3.0], [3.0]])
    assert float(zscmr.triplet_loss(anchor, positive, tf.constant([[4.0], [1.0]]), 2.0)) == pytest.approx(2.5)


def test_equal_pair_has_finite_gradient():
    point = tf.Variable(tf.ones((2, 3)))
    with tf.GradientTape() as tape:
        loss = zscmr.triplet_loss(point, tf.ones((2, 3)), tf.zeros((2, 3)), 5.0)
    assert np.isfinite(tape.gradient(loss, point).numpy()).all()


def test_sizes(model):
    """t = 3: encoders F·t+t, G·t+t, S·t+t; decoders t·G+G, t·F+F; two classifiers t·C+C."""
    expected = (7 + 6 + 4) * 3 + 3 * 3 + (3 + 1) * (6 + 7) + 2 * (3 * 4 + 4)
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_variables) == expected
    assert model.embed_photos(np.ones((2, F), np.float32)).shape == (2, T)


def test_dropout_noise_is_a_function_of_its_seed(random, batch):
    model = zscmr.ZSCMR(
        zscmr.Settings(dim=T, dropout=0.5), random.normal(size=(20, F)), random.normal(size=(20, G)), S, C
    )
    draw = lambda seed: float(model.terms(*batch, noise=tf.constant(seed))["classification"])  # noqa: E731
    assert draw([1, 2]) == draw([1, 2])
    assert draw([1, 2]) != draw([1, 3])
