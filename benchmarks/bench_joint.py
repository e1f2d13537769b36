"""Time of a step of end-to-end training, and of its network's forward and backward passes alone, in turns in one run.

    python benchmarks/bench_joint.py [--backbone efficientnet_lite0] [--train-size 160]

Random pictures in memory, 100 classes, random weights. Passes: one compiled function, the network on the same batch of
photos and sketches, and the gradient of the sum of its features by the variables that joint training trains; then with
the teacher's forward pass on the photos. A step adds augmentation, loss terms, the update and the weights' EMA.
"""

import dataclasses
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package of this clone
import numpy as np

from zscmr.backbones import NAMES, backbone, networks
from zscmr.datasets.classes import Split
from zscmr.datasets.pictures import Preprocessing
from zscmr.training.stage1.end_to_end import EndToEndTrainer, TrainingSet
from zscmr.training.stage1.examples import Examples, PictureSet
from zscmr.training.stage1.options import JOINT_PAIRS, Stage1Options, by_modality
from zscmr.training.stage1.student import build_student, cut, freeze
from zscmr.utils import cli
from zscmr.utils.console import say
from zscmr.utils.options import Options, setting
from zscmr.utils.processes import import_tensorflow

CLASSES = 100


@dataclass(frozen=True)
class Settings(Options):
    backbone: str = setting("efficientnet_lite0", f"CNN: {NAMES}", metavar="NAME")
    train_size: int | None = setting(None, "side of the pictures (default: the backbone's)", metavar="N", least=16)
    steps: int = setting(4, "steps per turn", least=1)
    turns: int = setting(7, "turns of each way; medians are printed", least=1)


def main(settings):
    tf = import_tensorflow()
    options = options_of(settings)
    rates = {
        "its passes": passes(tf, options),
        "and the teacher's": passes(tf, options, teacher=True),
        "a step": epoch(options),
    }
    times = {name: [] for name in rates}
    for turn in range(settings.turns + 1):  # the first compiles
        for name, run in rates.items():
            start = time.perf_counter()
            run(settings.steps)
            if turn:
                times[name].append((time.perf_counter() - start) / settings.steps)
    say(f"{settings.backbone}, {options.recipe.train_size} pixels, {2 * JOINT_PAIRS} pictures")
    for name, taken in times.items():
        ratio = statistics.median(a / b for a, b in zip(times["a step"], taken, strict=True))
        say(f"  {name:18}{1e3 * statistics.median(taken):7.0f} ms, a step takes {ratio:.2f} of it")


def options_of(settings):
    """`EndToEndOptions` of the backbone with a teacher, an epoch being so many steps."""
    here, chosen = Path(), {"backbone": settings.backbone, "train_size": settings.train_size}
    chosen["teacher"] = None if backbone(settings.backbone).from_scratch else 1.0
    options = Stage1Options(photos=here, sketches=here, unseen=here, out=here, train="joint", **chosen)
    options = by_modality(options)["photo"]
    return dataclasses.replace(options, preset=dataclasses.replace(options.preset, steps=settings.steps))


def network_of(options):
    spec = options.spec
    pool = "average" if spec.pool == "root" else spec.pool
    return networks.pooled(networks.build(spec.entry, None, options.recipe.train_size), pool, spec.entry.special)


def random_pictures(options, count):
    shape = count, options.recipe.train_size, options.recipe.train_size, 3
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def passes(tf, options, teacher=False):
    """run(steps): the network's passes on one batch, as often; with `teacher` also the teacher's, of the photos."""
    network, recipe = network_of(options), options.recipe
    freeze(network, recipe.first_trained, recipe.norms_trained)
    lower, upper = cut(network, recipe.first_trained)
    teacher = cut(network_of(options), recipe.first_trained)[1] if teacher else None
    images = tf.constant(random_pictures(options, 2 * JOINT_PAIRS))
    variables = upper.trainable_variables

    def one_pass():
        maps = images if lower is None else lower(images, training=False)
        with tf.GradientTape() as tape:
            goal = tf.reduce_sum(upper(maps, training=recipe.norms_trained))
        gradients = tape.gradient(goal, [variable.value for variable in variables])
        if teacher is not None:
            gradients[0] += tf.reduce_sum(teacher(maps[:JOINT_PAIRS], training=False))
        return gradients

    @tf.function
    def run(steps):
        last = [tf.zeros(variable.shape) for variable in variables]
        for _ in tf.range(steps):
            last = one_pass()
        return [tf.reduce_sum(gradient) for gradient in last]  # every gradient is needed

    return lambda steps: run(tf.constant(steps))


def epoch(options):
    """run(steps): an epoch of end-to-end training, which has so many steps."""
    vectors = np.zeros((CLASSES, 1), np.float32)
    width = network_of(options).output_shape[1]
    classifier = np.zeros((width, 1000), np.float32), np.zeros(1000, np.float32)
    student, teacher = build_student(lambda: network_of(options), classifier, options, {}, vectors)
    sides, labels = [], np.arange(CLASSES)
    for name in ("photo", "sketch"):
        modality = PictureSet(name, CLASSES * ("",), labels, Preprocessing(options.recipe.train_size))
        sides.append(Examples(modality, random_pictures(options, CLASSES)))
    none = np.empty(0, int)
    trainer = EndToEndTrainer(student, teacher, TrainingSet(*sides, None, Split(labels, none, none), vectors), options)
    return lambda steps: trainer.epoch(1)


if __name__ == "__main__":
    cli.run(main, Settings, __doc__)
