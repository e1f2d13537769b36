"""CrossATNet: its terms against slow loops, gradients, the class graph by hand, and runs of the trainer."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from helpers.project import CLASSES, ROOT, UNSEEN, check_gradients, check_resumes, prepare, trainer_settings
from helpers.slow import assert_terms_agree, slow_all_pairs, slow_cross_entropy, slow_encoded, slow_linear, slow_scaled

from zscmr.commands import evaluate as knn_eval
from zscmr.commands import train as trainer
from zscmr.datasets import loader
from zscmr.datasets.class_graph import class_graph
from zscmr.evaluation import codes
from zscmr.formats import matfiles
from zscmr.models import crossatnet, layers
from zscmr.models.base import Batch, Inputs
from zscmr.training.stage2 import train as stage2
from zscmr.training.stage2.options import with_preset
from zscmr.training.stage2.restore import load_model
from zscmr.training.strategies import Gather
from zscmr.utils.files import read_json

BATCH, F, G, S, T, C = 6, 7, 6, 4, 3, 4
PLAIN = {"dim": T, "hidden": 5, "gate_hidden": 4, "graph_hidden": 4, "temperature": 0.3}
PLAIN |= {"input_dropout": 0.0, "modality_mix": 0.0, "class_mix": 0.0}
SIZES = {
    "guided by the sketch": crossatnet.Settings(**PLAIN, guided=1.0),
    "guided by the photo": crossatnet.Settings(**PLAIN, guided=0.0),
    "own attention": crossatnet.Settings(**PLAIN, attention="photo"),
    "no attention, no graph": crossatnet.Settings(**PLAIN, attention="none", graph="none"),
    "codes": crossatnet.Settings(**PLAIN, guided=1.0, bits=8),
}
EVERY_TERM = [(form, name) for form, sizes in SIZES.items() for name in sizes.terms]
EDGES = np.array([[0, 1], [1, 2]])  # a chain; class 3 stands alone
# degrees with self-loops 2, 3, 2, 1, so that an edge of 0 and 1 weighs 1 / √(2·3)
ADJACENCY = [[1 / 2, 6**-0.5, 0, 0], [6**-0.5, 1 / 3, 6**-0.5, 0], [0, 6**-0.5, 1 / 2, 0], [0, 0, 0, 1]]


@pytest.fixture
def make_model(random):
    def make(sizes):
        photos, sketches = random.normal(size=(20, F)), 2 + random.normal(size=(20, G))
        edges = EDGES if sizes.wants_graph else EDGES[:0]
        model = crossatnet.build(sizes, Inputs(photos, sketches, random.normal(size=(C, S)), edges))
        for weight in model.trainable_variables:  # biases and gates too, which start at 0
            weight.assign(random.normal(size=weight.shape))
        return model

    return make


@pytest.fixture
def batch(random):
    """Two pairs of each class in it, as a balanced batch has them."""
    photos, sketches = random.normal(size=(BATCH, F)), random.normal(size=(BATCH, G))
    return photos.astype(np.float32), sketches.astype(np.float32), np.array([0, 0, 3, 3, 1, 1], np.int32)


class Slow:
    """The model's maps in float64, a row at a time."""

    def __init__(self, model):
        self.model, self.constants = model, model.settings

    def gate(self, modality, x):
        layer = self.model.photo_gate if modality == "photo" else self.model.sketch_gate
        return np.tanh(slow_linear(layer.second, np.maximum(slow_linear(layer.first, x), 0)))

    def embed(self, modality, x):
        encoder = self.model.photo_encoder if modality == "photo" else self.model.sketch_encoder
        return self.shaped(slow_encoded(encoder, x))

    def shaped(self, row):
        return np.tanh(row) if self.constants.bits else row / np.sqrt((row**2).mean())

    def anchors(self):
        graph = self.model.class_graph
        adjacency = ADJACENCY if self.constants.graph == "classes" else np.eye(C)
        nodes = graph.nodes.numpy().astype(np.float64)

        def mixed(rows):
            return [sum(adjacency[i][j] * rows[j] for j in range(C)) for i in range(C)]

        rows = [np.maximum(slow_linear(graph.first, row), 0) for row in mixed(nodes)]
        return [self.shaped(slow_linear(graph.second, row)) for row in mixed(rows)]


def slow_terms(model, photos, sketches, labels, teacher_gates=None):
    """The terms by loops over samples, pairs and bits.

    `teacher_gates`: fixed gates of the sketches for the distillation term; left out, the model's.
    """
    slow, sizes = Slow(model), model.settings
    x = [slow_scaled(model.photo_scaling, row) for row in photos]
    y = [slow_scaled(model.sketch_scaling, row) for row in sketches]
    gates = [np.zeros(F)] * BATCH
    if sizes.attention == "sketch":
        teacher_gates = slow_gates(model, sketches) if teacher_gates is None else teacher_gates
    if sizes.attention != "none":
        photo_gates = [slow.gate("photo", row) for row in x]
        gates = slow_gates(model, sketches) if sizes.attention == "sketch" and sizes.guided else photo_gates
    img = [slow.embed("photo", row * (1 + gate)) for row, gate in zip(x, gates, strict=True)]
    skc = [slow.embed("sketch", row) for row in y]
    anchors = slow.anchors()
    total = dict.fromkeys(sizes.terms, 0.0)
    for i in range(BATCH):
        anchor = anchors[labels[i]]
        total["latent"] += ((img[i] - anchor) ** 2).mean() + ((skc[i] - anchor) ** 2).mean()
        total["triplet"] += slow_all_pairs(img, skc, labels, i, temperature=0.3)
        total["classification"] += slow_cross_entropy(slow_linear(model.photo_classifier, img[i]), labels[i])
        total["classification"] += slow_cross_entropy(slow_linear(model.sketch_classifier, skc[i]), labels[i])
        if sizes.attention == "sketch":
            total["distillation"] += ((photo_gates[i] - teacher_gates[i]) ** 2).mean()
        if sizes.bits:
            total["quantisation"] += ((abs(img[i]) - 1) ** 2).mean() + ((abs(skc[i]) - 1) ** 2).mean()
    if sizes.bits:
        for bit in range(sizes.bits):
            means = [sum(row[bit] for row in rows) / BATCH for rows in (img, skc)]
            total["balance"] += BATCH * (means[0] ** 2 + means[1] ** 2) / sizes.bits
    return {name: value / BATCH for name, value in total.items()}


def slow_gates(model, sketches):
    slow = Slow(model)
    return [slow.gate("sketch", slow_scaled(model.sketch_scaling, row)) for row in sketches]


def fast_terms(model, photos, sketches, labels, noise=(0, 0)):
    scaled = model.photo_scaling(photos), model.sketch_scaling(sketches)
    return model.terms(Batch(*scaled, None, labels), tf.constant(noise), Gather(replicas=1))


@pytest.mark.parametrize("form", SIZES)
def test_terms_agree_with_slow_loops(make_model, batch, form):
    model = make_model(SIZES[form])
    fast, slow = fast_terms(model, *batch), slow_terms(model, *batch)
    assert tuple(fast) == SIZES[form].terms
    assert_terms_agree(fast, slow, SIZES[form].terms)


@pytest.mark.slow
@pytest.mark.parametrize(("form", "name"), EVERY_TERM)
def test_gradients_agree_with_finite_differences(make_model, batch, form, name):
    """The distillation term has no gradient in the sketches' gates, so the slow loop keeps them fixed."""
    model = make_model(SIZES[form])
    teacher_gates = slow_gates(model, batch[1]) if SIZES[form].attention == "sketch" else None
    with tf.GradientTape() as tape:
        value = fast_terms(model, *batch)[name]
    gradients = tape.gradient(value, [variable.value for variable in model.trainable_variables])

    def slow():
        return slow_terms(model, *batch, teacher_gates=teacher_gates)[name]

    check_gradients(model.trainable_variables, gradients, slow, step=1e-3, tolerance=2e-3)


def test_distillation_leaves_the_teacher_alone(make_model, batch):
    model = make_model(SIZES["guided by the sketch"])
    with tf.GradientTape() as tape:
        value = fast_terms(model, *batch)["distillation"]
    gradients = tape.gradient(value, [variable.value for variable in model.sketch_gate.trainable_variables])
    assert gradients == [None] * 4


def test_adjacency_by_hand():
    np.testing.assert_allclose(crossatnet.normalised_adjacency(EDGES, 4), ADJACENCY, rtol=1e-6)
    both_ways = np.concatenate([EDGES, EDGES[:, ::-1], EDGES])
    np.testing.assert_allclose(crossatnet.normalised_adjacency(both_ways, 4), ADJACENCY, rtol=1e-6)
    np.testing.assert_array_equal(crossatnet.normalised_adjacency(np.empty((0, 2), int), 4), np.eye(4))


def test_code_terms_by_hand():
    """Bits (.5, −1) and (−.5, −1): (1 − .5)² = .25 and 0, mean .125; means 0 and −1, squared 0 and 1, mean .5."""
    codes = tf.constant([[0.5, -1.0], [-0.5, -1.0]])
    assert float(crossatnet.quantisation_loss(codes)) == pytest.approx(0.125)
    assert float(crossatnet.balance_loss(codes, Gather(replicas=1))) == pytest.approx(0.5)


def test_sizes(make_model):
    """Encoders F·t+t and G·t+t, branches F·5+5+5·t and G·5+5+5·t, gates F·4+4+4·F+F and G·4+4+4·F+F, graph
    S·4+4+4·t+t, two classifiers t·C+C; a code has t = bits."""

    def count(t):
        return (7 + 6 + 2) * t + (7 + 6 + 2) * 5 + 10 * t + (4 * 4 + 4 + 5 * t) + 2 * (4 * t + 4)

    gates = {"sketch": (7 * 4 + 4 + 5 * 7) + (6 * 4 + 4 + 5 * 7), "photo": 7 * 4 + 4 + 5 * 7, "none": 0}
    for sizes in SIZES.values():
        model = make_model(sizes)
        weights = sum(int(np.prod(weight.shape)) for weight in model.trainable_variables)
        assert weights == count(sizes.size) + gates[sizes.attention]
        assert model.embed_photos(np.ones((2, F), np.float32)).shape == (2, sizes.size)
        assert model.embed_sketches(np.ones((2, G), np.float32)).shape == (2, sizes.size)


def test_gates_start_open(random):
    """At first 1 + gate = 1: the photo is embedded as without attention."""
    rows = random.normal(size=(20, F)).astype(np.float32)
    inputs = Inputs(rows, rows, random.normal(size=(C, S)), EDGES)
    model = crossatnet.build(crossatnet.Settings(**PLAIN), inputs)
    np.testing.assert_array_equal(model.embed_photos(rows), model.embed_sketches(rows))


@pytest.mark.parametrize("form", SIZES)
def test_gallery_does_not_depend_on_queries(make_model, random, form):
    """A photo's embedding is a function of the photo: of no other photo in the batch, and of no sketch."""
    model = make_model(SIZES[form])
    photos = random.normal(size=(9, F)).astype(np.float32)
    together = model.embed_photos(photos).numpy()
    for row in range(9):
        alone = model.embed_photos(photos[row : row + 1]).numpy()
        np.testing.assert_allclose(together[row], alone[0], rtol=1e-5, atol=1e-6)
    sketch_side = [variable for layer in ("sketch_encoder", "sketch_classifier", "class_graph", "sketch_gate")
                   for variable in getattr(getattr(model, layer, None), "trainable_variables", ())]  # fmt: skip
    for variable in sketch_side:
        variable.assign(random.normal(size=variable.shape))
    np.testing.assert_array_equal(model.embed_photos(photos), together)


def test_codes_are_signs(make_model, random):
    model = make_model(SIZES["codes"])
    codes = model.embed_photos(random.normal(size=(9, F)).astype(np.float32)).numpy()
    assert set(np.unique(codes)) == {-1.0, 1.0}


def test_noise_is_a_function_of_its_seed(make_model, batch):
    model = make_model(crossatnet.Settings(**{**PLAIN, "input_dropout": 0.5, "guided": 0.5}))

    def draw(seed):
        return float(fast_terms(model, *batch, noise=seed)["triplet"])

    assert draw([1, 2]) == draw([1, 2])
    assert draw([1, 2]) != draw([1, 3])


def test_class_vectors_are_scaled_once(make_model):
    nodes = make_model(SIZES["codes"]).class_graph.nodes.numpy()
    np.testing.assert_allclose((nodes**2).mean(axis=1), 1, rtol=1e-5)
    assert layers.Scaling(nodes, "again").mean.shape == (S,)


def write_graph(folder, *flags):
    """`pretrain/class_graph.py` on a dataset directory."""
    command = [sys.executable, ROOT / "pretrain/class_graph.py", "--data", folder, *flags]
    subprocess.run(list(map(str, command)), check=True, capture_output=True)


@pytest.fixture
def graph_folder(dataset_folder):
    write_graph(dataset_folder)
    return dataset_folder


def settings(folder, **more):
    size = {} if "bits" in more else {"dim": 6}
    choices = {"path": folder.parent / "run", "epochs": 3, "batch_size": 12, "hidden": 8, **size, **more}
    return trainer_settings(data=folder, model="crossatnet", **choices)


def test_graph_of_the_trained_classes(graph_folder):
    """Edges are positions among the trained classes, without those of held-out classes."""
    dataset = loader.load_dataset(graph_folder)
    names = {name for edge in dataset.edges for name in (dataset.classes[edge[0]], dataset.classes[edge[1]])}
    assert names == set(CLASSES) - set(UNSEEN)
    size = {"dim": 6, "hidden": 8, "batch_size": 12}
    chosen, preset, dataset, split, _ = prepare(graph_folder, model="crossatnet", held_out=0.3, **size)
    edges = class_graph(dataset, split)
    assert len(split.held_out) == 2 and edges.max() < len(split.seen) == 5 and len(edges) < 6
    expected = {frozenset(edge) for edge in dataset.edges.tolist() if not set(edge) & set(split.held_out)}
    assert {frozenset(split.seen[edge].tolist()) for edge in edges} == expected
    model = stage2.build_state(chosen, preset, dataset, split).model
    assert np.count_nonzero(model.class_graph.adjacency.numpy()) == 5 + 2 * len(edges)


@pytest.mark.slow
def test_without_a_graph_of_the_split_its_tree_is_taken(graph_folder, capsys):
    """No file, or one of another list: the tree of the trained classes' vectors, as the file holds it for its list."""
    before = trained_graph(graph_folder)
    (graph_folder / "mst_graph.mat").unlink()
    np.testing.assert_array_equal(trained_graph(graph_folder), before)
    trainer.main(settings(graph_folder, epochs=1))
    tree = "class graph: the minimum spanning tree of the trained classes' vectors, by cosine"
    assert f"{tree} (no mst_graph.mat)\n" in capsys.readouterr().out

    def recorded():
        return read_json(settings(graph_folder).path / "config.json")["dataset"]["class_graph"]

    assert f"class graph: {recorded()}" == f"{tree} (no mst_graph.mat)"
    unseen_list = graph_folder.parent / "other.txt"
    unseen_list.write_text("cow\njay\n")
    write_graph(graph_folder, "--unseen", unseen_list)
    np.testing.assert_array_equal(trained_graph(graph_folder), before)
    trainer.main(settings(graph_folder, epochs=1, overwrite=True))
    assert f"{tree} (mst_graph.mat joins the unseen class 'bee' and 1 more)\n" in capsys.readouterr().out
    trainer.main(settings(graph_folder, epochs=1, overwrite=True, unseen=unseen_list))
    assert f"class graph: {graph_folder}/mst_graph.mat\n" in capsys.readouterr().out
    assert recorded() == f"{graph_folder}/mst_graph.mat"
    trainer.main(settings(graph_folder, epochs=1, overwrite=True, graph="none"))
    assert "class graph" not in capsys.readouterr().out


def test_tree_of_the_classes_that_are_not_held_out(dataset_folder):
    edges = trained_graph(dataset_folder, held_out=0.3)
    assert edges.shape == (4, 2) and set(edges.ravel()) == set(range(5))


def trained_graph(folder, **more):
    *_, dataset, split, _ = prepare(folder, model="crossatnet", **more)
    return class_graph(dataset, split)


def test_class_vector_without_direction_is_refused(dataset_folder, refused):
    vectors = np.ones((len(CLASSES), 5))
    vectors[0] = 0
    matfiles.write(dataset_folder / "wv_embeddings.mat", {"features": vectors, "classes": CLASSES})
    message = refused(trainer.main, settings(dataset_folder))
    assert message.endswith("wv_embeddings.mat: the vector of class 'ant' is zero, which has no cosine")
    assert not (dataset_folder.parent / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("choices", [{}, {"bits": 24, "held_out": 0.3}])
def test_stopped_run_resumes_to_the_same_bytes(graph_folder, choices):
    check_resumes(settings(graph_folder, **choices))


@pytest.mark.slow
def test_codes_from_the_shell(graph_folder, script, refused):
    """--bits trains, exports signs, and is ranked by Hamming distance, ties in the mean of their orders."""
    run = graph_folder.parent / "run"
    words = ("--data", graph_folder, "--path", run, "--model", "crossatnet", "--epochs", 9, "--batch-size", 12)
    output = script("Unified_XY_triads.py", *words, "--bits", 16).stdout
    assert "shared space, unseen classes (hamming)" in output
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert set(lines[0]) == {"epoch", *crossatnet.TERMS, "distillation", "quantisation", "balance"}
    assert lines[-1]["quantisation"] < lines[0]["quantisation"]
    file = run / "unified_features.mat"
    photos, sketches = (matfiles.read(file, key) for key in ("featuresx", "featuresy"))
    assert photos.shape == sketches.shape == (60, 16) and set(np.unique(photos)) == {-1, 1}
    assert matfiles.read(file, "distance") == "hamming"

    results = json.loads((run / "results.json").read_text())["shared space"]
    assert (results["distance"], results["ties"]) == ("hamming", "expected")
    labels = np.repeat(np.arange(10), 6)
    unseen = np.isin(labels, [CLASSES.index(name) for name in UNSEEN])
    expected = slow_map(sketches[unseen], photos[unseen], labels[unseen])
    assert results["directions"]["sketch->image"]["mAP@all"] == pytest.approx(expected, abs=0.01)

    knn_eval.main(knn_eval.Settings(features=file, json=run / "again.json", bootstrap=0))
    again = json.loads((run / "again.json").read_text())
    assert again["distance"] == "hamming" and again["directions"] == results["directions"]
    for option, value in (("bits", 32), ("distance", "cosine")):
        message = refused(knn_eval.main, knn_eval.Settings(features=file, **{option: value}))
        assert message == f"--{option} {value}: {file} holds binary codes, ranked by Hamming distance as is"
    features = matfiles.read(graph_folder / "imagematnew.mat", "feature")
    np.testing.assert_array_equal(load_model(run).embed_photos(features), photos)  # without the graph's file


def slow_map(queries, gallery, labels, orders=400):
    """Mean over random orders of tied items of the mean average precision by number of different signs."""
    random, total = np.random.default_rng(0), 0.0
    for _ in range(orders):
        shuffled = random.permutation(len(gallery))
        for query, label in zip(queries, labels, strict=True):
            different = (gallery[shuffled] != query).sum(axis=1)
            hits = (labels[shuffled] == label)[np.argsort(different, kind="stable")]
            ranks = np.flatnonzero(hits) + 1
            total += (np.arange(1, len(ranks) + 1) / ranks).mean()
    return total / orders / len(queries)


@pytest.mark.parametrize("form", [codes.pack, np.asarray])
def test_codes_are_ranked_by_hamming_distance(random, form):
    """`evaluate` on arrays, bits or signs: the mean over orders is what codes are scored by unless told otherwise."""
    labels = np.repeat(np.arange(3), 5)
    signs = np.sign(random.normal(size=(15, 8)))
    choices = {"distance": "hamming", "directions": ("sketch->image",)}
    results = knn_eval.evaluate(form(signs), form(signs[::-1]), labels, labels[::-1], **choices)
    value = results["directions"]["sketch->image"]["mAP@all"]
    assert results["ties"] == "expected" and value == pytest.approx(slow_map(signs, signs, labels), abs=0.01)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"bits": 64, "dim": 32}, "--dim 32: --model crossatnet has no use for it beside --bits 64"),
        ({"bits": -1}, "--bits should be at least 1, received -1"),
        ({"margin": 1.0}, "--margin 1.0: --model crossatnet has no such constant"),
        ({"without": ("quantisation",)}, "--without quantisation: no such loss term"),
        ({"without": ("balance",)}, "classification, distillation; it belongs to codes (--bits)"),
        ({"attention": "none", "without": ("distillation",)}, "--without distillation: no such loss term"),
        ({"preset": "tuned"}, "--preset tuned: --model crossatnet has default"),
        ({"model": "zscmr", "bits": 64, "dim": None}, "--bits 64: --model zscmr has no such constant"),
    ],
)
def test_bad_settings_are_refused(dataset_folder, refused, changed, expected):
    choices = {"data": dataset_folder, "model": "crossatnet", **changed}
    assert expected in refused(lambda: trainer.main(trainer_settings(**choices)))


def test_code_terms_keep_the_weights_of_the_preset():
    weights = crossatnet.PRESETS["default"].weights
    _, preset = with_preset(trainer_settings(model="crossatnet", bits=128, without=("balance",)))
    assert preset.distance == "hamming" and preset.constants.size == 128
    assert preset.weights == {**weights, "balance": 0.0} and weights["quantisation"] != 1.0
    _, preset = with_preset(trainer.Settings(model="crossatnet"))
    assert preset.distance == "cosine" and set(preset.constants.terms) == {*crossatnet.TERMS, "distillation"}
