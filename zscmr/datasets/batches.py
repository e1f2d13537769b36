"""Index batches of an epoch: triads, batches balanced over classes, unpaired sketches, by (seed, epoch)."""

from dataclasses import dataclass

import numpy as np

from zscmr.utils.errors import BadInput
from zscmr.utils.seeds import generator


@dataclass(frozen=True)
class Triads:
    """Rows of one epoch's batches, each array (steps, batch) int32.

    `photo` and `sketch` are of one class; the negatives of the two triplet hinges are of others.
    """

    photo: np.ndarray
    sketch: np.ndarray
    negative_photo: np.ndarray
    negative_sketch: np.ndarray


def draw_epoch(dataset, split, preset, seed, epoch):
    """Draw the index batches of one epoch over the trained classes.

    Args:
        dataset: has `photo.labels` and `sketch.labels`, (n,) class indices.
        split: a `Split`; rows of its `seen` classes are drawn.
        preset: has `batches` ("triads" or "balanced"), `batch_size`, and `steps` (0: as many as triads take).
        seed: of the run.
        epoch: from 1.
    """
    arguments = dataset.photo.labels, dataset.sketch.labels, split.seen, preset.batch_size, seed, epoch
    return draw_triads(*arguments) if preset.batches == "triads" else draw_balanced(*arguments, preset.steps)


def fitting_batch(batch, pictures):
    """`batch`, unless there are fewer `pictures` to train on (`trained_pictures`): then a batch that they fill twice.

    It is the largest power of two for which they do, at least 1.
    """
    return batch if batch <= pictures else 2 ** max(0, (pictures // 2).bit_length() - 1)


def trained_pictures(dataset, split):
    """Pictures of the trained classes in the modality that has more of them."""
    return max(int(np.isin(items.labels, split.seen).sum()) for items in (dataset.photo, dataset.sketch))


def draw_triads(photo_labels, sketch_labels, classes, batch, seed, epoch):
    """Draw the triads of an epoch.

    Every picture of the larger modality occurs once, in random order, with a random picture of its class from the other
    modality and random negatives. The remainder batch is dropped, as released.

    Args:
        photo_labels, sketch_labels: (n,) class indices.
        classes: class indices to draw from; rows of others are never drawn.
        batch: pairs of a batch.
        seed, epoch: determine what is drawn.

    Raises BadInput when there are fewer pictures than one batch.
    """
    random = generator(seed, "triads", epoch)
    photos, sketches = (_rows_by_class(labels, classes) for labels in (photo_labels, sketch_labels))
    larger, smaller = (photos, sketches) if photos.total >= sketches.total else (sketches, photos)
    steps = larger.total // batch
    if steps == 0:
        raise BadInput(
            f"--batch-size {batch} is larger than the {larger.total} pictures to train on; try a smaller one"
        )
    order = random.permutation(larger.total)[: steps * batch]
    group = larger.group[order]
    drawn = larger.rows[order], smaller.draw(group, random)
    photo, sketch = drawn if larger is photos else drawn[::-1]
    # a shift by 1 … C−1 around the ring of classes never lands on the class itself
    negatives = [(group + random.integers(1, len(classes), len(group))) % len(classes) for _ in range(2)]
    arrays = photo, sketch, photos.draw(negatives[0], random), sketches.draw(negatives[1], random)
    return Triads(*(array.astype(np.int32).reshape(steps, batch) for array in arrays))


def draw_balanced(photo_labels, sketch_labels, classes, batch, seed, epoch, steps=0):
    """Like `draw_triads`, with two photos and two sketches of each of batch // 2 classes in every batch.

    Classes come in random order, the rows of a class adjacent; negatives are the rows of the preceding class. With
    fewer than batch // 2 classes the batch is smaller. `steps`: of the epoch, or 0 for as many as `draw_triads` gives.
    """
    random = generator(seed, "balanced batches", epoch)
    photos, sketches = (_rows_by_class(labels, classes) for labels in (photo_labels, sketch_labels))
    steps = steps or max(1, max(photos.total, sketches.total) // batch)
    class_count = min(max(batch // 2, 2), len(classes))
    order = random.permuted(np.tile(np.arange(len(classes)), (steps, 1)), axis=1)[:, :class_count]
    group = np.repeat(order, 2, axis=1)
    shape = group.shape
    photo, sketch = (rows.draw(group.ravel(), random).reshape(shape) for rows in (photos, sketches))
    arrays = photo, sketch, np.roll(photo, 2, axis=1), np.roll(sketch, 2, axis=1)
    return Triads(*(array.astype(np.int32) for array in arrays))


def draw_unpaired(labels, steps, batch, seed, epoch):
    """Rows (steps, batch) int32 of unpaired sketches for an epoch: a random sketch of a random class each.

    `labels`: (n,) class indices. `seed`, `epoch`: determine what is drawn.
    """
    random = generator(seed, "unpaired", epoch)
    sketches = _rows_by_class(labels, np.unique(labels))
    groups = random.integers(len(sketches.count), size=steps * batch)
    return sketches.draw(groups, random).astype(np.int32).reshape(steps, batch)


@dataclass(frozen=True)
class _RowsByClass:
    rows: np.ndarray  # row numbers, sorted by class
    group: np.ndarray  # (rows,) position of each row's class in `classes`
    start: np.ndarray  # (classes,) position of each class's first row in `rows`
    count: np.ndarray

    @property
    def total(self):
        return len(self.rows)

    def draw(self, groups, random):
        """A random row of each given class."""
        return self.rows[self.start[groups] + (random.random(len(groups)) * self.count[groups]).astype(np.int64)]


def _rows_by_class(labels, classes):
    position = np.full(max(labels.max(), np.max(classes)) + 1, -1)
    position[classes] = np.arange(len(classes))
    group = position[labels]
    rows = np.argsort(group, kind="stable")
    rows = rows[np.searchsorted(group[rows], 0) :]
    count = np.bincount(group[rows], minlength=len(classes))
    return _RowsByClass(rows, group[rows], np.cumsum(count) - count, count)
