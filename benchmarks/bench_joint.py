"""Time of a step of joint training beside the forward and backward passes of its network alone, in turns in one run.

    python benchmarks/bench_joint.py [--backbone efficientnet_lite0] [--train-size 160]

Random pictures in memory, 100 classes, random weights. Passes: one compiled function, the network on the same batch of
photos and sketches, and the gradient of the sum of its features by the variables that joint training trains; then with
the teacher's forward pass on the photos. A step adds augmentation, loss terms, the update and the weights' average.
"""

import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package of this clone
import numpy as np

from zscmr.backbones import NAMES, backbone, networks
from zscmr.training.stage1 import end_to_end as joint
from zscmr.training.stage1.options import JOINT_PAIRS, Stage1Options, by_modality
from zscmr.training.stage1.student import Averages, build_student, cut, freeze, objective
from zscmr.training.state import State
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
    here = Path()
    chosen = {"backbone": settings.backbone, "teacher": 1.0, "train_size": settings.train_size}
    options = by_modality(Stage1Options(photos=here, sketches=here, unseen=here, out=here, train="joint", **chosen))
    options = options["photo"]
    ways = {"its passes": passes(tf, options), "and the teacher's": passes(tf, options, True), "a step": step(options)}
    times = {name: [] for name in ways}
    for turn in range(settings.turns + 1):  # the first compiles
        for name, way in ways.items():
            start = time.perf_counter()
            way(settings.steps)
            if turn:
                times[name].append((time.perf_counter() - start) / settings.steps)
    say(f"{settings.backbone}, {options.train_size} pixels, {2 * JOINT_PAIRS} pictures")
    for name in ways:
        ratio = statistics.median(a / b for a, b in zip(times["a step"], times[name], strict=True))
        say(f"  {name:18}{1e3 * statistics.median(times[name]):7.0f} ms, a step takes {ratio:.2f} of it")


def network_of(options):
    entry = backbone(options.backbone)
    pool = "average" if options.pool == "root" else options.pool
    return networks.pooled(networks.build(options.backbone, None, options.train_size), pool, entry.special)


def random_pictures(options, count):
    shape = count, options.train_size, options.train_size, 3
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def passes(tf, options, taught=False):
    """way(steps): the network's passes on one batch, as often; `taught`: and the teacher's, of the photos."""
    network, recipe = network_of(options), backbone(options.backbone).joint
    freeze(network, recipe.first_trained, recipe.norms_trained)
    lower, upper = cut(network, recipe.first_trained)
    teacher = cut(network_of(options), recipe.first_trained)[1] if taught else None
    images = tf.constant(random_pictures(options, 2 * JOINT_PAIRS))

    @tf.function
    def way(steps):
        total = [tf.zeros(variable.shape) for variable in upper.trainable_variables]
        for _ in tf.range(steps):
            maps = images if lower is None else lower(images, training=False)
            with tf.GradientTape() as tape:
                goal = tf.reduce_sum(upper(maps, training=recipe.norms_trained))
            total = tape.gradient(goal, [variable.value for variable in upper.trainable_variables])
            if taught:
                total[0] += tf.reduce_sum(teacher(maps[:JOINT_PAIRS], training=False))
        return [tf.reduce_sum(gradient) for gradient in total]  # every gradient is needed

    return lambda steps: way(tf.constant(steps))


def step(options):
    """way(steps): so many steps of joint training, an epoch."""
    recipe, preset = backbone(options.backbone).joint, objective(options)
    vectors = np.zeros((CLASSES, 1), np.float32)
    width = network_of(options).output_shape[1]
    classifier = np.zeros((width, 1000), np.float32), np.zeros(1000, np.float32)
    student, teacher = build_student(
        lambda: network_of(options), classifier, options, preset.constants, recipe, {}, range(CLASSES), vectors
    )
    state = State(student, joint.make_players(student, recipe, 100))
    averages = Averages([variable for player in state.groups for variable in player.variables], recipe.averaging)
    names = *preset.constants.terms, "teacher"
    one = joint.compile_step(state, teacher, averages, names, preset.weights, recipe, vectors, 0)
    images = random_pictures(options, JOINT_PAIRS)
    epoch = joint.compile_epoch(one, {"photo": (None, images), "sketch": (None, images)}, len(names))
    rows = np.arange(JOINT_PAIRS, dtype=np.int32)

    def way(steps):
        labels = np.tile(rows // 2, (steps, 1))
        return epoch(0, labels, np.tile(rows, (steps, 1)), np.tile(rows, (steps, 1)))

    return way


if __name__ == "__main__":
    cli.run(main, Settings, __doc__)
