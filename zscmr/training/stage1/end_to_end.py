"""End-to-end training: one network for both modalities, a system's terms on its features, and a teacher.

The teacher is the network as it came, with its ImageNet classifier where that is known: what it says of photos keeps
the network from forgetting all but the seen classes (as SAKE does, Liu et al. 2019). Trained weights are averaged over
the steps. Batches, augmentation and noise are functions of (seed, epoch).
"""

from types import SimpleNamespace

import keras
import numpy as np
import tensorflow as tf

from zscmr.datasets import pictures
from zscmr.datasets.batches import draw_epoch
from zscmr.datasets.classes import Split
from zscmr.evaluation.scoring import score_across
from zscmr.models.adam import Adam
from zscmr.models.base import Batch, ParameterGroup
from zscmr.models.losses import cosine_loss, soft_cross_entropy
from zscmr.training.sources import on_devices
from zscmr.training.stage1.augmentation import seen_through, transforms
from zscmr.training.stage1.student import Averages, cut
from zscmr.training.state import State, restore_newest
from zscmr.training.steps import NOISE_STREAMS, ZERO, step_rows
from zscmr.training.strategies import Gather, check_share, is_chief, on_replicas
from zscmr.utils.console import Progress, say, track
from zscmr.utils.errors import BadInput

RESIDENT_BYTES = 2**31  # decoded pictures of both modalities are kept on the device up to this size
LOSS_SCALE = 2.0**10  # keeps float16 gradients from vanishing


def train(student, teacher, sides, taught, held_out, class_vectors, preset, recipe, seed, folder):
    """Train `student`, a `Student`, in place; its weights end as the averages.

    `teacher`: a network of the photos with the student's first weights, or None. `sides`: {"photo", "sketch":
    `Modality`}, of which the pictures of the class indices `taught` and `held_out` are read. `class_vectors` (C, S) of
    the taught classes. `preset`: of `objective`. Each epoch leaves a checkpoint in
    `folder`, from which a later call goes on. With held-out classes the epoch that retrieves best among them is kept.
    Raises BadInput for a loss that is not finite.
    """
    fitted = {key: _decoded(side.take(np.isin(side.labels, taught)), key) for key, side in sides.items()}
    judged = {key: _decoded(side.take(np.isin(side.labels, held_out)), None) for key, side in sides.items()}
    labelled = SimpleNamespace(**{key: SimpleNamespace(labels=side.labels) for key, (side, _) in fitted.items()})
    split = Split(seen=taught, held_out=held_out, unseen=np.empty(0, int))

    def batches(epoch):
        return draw_epoch(labelled, split, preset, seed, epoch)

    steps, pairs = batches(1).photo.shape
    check_share(pairs, tf.distribute.get_strategy())
    players = make_players(student, recipe, preset.epochs * steps)
    state = State(student, players)
    averages = Averages([v for player in players for v in player.variables], recipe.averaging)
    names = (*preset.constants.terms, *(("teacher",) if teacher is not None else ()))
    saved = tf.train.Checkpoint(state=state, averages=averages)
    checkpoints = tf.train.CheckpointManager(saved, folder, max_to_keep=1)
    _ = saved.save_counter  # a variable made at first use; all workers have to make it, at the same time
    if restore_newest(saved, checkpoints, state):
        say(f"goes on after epoch {int(state.epoch.numpy())}")
    position = np.full(max(taught) + 1, -1, np.int32)
    position[taught] = np.arange(len(taught))
    labels = position[labelled.photo.labels]
    step = compile_step(state, teacher, averages, names, preset.weights, recipe, class_vectors, seed)
    run_epoch = compile_epoch(step, fitted, len(names))
    with Progress("joint training, epoch", preset.epochs) as progress:
        for epoch in range(int(state.epoch.numpy()) + 1, preset.epochs + 1):
            rows = step_rows(labels, batches(epoch), student.system)
            terms = dict(zip(names, run_epoch((epoch - 1) * steps, *rows), strict=True))
            if not np.isfinite(list(terms.values())).all():
                raise BadInput(f"joint training: a loss term of epoch {epoch} is not finite, {_shown(terms)}; "
                               "a lower --learning-rate may help")  # fmt: skip
            state.epoch.assign(epoch)
            score = {}
            if len(held_out):
                averages.swap()
                score = {"held-out mAP": held_out_score(student, judged, pairs, preset.distance)}
                state.note_score(score["held-out mAP"])
                averages.swap()
            if is_chief():
                checkpoints.save(epoch)
            progress.update(epoch, _shown(terms | score))
    if len(held_out):
        chosen, score = int(state.best_epoch.numpy()), float(state.best_score.numpy())
        say(f"epoch {chosen} of {preset.epochs} chosen, mAP@all {score:.3f} on {len(held_out)} held-out seen classes")
        state.restore_best()  # of the averages: they were in place when the score was noted
    else:
        averages.swap()


def _shown(terms):
    return "  ".join(f"{name} {value:.3f}" for name, value in terms.items())


def _decoded(side, label):
    """(the readable pictures of a `Modality`, all of them decoded (n, size, size, 3) uint8, or None where they are too
    large together); `label` of the progress, None: without."""
    resident = 2 * 3 * len(side.paths) * side.preprocessing.size**2 <= RESIDENT_BYTES
    parts = np.array_split(np.arange(len(side.paths)), max(1, len(side.paths) // 64))
    done = pictures.ahead(side.read, parts)
    if label:
        done = track(done, f"{label}: reading pictures, batch", len(parts))
    images, readable = zip(*((part if resident else part[:0], good) for part, good in done), strict=True)
    readable = np.concatenate(readable)
    return side.take(readable), np.concatenate(images)[readable] if resident else None


def make_players(student, recipe, steps):
    """The network and what follows it, each with an Adam whose rate rises for a tenth of the steps and falls as a
    cosine; the latter's is `recipe.head_factor` times as high."""
    network = list(student.photo_network.trainable_variables)
    network += [] if student.shared else student.sketch_network.trainable_variables
    inside = {id(variable) for variable in network}
    rest = [variable for variable in student.trainable_variables if id(variable) not in inside]
    peaks = recipe.learning_rate, recipe.head_factor * recipe.learning_rate

    def rising(peak):
        return keras.optimizers.schedules.CosineDecay(
            peak / 20, steps, warmup_target=peak, warmup_steps=max(1, steps // 10)
        )

    parts = zip((network, rest), peaks, strict=True)
    return [ParameterGroup((), part, Adam(rising(peak))) for part, peak in parts if part]


def compile_step(state, teacher, averages, names, weights, recipe, class_vectors, seed):
    """step(number, labels, photos, sketches) -> terms (len(names),), of a whole batch of uint8 pictures, a part of
    which is this replica's; updates weights and averages."""
    student, system = state.model, state.model.system
    gather = Gather(tf.distribute.get_strategy().num_replicas_in_sync)
    class_vectors = on_devices(np.asarray(class_vectors, np.float32))
    blocks = {"photo": 1 + system.negative_photos, "sketch": 1 + system.negative_sketches}
    lower, upper = cut(student.photo_network, recipe.first_trained)
    parts = {"photo": (lower, upper)}
    parts["sketch"] = parts["photo"] if student.shared else cut(student.sketch_network, recipe.first_trained)
    taught_by = cut(teacher, recipe.first_trained)[1] if teacher is not None else None
    norms = recipe.norms_trained
    variables = [variable for player in state.groups for variable in player.variables]
    scale = LOSS_SCALE if keras.mixed_precision.global_policy().name == "mixed_float16" else 1.0

    def augmented(images, modality, noise):
        windows = transforms(tf.shape(images)[0], images.shape[1], noise, modality, recipe.warp)
        return seen_through(gather.own(images, blocks[modality]), gather.own(windows, blocks[modality]), modality)

    def stem(images, modality):
        below = parts[modality][0]
        return images if below is None else below(images, training=False)

    def features_of(photo_maps, sketch_maps):
        """Features of both; a shared network sees them in one batch, whose statistics are then common."""
        if not student.shared:
            return [parts[key][1](x, training=norms) for key, x in (("photo", photo_maps), ("sketch", sketch_maps))]
        both = upper(tf.concat([photo_maps, sketch_maps], 0), training=norms)
        return tf.split(both, [tf.shape(photo_maps)[0], tf.shape(sketch_maps)[0]])

    def step(number, labels, photos, sketches):
        noise = tf.stack([seed, number * NOISE_STREAMS])
        labels = gather.own(labels)
        photo_maps = stem(augmented(photos, "photo", noise + tf.constant([0, 61])), "photo")
        sketch_maps = stem(augmented(sketches, "sketch", noise + tf.constant([0, 60])), "sketch")
        own = tf.shape(labels)[0]
        with tf.GradientTape() as tape:
            photo, sketch = features_of(photo_maps, sketch_maps)
            batch = Batch(
                system.photo_scaling(photo), system.sketch_scaling(sketch), tf.gather(class_vectors, labels), labels
            )
            terms = system.terms(batch, noise, gather)
            if taught_by is not None:
                opinion = tf.stop_gradient(taught_by(photo_maps[:own], training=False))
                terms["teacher"] = gather.mean(_imitation(student, photo[:own], opinion))
            goal = tf.add_n([terms[name] * (weights[name] / gather.replicas) for name in names if weights[name]])
            goal *= scale
        gradients = tape.gradient(goal, [v.value for v in variables], unconnected_gradients=ZERO)
        gradients = [gradient / scale for gradient in gradients] if scale != 1 else gradients
        for player in state.groups:
            mine, gradients = gradients[: len(player.variables)], gradients[len(player.variables) :]
            player.optimizer.apply(mine, player.variables)
        averages.update(number)
        return tf.stack([terms[name] for name in names])

    return step


def _imitation(student, features, taught):
    """The teacher's term for features (n, F) of photos: by its classifier, else by the direction of its features."""
    if student.classifier is None:
        return cosine_loss(features, taught)
    kernel, bias = student.taught_classifier
    return soft_cross_entropy(student.classifier(features), tf.matmul(taught, kernel) + bias)


def compile_epoch(step, fitted, terms):
    """epoch(first step, labels, photo rows, sketch rows) -> mean of each term over the steps; rows are (steps, …)."""
    run_step = on_replicas(step)
    images = {key: array for key, (_, array) in fitted.items()}
    if all(array is not None for array in images.values()):
        images = {key: tf.constant(array) for key, array in images.items()}  # workers do not broadcast uint8

        @tf.function
        def epoch(first, labels, photos, sketches):
            total = tf.zeros(terms)
            for i in tf.range(labels.shape[0]):
                read = tf.gather(images["photo"], photos[i]), tf.gather(images["sketch"], sketches[i])
                total += run_step(first + i, labels[i], *read)
            return total / labels.shape[0]

        return lambda first, *rows: epoch(tf.constant(first), *map(tf.constant, rows)).numpy()

    compiled = tf.function(run_step)
    sides = [fitted[key][0] for key in ("photo", "sketch")]

    def streamed(first, labels, *rows):
        def read(i):
            return [side.read(side_rows[i])[0] for side, side_rows in zip(sides, rows, strict=True)]

        total = np.zeros(terms, np.float32)
        for i, read_pictures in enumerate(pictures.ahead(read, range(len(labels)))):
            total += compiled(tf.constant(first + i), tf.constant(labels[i]), *map(tf.constant, read_pictures)).numpy()
        return total / len(labels)

    return streamed


def held_out_score(student, judged, batch, distance):
    """mAP@all, mean of sketch->image and image->sketch, of embeddings, or of features centred on their modality."""
    rows = {}
    for key, (side, images) in judged.items():
        parts = []
        for start in range(0, len(side.labels), batch):
            part = range(start, min(start + batch, len(side.labels)))
            seen = images[start : start + batch] if images is not None else side.read(part)[0]
            parts.append(np.asarray(student.vectors(tf.constant(seen), key)))
        rows[key] = np.concatenate(parts)
        if not student.own_space:
            rows[key] -= rows[key].mean(0)
    labels = [judged[key][0].labels for key in ("photo", "sketch")]
    return score_across(rows["photo"], rows["sketch"], *labels, distance)
