"""End-to-end training: one network for both modalities, a system's terms on its features, and a teacher.

The teacher is the network before training, with its ImageNet classifier where that is known: its answers to photos keep
the network from forgetting all but the seen classes (as SAKE does, Liu et al. 2019). Unpaired sketches, those of
classes without photos, are told apart from one another and from the seen classes; the teacher's classifier stands in
for photos of those that ImageNet has. Batches, augmentation and noise are functions of (seed, epoch).
"""

from dataclasses import dataclass
from functools import partial

import keras
import numpy as np
import tensorflow as tf

from zscmr.datasets import pictures
from zscmr.datasets.batches import draw_epoch, draw_unpaired
from zscmr.datasets.classes import Split
from zscmr.evaluation.scoring import score_across
from zscmr.models.adam import Adam, summed
from zscmr.models.base import Batch, ParameterGroup
from zscmr.training.sources import on_devices
from zscmr.training.stage1.augmentation import seen_through, transforms
from zscmr.training.stage1.ema import WeightEMA
from zscmr.training.stage1.examples import Examples, decode
from zscmr.training.stage1.precision import StepGuard, norm_statistics, out_of_range, restore_unless
from zscmr.training.stage1.student import cut
from zscmr.training.state import State, restore_newest
from zscmr.training.steps import NOISE_STREAMS, ZERO, step_rows
from zscmr.training.strategies import Gather, check_share, is_chief, on_replicas
from zscmr.utils.console import Progress, say
from zscmr.utils.errors import BadInput

LABEL = "end-to-end training"
RESIDENT_BYTES = 2**30  # decoded pictures of a modality are kept on the device up to this size
SCORED = 64  # held-out pictures embedded together
REDRAWN = 256  # drawings drawn by one task
WARP_SEEDS = {"photo": 61, "sketch": 60, "unpaired": 59}  # of the NOISE_STREAMS seeds of a step; a system's are lower
UNPAIRED_PAIRS = 2  # pairs of a step for each of its unpaired sketches, which weigh as much as a sketch of a pair


@dataclass(frozen=True)
class TrainingSet:
    """What a student learns.

    Args:
        photo, sketch: `Examples` of the classes trained on.
        held_out: {"photo", "sketch"} `Examples` of the classes by which the epoch is chosen; None: the last is kept.
        split: `seen` are the class indices trained on.
        class_vectors: (C, S) of these.
        unpaired: `Examples` of sketches of U classes without photos, labelled from 0 on, or None.
    """

    photo: Examples
    sketch: Examples
    held_out: dict | None
    split: Split
    class_vectors: np.ndarray
    unpaired: Examples | None = None

    @property
    def sides(self):
        """The `Examples` of photos, sketches and, if there are any, unpaired sketches."""
        return [self.photo, self.sketch, *([self.unpaired] if self.unpaired else [])]


def read_training_set(sides, split, class_vectors, redrawing=None, resident=RESIDENT_BYTES):
    """The `TrainingSet` of {"photo", "sketch": `PictureSet`}, decoded and kept up to `resident` bytes of each.

    `sides` may have an "unpaired" `PictureSet` too. `redrawing`: `Redrawing` of drawings with strokes, or None.
    """
    fitted = {key: side if key == "unpaired" else side.of_classes(split.seen) for key, side in sides.items()}
    fitted = {key: decode(side, resident, progress=True, redrawing=redrawing) for key, side in fitted.items()}
    held_out = None
    if len(split.held_out):
        held_out = {key: decode(sides[key].of_classes(split.held_out), resident) for key in ("photo", "sketch")}
    unpaired = fitted.get("unpaired")
    return TrainingSet(fitted["photo"], fitted["sketch"], held_out, split, class_vectors, unpaired)


class EndToEndTrainer:
    """Trains a `Student` in place, within the scope of a strategy; its weights end as their EMA.

    Args:
        student: whose networks and system are trained.
        teacher: a network of the photos with the student's first weights, or None.
        training_set: pictures and classes.
        options: `EndToEndOptions`.
    """

    def __init__(self, student, teacher, training_set, options):
        self.student, self.training_set, self.options = student, training_set, options
        preset, recipe = options.preset, options.recipe
        unpaired = training_set.unpaired is not None
        further = {"unpaired": unpaired, "prototype": student.prototypes is not None, "teacher": teacher is not None}
        self.names = *preset.constants.terms, *(name for name, present in further.items() if present)
        self.steps, pairs = self.draw(1).photo.shape
        check_share(pairs, tf.distribute.get_strategy())
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        self.unpaired = replicas * max(1, pairs // UNPAIRED_PAIRS // replicas) if unpaired else 0
        self.weights = {**preset.weights, **dict.fromkeys(("unpaired", "prototype"), self.unpaired / (2 * pairs))}
        self.gather = Gather(replicas)
        photo, sketch = student.networks.values()
        self.parts = {"photo": cut(photo, recipe.first_trained)}
        self.parts["sketch"] = self.parts["photo"] if student.shared else cut(sketch, recipe.first_trained)
        self.teacher = None if teacher is None else cut(teacher, recipe.first_trained)[1]
        self.groups = make_groups(student, recipe, preset.epochs * self.steps)
        self.state = State(student, self.groups)
        self.variables = [variable for group in self.groups for variable in group.variables]
        self.statistics = norm_statistics(*student.networks.values())
        self.ema = WeightEMA(self.variables + self.statistics, recipe.averaging)
        self.guard = StepGuard(options.spec.precision)
        self.class_vectors = on_devices(np.asarray(training_set.class_vectors, np.float32))
        self._compile()

    def _compile(self):
        examples = self.training_set.sides
        step = on_replicas(self.step)
        self._images = None
        if all(side.images is not None for side in examples):
            self._images = [tf.constant(side.images) for side in examples]  # workers do not broadcast uint8
        self._step = step if self._images else tf.function(step)
        self._resident = tf.function(self._resident)
        self._embed = {}
        for key, held_out in (self.training_set.held_out or {}).items():
            size = held_out.modality.preprocessing.size
            batch = tf.TensorSpec((SCORED, size, size, 3), tf.uint8)
            self._embed[key] = tf.function(partial(self.student.vectors, modality=key), input_signature=[batch])

    def fit(self, folder):
        """Train to the last epoch. Each leaves a checkpoint in `folder`, from which a later call resumes.

        With held-out classes the epoch that retrieves best among them is kept. Raises BadInput for terms or gradients
        that are not finite.
        """
        saved = tf.train.Checkpoint(state=self.state, averages=self.ema, guard=self.guard)
        checkpoints = tf.train.CheckpointManager(saved, folder, max_to_keep=1)
        _ = saved.save_counter  # a variable made at first use; all workers have to make it, at the same time
        if restore_newest(saved, checkpoints, self.state):
            say(f"goes on after epoch {int(self.state.epoch.numpy())}")
        epochs = self.options.preset.epochs
        with Progress("joint training, epoch", epochs) as progress:
            for number in range(int(self.state.epoch.numpy()) + 1, epochs + 1):
                shown = self.epoch(number)
                self.state.epoch.assign(number)
                if self.training_set.held_out:
                    self.ema.swap()
                    shown["held-out mAP"] = self.score()
                    self.state.note_score(shown["held-out mAP"])
                    self.ema.swap()
                if is_chief():
                    checkpoints.save(number)
                progress.update(number, _shown(shown) + self._shown_skips())
        if self.training_set.held_out:
            self._say_chosen()
            self.state.restore_best()  # of the averages: they were in place when the score was noted
        else:
            self.ema.swap()

    def draw(self, epoch):
        """The index batches of an epoch."""
        options = self.options
        return draw_epoch(self.training_set, self.training_set.split, options.preset, options.seed, epoch)

    def epoch(self, number):
        """Train epoch `number`, from 1; return the mean of each term over the steps that were applied, by name.

        Raises BadInput if a mean is not finite, or too many steps in a row had gradients that were not.
        """
        seen = self.training_set.split.seen
        position = np.full(max(seen) + 1, -1, np.int32)
        position[seen] = np.arange(len(seen))
        labels, *rows = step_rows(position[self.training_set.photo.labels], self.draw(number), self.student.system)
        labels = [labels]
        if self.unpaired:
            unpaired = self.training_set.unpaired.labels
            rows.append(draw_unpaired(unpaired, self.steps, self.unpaired, self.options.seed, number))
            labels.append((len(seen) + unpaired[rows[-1]]).astype(np.int32))
        first = tf.constant((number - 1) * self.steps)
        if self._images is None:
            *totals, applied = self._streamed(first, labels, rows, number)
        else:
            self._redraw(rows, number)
            labels, rows = ([tf.constant(array) for array in arrays] for arrays in (labels, rows))
            *totals, applied = self._resident(first, labels, rows, self._images).numpy()
        if not applied or self.guard.gives_up():
            raise out_of_range(f"{LABEL}, epoch {number}", self.guard.precision, int(self.guard.in_a_row.numpy()))
        terms = dict(zip(self.names, np.array(totals) / applied, strict=True))
        if not np.isfinite(list(terms.values())).all():
            hint = "a lower --learning-rate may help"
            raise BadInput(f"{LABEL}: a loss term of epoch {number} is not finite, {_shown(terms)}; {hint}")
        return terms

    def _resident(self, first, labels, rows, images):
        """(terms + 1,) sums over the steps of an epoch, as `step` returns them.

        Args:
            first: number of the first step.
            labels: as `step` takes them, of each step.
            rows: (steps, batch) of photos, sketches and, if there are any, unpaired sketches.
            images: all of these, (n, size, size, 3) uint8 each.
        """
        total = tf.zeros(len(self.names) + 1)
        for i in tf.range(self.steps):
            batch = [tf.gather(side, side_rows[i]) for side, side_rows in zip(images, rows, strict=True)]
            total += self._step(first + i, [of_steps[i] for of_steps in labels], batch)
            if self.guard.gives_up():
                break
        return total

    def _redraw(self, rows, epoch):
        """Replace the drawings that differ between epochs by those of this one, if they are among its `rows`."""
        for k, (side, shown) in enumerate(zip(self.training_set.sides, rows, strict=True)):
            redrawn = np.intersect1d(side.redrawn_rows, shown)
            blocks = [redrawn[at : at + REDRAWN] for at in range(0, len(redrawn), REDRAWN)]
            if not blocks:
                continue
            drawn = pictures.ahead(partial(side.redraw, epoch=epoch), blocks)
            for where, block in zip(blocks, drawn, strict=True):
                side.images[where] = block
            self._images[k] = tf.constant(side.images)

    def _streamed(self, first, labels, rows, epoch):
        """`_resident` for pictures that are read while the steps run."""

        def read(i):
            return [side.read(at[i], epoch) for side, at in zip(self.training_set.sides, rows, strict=True)]

        total = np.zeros(len(self.names) + 1, np.float32)
        for i, images in enumerate(pictures.ahead(read, range(self.steps))):
            of_step = [tf.constant(of_steps[i]) for of_steps in labels]
            total += self._step(first + i, of_step, [tf.constant(side) for side in images]).numpy()
            if self.guard.gives_up():
                break
        return total

    def step(self, number, labels, images):
        """One step within a replica.

        Args:
            number: of the step, from 0, int32.
            labels: [(batch,) int32 positions of the pairs' classes in `Split.seen`, if there are unpaired sketches
                those of their classes, which follow the seen ones].
            images: [photos, sketches, if there are any unpaired sketches], the whole batch's, uint8, negatives below
                where the system asks for them.

        Returns (terms + 1,) float32: each term, and 1; or all 0 for a step that is skipped.
        """
        noise = tf.stack([self.options.seed, number * NOISE_STREAMS])
        labels = [self.gather.local(of_side) for of_side in labels]
        maps = [self._maps(side, key, noise) for side, key in zip(images, WARP_SEEDS, strict=False)]
        before = [tf.identity(variable.value) for variable in self.statistics]
        with tf.GradientTape() as tape:
            terms = self._terms(maps, labels, noise)
            weights = {name: self.weights[name] / self.gather.replicas for name in self.names if self.weights[name]}
            shares = [terms[name] * weight for name, weight in weights.items()]
            goal = self.guard.scale_loss(tf.add_n(shares))
        gradients = summed(
            tape.gradient(goal, [variable.value for variable in self.variables], unconnected_gradients=ZERO)
        )
        applied = self.guard.apply(gradients, partial(self._update, number))
        restore_unless(applied, self.statistics, before)
        row = tf.stack([*(terms[name] for name in self.names), tf.constant(1.0)])
        return tf.where(applied, row, tf.zeros_like(row))

    def _update(self, number, gradients):
        for player in self.groups:
            gradients_of_player, gradients = gradients[: len(player.variables)], gradients[len(player.variables) :]
            player.optimizer.apply_summed(gradients_of_player, player.variables)
        self.ema.update(number)

    def _maps(self, images, modality, noise):
        """This replica's pictures, of a key of WARP_SEEDS, augmented, up to the first trained layer."""
        system = self.student.system
        blocks = 1 + {"photo": system.negative_photos, "sketch": system.negative_sketches}.get(modality, False)
        seed = noise + tf.constant([0, WARP_SEEDS[modality]])
        modality = "photo" if modality == "photo" else "sketch"
        windows = transforms(tf.shape(images)[0], images.shape[1], seed, modality, self.options.recipe.warp)
        images = seen_through(self.gather.local(images, blocks), self.gather.local(windows, blocks), modality)
        below = self.parts[modality][0]
        return images if below is None else below(images, training=False)

    def _features(self, maps):
        """Features of all; a shared network sees them in one batch, whose statistics are then common."""
        norms = self.options.recipe.norms_trained
        (_, photo), (_, sketch) = self.parts["photo"], self.parts["sketch"]
        counts = [tf.shape(side)[0] for side in maps]
        if self.student.shared:
            return tf.split(photo(tf.concat(maps, 0), training=norms), counts)
        return [photo(maps[0], training=norms), *tf.split(sketch(tf.concat(maps[1:], 0), training=norms), counts[1:])]

    def _terms(self, maps, labels, noise):
        """{name: scalar} of the system's terms, the unpaired sketches' and the teacher's."""
        system, (pair_labels, *unpaired_labels) = self.student.system, labels
        photo, sketch, *unpaired = self._features(maps)
        vectors = tf.gather(self.class_vectors, pair_labels)
        batch = Batch(system.photo_scaling(photo), system.sketch_scaling(sketch), vectors, pair_labels)
        terms = system.terms(batch, noise, self.gather)
        if unpaired:
            embeddings = system.embed_sketches(unpaired[0])
            terms["unpaired"] = self.gather.mean(system.classification(embeddings, unpaired_labels[0]))
        if self.student.prototypes is not None:
            positions = unpaired_labels[0] - len(self.training_set.split.seen)
            terms["prototype"] = self.student.recognition(unpaired[0], positions, self.gather)
        if self.teacher is not None:
            count = tf.shape(pair_labels)[0]
            answers = tf.stop_gradient(self.teacher(maps[0][:count], training=False))
            terms["teacher"] = self.gather.mean(self.student.imitation(photo[:count], answers))
        return terms

    def score(self):
        """mAP@all of the held-out classes, mean of sketch->image and image->sketch; of embeddings, or of features
        centred on their modality.

        Raises BadInput if they are not finite.
        """
        rows = {key: self._vectors(key, examples) for key, examples in self.training_set.held_out.items()}
        if not all(np.isfinite(vectors).all() for vectors in rows.values()):
            raise BadInput(f"{LABEL}: features of held-out pictures are not finite; a lower --learning-rate may help")
        if not self.student.gives_embeddings:
            rows = {key: vectors - vectors.mean(0) for key, vectors in rows.items()}
        labels = [self.training_set.held_out[key].labels for key in ("photo", "sketch")]
        return score_across(rows["photo"], rows["sketch"], *labels, self.options.preset.distance)

    def _vectors(self, modality, examples):
        """What retrieves (n, t) for `Examples`; the last batch is filled up with copies of its first picture."""
        count, parts = len(examples.labels), []
        for start in range(0, count, SCORED):
            rows = np.arange(start, start + SCORED)
            images = examples.read(np.where(rows < count, rows, start))
            parts.append(self._embed[modality](tf.constant(images)).numpy())
        return np.concatenate(parts)[:count]

    def _say_chosen(self):
        chosen, score = int(self.state.best_epoch.numpy()), float(self.state.best_score.numpy())
        which = f"epoch {chosen} of {self.options.preset.epochs} chosen"
        say(f"{which}, mAP@all {score:.3f} on {len(self.training_set.split.held_out)} held-out seen classes")

    def _shown_skips(self):
        skipped = int(self.guard.skipped.numpy())
        return f"  {skipped} steps skipped" if skipped else ""


def _shown(terms):
    return "  ".join(f"{name} {value:.3f}" for name, value in terms.items())


def make_groups(student, recipe, steps):
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
