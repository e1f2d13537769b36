"""Time of a training step beside that of its matrix products alone, of a step fed from Python, and of a session loop.

All four do the same work on the same random data (100 classes, 300-d class vectors); they take turns in one run, and
the medians of their times per step are printed, with the median of the ratios of neighbours. The session loop is what
TensorFlow 1 programs of this kind do: a graph built once, batches and one-hot labels fed through `feed_dict`, one
`run` for the training step and a second one for the losses to print.
"""

import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cli
import UxUyLoader as loader
from cli import setting

CLASSES, SEMANTIC = 100, 300  # Sketchy's seen classes, word2vec


@dataclass(frozen=True)
class Settings:
    sizes: tuple[int, ...] = setting((512, 4096), "feature sizes F to measure", metavar="F")
    dim: int = setting(64, "size of the embedding space")
    batch_size: int = setting(128, "triads per step")
    steps: int = setting(20, "steps per turn")
    turns: int = setting(9, "turns of each")
    jit: bool = setting(False, "compile our step with XLA")
    precision: str = setting("float32", "of our matrix products", choices=("float32", "bfloat16"))


def main(settings):
    cli.import_tensorflow()
    from models import training

    training.keep_small_products_whole()
    for size in settings.sizes:
        dataset = random_dataset(size)
        triads = loader.draw_triads(
            dataset.photo.labels, dataset.sketch.labels, np.arange(CLASSES), settings.batch_size, seed=0, epoch=1
        )
        arrays = (getattr(triads, name) for name in ("photo", "sketch", "negative_photo", "negative_sketch"))
        triads = loader.Triads(*(array[: settings.steps] for array in arrays))
        ways = {
            "products alone": products_alone(settings, size),
            "our step": our_step(settings, dataset, triads),
            "step fed from Python": fed_step(settings, dataset, triads),
            "session loop": session_loop(settings, dataset, triads),
        }
        print_table(size, measure(ways, settings.turns, settings.steps))


def random_dataset(size):
    """A dataset of noise: 6,400 photos and as many sketches of 100 classes, enough for 50 steps of 128."""
    random = np.random.default_rng(0)

    def modality():
        labels = np.repeat(np.arange(CLASSES), 64)
        return loader.Modality(random.normal(size=(len(labels), size)).astype(np.float32), labels, ())

    vectors = random.normal(size=(CLASSES, SEMANTIC)).astype(np.float32)
    names = tuple(f"class_{label}" for label in range(CLASSES))
    return loader.Dataset(Path("noise"), modality(), modality(), names, vectors, np.empty((0, 2), np.int64), {})


def new_state(settings, dataset):
    import keras

    from models import training, zscmr
    from models.system import Inputs

    keras.config.set_dtype_policy(training.POLICIES[settings.precision])
    keras.utils.set_random_seed(0)
    inputs = Inputs(dataset.photo.features, dataset.sketch.features, dataset.class_vectors, dataset.edges)
    model = zscmr.build(zscmr.Settings(dim=settings.dim), inputs)
    return training.State(model, model.players(1e-3))


def our_step(settings, dataset, triads):
    """An epoch as the trainer runs it."""
    from models import training, zscmr

    state = new_state(settings, dataset)
    source = training.make_source(dataset, np.arange(CLASSES), state.model)
    weights = dict.fromkeys(zscmr.TERMS, 1.0)
    epoch = training.compile_epoch(state, source, zscmr.TERMS, weights, seed=0, jit=settings.jit)
    return lambda: epoch(triads, first=0)


def products_alone(settings, size):
    """The step's matrix products, forward and backward, in the same kind of compiled loop; nothing else."""
    import tensorflow as tf

    random = np.random.default_rng(0)
    pairs = []  # (left, transposed, right, transposed); variables, so that no product can be shared or hoisted

    def linear(inputs, outputs, input_gradient):
        draw = lambda *shape: tf.Variable(random.normal(size=shape).astype(np.float32))  # noqa: E731
        x, weight = draw(settings.batch_size, inputs), draw(inputs, outputs)
        gradient = draw(settings.batch_size, outputs)
        pairs.extend([(x, False, weight, False), (x, True, gradient, False)])
        if input_gradient:
            pairs.append((gradient, False, weight, True))

    for _ in range(4):  # photo, sketch, and their negatives; features need no gradient
        linear(size, settings.dim, input_gradient=False)
    linear(SEMANTIC, settings.dim, input_gradient=False)
    for _ in range(2):
        linear(settings.dim, size, input_gradient=True)  # decoder
        linear(settings.dim, CLASSES, input_gradient=True)  # classifier

    @tf.function
    def loop(steps):
        total = tf.zeros(())
        for _ in tf.range(steps):
            products = [tf.matmul(a, b, transpose_a=ta, transpose_b=tb) for a, ta, b, tb in pairs]
            total += tf.add_n([product[0, 0] for product in products])  # else they would be pruned
        return total

    steps = tf.constant(settings.steps)
    return lambda: loop(steps).numpy()


def fed_step(settings, dataset, triads):
    """One compiled step, called from Python with batches gathered by NumPy."""
    import tensorflow as tf

    from models import training, zscmr
    from models.system import Batch

    state = new_state(settings, dataset)
    gather = training.Gather(replicas=1)

    @tf.function
    def step(photos, sketches, negative_photos, negative_sketches, vectors, labels):
        model = state.model
        rows = Batch(
            lambda negatives: model.photo_scaling(tf.concat([photos, negative_photos], 0) if negatives else photos),
            lambda negatives: model.sketch_scaling(
                tf.concat([sketches, negative_sketches], 0) if negatives else sketches
            ),
            vectors,
            labels,
        )
        with tf.GradientTape() as tape:
            terms = model.terms(rows, tf.constant([0, 0]), gather)
            values = tf.stack([terms[name] for name in zscmr.TERMS])
            objective = tf.reduce_sum(values)
        (player,) = state.players
        player.optimizer.apply(tape.gradient(objective, player.variables), player.variables)
        return values

    def epoch():
        for i in range(len(triads.photo)):
            labels = dataset.photo.labels[triads.photo[i]]
            step(*batch(dataset, triads, i), dataset.class_vectors[labels], labels.astype(np.int32))

    return epoch


def batch(dataset, triads, i):
    photos, sketches = dataset.photo.features, dataset.sketch.features
    return (
        photos[triads.photo[i]],
        sketches[triads.sketch[i]],
        photos[triads.negative_photo[i]],
        sketches[triads.negative_sketch[i]],
    )


def session_loop(settings, dataset, triads):
    """The same objective as a TensorFlow 1 program trains it."""
    import tensorflow.compat.v1 as tf1

    with tf1.Graph().as_default():
        size, dim = dataset.photo.features.shape[1], settings.dim
        features = [tf1.placeholder(tf1.float32, (None, size)) for _ in range(4)]
        vectors = tf1.placeholder(tf1.float32, (None, SEMANTIC))
        one_hot = tf1.placeholder(tf1.float32, (None, CLASSES))
        losses = session_losses(*features, vectors, one_hot, size, dim)
        train = tf1.train.AdamOptimizer(1e-3).minimize(tf1.add_n(losses))
        session = tf1.Session()
        session.run(tf1.global_variables_initializer())
    indicator = np.eye(CLASSES, dtype=np.float32)

    def epoch():
        for i in range(len(triads.photo)):
            labels = dataset.photo.labels[triads.photo[i]]
            feed = dict(zip(features, batch(dataset, triads, i), strict=True))
            feed |= {vectors: dataset.class_vectors[labels], one_hot: indicator[labels]}
            session.run(train, feed_dict=feed)
            session.run(losses, feed_dict=feed)

    return epoch


def session_losses(photos, sketches, negative_photos, negative_sketches, vectors, one_hot, size, dim):
    import tensorflow.compat.v1 as tf1

    def linear(name, inputs, outputs):
        start = tf1.glorot_uniform_initializer()
        weight = tf1.get_variable(f"{name}/weight", (inputs, outputs), initializer=start)
        bias = tf1.get_variable(f"{name}/bias", (outputs,), initializer=tf1.zeros_initializer())
        return lambda x: tf1.matmul(x, weight) + bias

    photo_encoder, sketch_encoder = linear("photo", size, dim), linear("sketch", size, dim)
    semantic = linear("semantic", SEMANTIC, dim)(vectors)
    photo, sketch = photo_encoder(photos), sketch_encoder(sketches)
    other_photo, other_sketch = photo_encoder(negative_photos), sketch_encoder(negative_sketches)
    distance = lambda a, b: tf1.sqrt(tf1.reduce_sum(tf1.square(a - b), axis=1) + 1e-12)  # noqa: E731
    hinge = lambda gap: tf1.reduce_mean(tf1.maximum(gap + 5.0, 0.0))  # noqa: E731
    entropy = lambda logits: tf1.reduce_mean(  # noqa: E731
        tf1.nn.softmax_cross_entropy_with_logits_v2(labels=one_hot, logits=logits)
    )
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


def print_table(size, times):
    print(f"F = {size}{'':26s}ms/step   × products   × our step", flush=True)
    for name, values in times.items():
        ratios = [
            statistics.median(a / b for a, b in zip(values, times[other], strict=True))
            for other in ("products alone", "our step")
        ]
        print(f"  {name:30s}{statistics.median(values):8.3f}{ratios[0]:13.2f}{ratios[1]:13.2f}", flush=True)


if __name__ == "__main__":
    cli.run(main, Settings, __doc__)
