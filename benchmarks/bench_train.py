"""Time of a training step, of its matrix products alone, of a step fed from Python, and of a session loop.

All do the same work on the same random data (100 classes, 300-d class vectors) and take turns in one run. Printed are
the medians of their times per step, and of the ratios of neighbouring turns. The session loop, for ZSCMR only, trains
as TensorFlow 1 programs do: a graph built once, batches and one-hot labels fed through `feed_dict`, one `run` for the
training step and a second one for the losses to print.
"""

import contextlib
import multiprocessing
import statistics
import sys
import time
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package of this clone
import numpy as np

from zscmr.datasets import batches, loader
from zscmr.datasets.classes import Split
from zscmr.training.sources import make_source
from zscmr.training.stage2.options import PRECISIONS, TrainingOptions, with_preset
from zscmr.training.stage2.train import build_state
from zscmr.training.steps import EpochRunner, step_rows, train_step
from zscmr.training.strategies import Gather, keep_small_products_whole
from zscmr.utils import cli
from zscmr.utils.console import say
from zscmr.utils.options import Options, setting
from zscmr.utils.processes import import_tensorflow

CLASSES, SEMANTIC = 100, 300  # Sketchy's seen classes, word2vec
TRAINED = ("zscmr", "crossatnet", "pcmsn")


@dataclass(frozen=True)
class Settings(Options):
    systems: tuple[str, ...] = setting(TRAINED, "systems to measure, the first preset of each", TRAINED)
    sizes: tuple[int, ...] = setting((512, 4096), "feature sizes F to measure; of other systems the first", None, "F")
    dim: int = setting(64, "size of the embedding space")
    batch_size: int = setting(128, "triads per step")
    steps: int = setting(50, "steps per turn, at most the 6,400 pairs there are")
    turns: int = setting(9, "turns of each")
    jit: bool = setting(False, "compile our step with XLA")
    precision: str = setting("float32", "of our matrix products", choices=PRECISIONS)


def main(settings):
    import_tensorflow()

    keep_small_products_whole()
    for name in settings.systems:
        for size in settings.sizes if name == "zscmr" else settings.sizes[:1]:
            measured = Measured(settings, name, random_dataset(size))
            ways = {
                "products alone": products_alone(measured),
                "our step": our_step(measured),
                "step fed from Python": fed_step(measured),
            }
            if name == "zscmr":
                ways["session loop"] = elsewhere(settings, size)
            times = measure(ways, settings.turns, len(measured.triads.photo))
            print_table(f"{name} {measured.options.preset}, F = {size}", times)


class Measured:
    """A system, and the data to measure it on: `options` and `preset` of the trainer, `dataset`, `triads`."""

    def __init__(self, settings, name, dataset):
        chosen = {"batch_size": settings.batch_size, "precision": settings.precision, "jit": settings.jit}
        self.options, self.preset = with_preset(TrainingOptions(model=name, constants={"dim": settings.dim}, **chosen))
        self.dataset, none = dataset, np.empty(0, np.int64)
        self.split = Split(np.arange(CLASSES), none, none)
        self.draw = partial(batches.draw_epoch, dataset, self.split, self.preset, 0)
        triads = self.draw(1)
        self.triads = batches.Triads(*(getattr(triads, field.name)[: settings.steps] for field in fields(triads)))

    def state(self):
        return build_state(self.options, self.preset, self.dataset, self.split)


def random_dataset(size):
    """A dataset of noise: 6,400 photos and as many sketches of 100 classes, enough for 50 steps of 128."""
    random = np.random.default_rng(0)

    def modality():
        labels = np.repeat(np.arange(CLASSES), 64)
        return loader.Modality(random.normal(size=(len(labels), size)).astype(np.float32), labels, ())

    vectors = random.normal(size=(CLASSES, SEMANTIC)).astype(np.float32)
    names = tuple(f"class_{label}" for label in range(CLASSES))
    return loader.Dataset(Path("noise"), modality(), modality(), names, vectors, np.empty((0, 2), np.int64), {})


def our_step(measured):
    """An epoch as the trainer runs it."""
    state, preset = measured.state(), measured.preset
    source = make_source(measured.dataset, measured.split.seen, state.model)
    epoch = EpochRunner(state, source, preset.constants.terms, preset.weights, 0, measured.options.jit)
    return lambda: epoch(measured.triads, first=0)


def products_alone(measured):
    """The step's matrix products, forward and backward, in the same kind of compiled loop; nothing else."""
    import tensorflow as tf

    random = np.random.default_rng(0)

    def operands(operation):  # variables, so that no product can be shared or hoisted
        return [tf.Variable(random.normal(size=operand.shape).astype(np.float32)) for operand in operation.inputs]

    products = [
        (*operands(operation), operation.get_attr("transpose_a"), operation.get_attr("transpose_b"))
        for operation in compiled_step(measured).get_operations()
        if operation.type == "MatMul"
    ]

    @tf.function
    def loop(steps):
        total = tf.zeros(())
        for _ in tf.range(steps):
            results = [tf.matmul(a, b, transpose_a=ta, transpose_b=tb) for a, b, ta, tb in products]
            total += tf.add_n([result[0, 0] for result in results])  # else they would be pruned
        return total

    steps = tf.constant(len(measured.triads.photo))
    return lambda: loop(steps).numpy()


def compiled_step(measured):
    """The graph of a step, all shapes known."""
    step, inputs = fed_function(measured)
    return step.get_concrete_function(*inputs(0)).graph


def fed_step(measured):
    """One compiled step, called from Python with batches gathered by NumPy."""
    step, inputs = fed_function(measured)

    def epoch():
        for i in range(len(measured.triads.photo)):
            step(*inputs(i))

    return epoch


def fed_function(measured):
    """(a compiled step, the features, class vectors and labels to call it with as a function of the batch's number)."""
    import tensorflow as tf

    from zscmr.models.base import Batch

    state, gather, dataset = measured.state(), Gather(replicas=1), measured.dataset
    model, of_photos = state.model, dataset.photo.labels.astype(np.int32)
    labels, photo_rows, sketch_rows = step_rows(of_photos, measured.triads, model)

    @tf.function
    def step(photos, sketches, vectors, labels):
        batch = Batch(model.photo_scaling(photos), model.sketch_scaling(sketches), vectors, labels)
        terms = train_step(state, measured.preset.weights, batch, tf.constant([0, 0]), gather)
        return tf.stack([terms[name] for name in measured.preset.constants.terms])

    def inputs(i):
        features = dataset.photo.features[photo_rows[i]], dataset.sketch.features[sketch_rows[i]]
        return *features, dataset.class_vectors[labels[i]], labels[i]

    return step, inputs


def batch(dataset, triads, i):
    photos, sketches = dataset.photo.features, dataset.sketch.features
    return (
        photos[triads.photo[i]],
        sketches[triads.sketch[i]],
        photos[triads.negative_photo[i]],
        sketches[triads.negative_sketch[i]],
    )


def elsewhere(settings, size):
    """`SessionLoop` in a process of its own, where TensorFlow keeps to the threads it chooses itself."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    spawn.Process(target=answer, args=(there, settings, size), daemon=True).start()
    there.close()  # or the other side would never see this one go

    def epoch():
        here.send("an epoch")
        here.recv()

    return epoch


def answer(connection, settings, size):
    """Run an epoch of the session loop at every message, and say when it is done; end with the other side."""
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        import_tensorflow()
        epoch = SessionLoop(Measured(settings, "zscmr", random_dataset(size)))
        while connection.recv():
            epoch()
            connection.send("done")


class SessionLoop:
    """ZSCMR's objective as a TensorFlow 1 program trains it; called, it trains an epoch."""

    def __init__(self, measured):
        import tensorflow.compat.v1 as tf1

        self.dataset, self.triads = measured.dataset, measured.triads
        with tf1.Graph().as_default():
            size, dim = self.dataset.photo.features.shape[1], measured.preset.constants.dim
            self.features = [tf1.placeholder(tf1.float32, (None, size)) for _ in range(4)]
            self.vectors = tf1.placeholder(tf1.float32, (None, SEMANTIC))
            self.one_hot = tf1.placeholder(tf1.float32, (None, CLASSES))
            self.losses = session_losses(*self.features, self.vectors, self.one_hot, dim)
            self.train = tf1.train.AdamOptimizer(1e-3).minimize(tf1.add_n(self.losses))
            self.session = tf1.Session()
            self.session.run(tf1.global_variables_initializer())

    def __call__(self):
        indicator = np.eye(CLASSES, dtype=np.float32)
        for i in range(len(self.triads.photo)):
            labels = self.dataset.photo.labels[self.triads.photo[i]]
            feed = dict(zip(self.features, batch(self.dataset, self.triads, i), strict=True))
            feed |= {self.vectors: self.dataset.class_vectors[labels], self.one_hot: indicator[labels]}
            self.session.run(self.train, feed_dict=feed)
            self.session.run(self.losses, feed_dict=feed)


def session_losses(photos, sketches, negative_photos, negative_sketches, vectors, one_hot, dim):
    import tensorflow.compat.v1 as tf1

    size = photos.shape[1]

    def linear(name, inputs, outputs):
        start = tf1.glorot_uniform_initializer()
        weight = tf1.get_variable(f"{name}/weight", (inputs, outputs), initializer=start)
        bias = tf1.get_variable(f"{name}/bias", (outputs,), initializer=tf1.zeros_initializer())
        return lambda x: tf1.matmul(x, weight) + bias

    photo_encoder, sketch_encoder = linear("photo", size, dim), linear("sketch", size, dim)
    semantic = linear("semantic", SEMANTIC, dim)(vectors)
    photo, sketch = photo_encoder(photos), sketch_encoder(sketches)
    other_photo, other_sketch = photo_encoder(negative_photos), sketch_encoder(negative_sketches)

    def distance(a, b):
        return tf1.sqrt(tf1.reduce_sum(tf1.square(a - b), axis=1) + 1e-12)

    def hinge(gap):
        return tf1.reduce_mean(tf1.maximum(gap + 5.0, 0.0))

    def entropy(logits):
        return tf1.reduce_mean(tf1.nn.softmax_cross_entropy_with_logits_v2(labels=one_hot, logits=logits))

    near = distance(photo, sketch)
    return [
        tf1.reduce_mean(tf1.square(photo - semantic)) + tf1.reduce_mean(tf1.square(sketch - semantic)),
        hinge(near - distance(photo, other_sketch)) + hinge(near - distance(sketch, other_photo)),
        tf1.reduce_mean(tf1.square(linear("to_sketch", dim, size)(photo) - sketches))
        + tf1.reduce_mean(tf1.square(linear("to_photo", dim, size)(sketch) - photos)),
        entropy(linear("photo_classes", dim, CLASSES)(photo)) + entropy(linear("sketch_classes", dim, CLASSES)(sketch)),
    ]


def measure(ways, turns, steps):
    """way -> times per step in ms, one of each turn; the first call of each, which compiles, does not count."""
    for run in ways.values():
        run()
    times = {name: [] for name in ways}
    for _ in range(turns):
        for name, run in ways.items():
            start = time.perf_counter()
            run()
            times[name].append(1e3 * (time.perf_counter() - start) / steps)
    return times


def print_table(title, times):
    say(f"{title:32s}ms/step   × products   × our step")
    for name, values in times.items():
        ratios = [
            statistics.median(a / b for a, b in zip(values, times[other], strict=True))
            for other in ("products alone", "our step")
        ]
        say(f"  {name:30s}{statistics.median(values):8.3f}{ratios[0]:13.2f}{ratios[1]:13.2f}")


if __name__ == "__main__":
    cli.run(main, Settings, __doc__)
