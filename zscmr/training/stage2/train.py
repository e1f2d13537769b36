"""Train a system on the features of a dataset, from the newest checkpoint on."""

import json

import keras
import numpy as np
import tensorflow as tf

from zscmr.datasets import batches
from zscmr.datasets.class_graph import class_graph
from zscmr.evaluation.scoring import score_across
from zscmr.models.base import Inputs
from zscmr.training.sources import TrainingRows, embed_features, make_source
from zscmr.training.stage2 import tensorboard
from zscmr.training.stage2.restore import build_model
from zscmr.training.state import State, restore_newest
from zscmr.training.steps import EpochRunner
from zscmr.training.strategies import check_share
from zscmr.utils.console import Progress, say
from zscmr.utils.errors import BadInput
from zscmr.utils.files import whole_file


def build_state(options, preset, dataset, split):
    """The system with fresh weights and its optimizers, as a `State`; to be called under the strategy's scope.

    Raises BadInput where the devices cannot share a batch equally, or --epochs is for a system without loss terms.
    """
    if preset.epochs and not preset.constants.terms:
        raise BadInput(f"--epochs {preset.epochs}: --preset {options.preset} trains nothing")
    steps, pairs = batches.draw_epoch(dataset, split, preset, options.seed, 1).photo.shape if preset.epochs else (0, 0)
    check_share(pairs, tf.distribute.get_strategy())  # a balanced batch may be smaller than --batch-size
    rate = preset.learning_rate
    if preset.schedule == "cosine" and preset.epochs:
        rate = keras.optimizers.schedules.CosineDecay(rate, preset.epochs * steps)
    photos, sketches = (
        TrainingRows(items.features, items.labels, np.flatnonzero(np.isin(items.labels, split.seen)))
        for items in (dataset.photo, dataset.sketch)
    )
    edges = class_graph(dataset, split) if preset.constants.wants_graph else np.empty((0, 2), np.int64)
    inputs = Inputs(photos, sketches, dataset.class_vectors[split.seen], edges, dataset.classifier)
    model = build_model(options, preset, inputs)
    return State(model, model.parameter_groups(rate))


def train_system(state, options, preset, folder, dataset, split, chief=True):
    """Train from the newest checkpoint in `folder`, if any, to the last epoch; `state` ends with the best weights.

    Writes metrics.jsonl and checkpoints/ after each epoch. Raises BadInput when a loss term is not finite.

    Args:
        state: `State` of `build_state`.
        options, preset: of `with_preset`; `options.resume`: go on from the newest checkpoint.
        folder: run directory.
        dataset, split: `loader.Dataset` and `Split`.
        chief: False for a worker that neither writes nor scores; its state does not end with the best weights.
    """
    saved = tf.train.Checkpoint(state=state)
    _ = saved.save_counter  # creates a variable: all workers have to do so at the same time
    checkpoints = tf.train.CheckpointManager(saved, folder / "checkpoints", max_to_keep=2)
    metrics = folder / "metrics.jsonl"
    if not preset.epochs:
        if chief:
            _keep_epochs(metrics, 0)
            if not checkpoints.latest_checkpoint:
                state.note_score(0.0)
                checkpoints.save(0)
        return
    if options.resume and restore_newest(saved, checkpoints, state):
        say(f"going on after epoch {int(state.epoch.numpy())} of {folder}")
    if chief:
        _keep_epochs(metrics, int(state.epoch.numpy()))
        board = tensorboard.open_log(folder)
    names = preset.constants.terms
    source = make_source(dataset, split.seen, state.model, options.resident_limit)
    run_epoch = EpochRunner(state, source, names, preset.weights, options.seed, options.jit)
    with Progress("training, epoch", preset.epochs) as progress:
        for epoch in range(int(state.epoch.numpy()) + 1, preset.epochs + 1):
            triads = batches.draw_epoch(dataset, split, preset, options.seed, epoch)
            values = run_epoch(triads, first=(epoch - 1) * len(triads.photo))
            line = {"epoch": epoch, **{name: float(value) for name, value in zip(names, values, strict=True)}}
            _stop_unless_finite(line, folder)
            state.epoch.assign(epoch)
            if not chief:
                continue
            if len(split.held_out):
                line["held_out_mAP"] = held_out_score(preset, dataset, split, state.model)
            state.note_score(line.get("held_out_mAP", float(epoch)))  # without held-out classes the last epoch is best
            with open(metrics, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            checkpoints.save(epoch)
            if board:
                board.scalars(line)
            progress.update(epoch, "  ".join(f"{name} {line[name]:.3f}" for name in line if name != "epoch"))
    if chief:
        state.restore_best()


def _keep_epochs(metrics, epochs):
    """Drop the lines of epochs after the checkpoint, which are trained again."""
    lines = metrics.read_text(encoding="utf-8").splitlines(keepends=True) if metrics.exists() else []
    with whole_file(metrics) as part:
        part.write_text("".join(lines[:epochs]), encoding="utf-8")


def _stop_unless_finite(line, folder):
    for name, value in line.items():
        if not np.isfinite(value):
            raise BadInput(
                f"epoch {line['epoch']}: loss term '{name}' is {value}; {folder}/checkpoints keeps epoch "
                f"{line['epoch'] - 1}, a lower --learning-rate may help"
            )


def held_out_score(preset, dataset, split, model):
    """mAP@all, mean of sketch->image and image->sketch, on the held-out seen classes."""
    photo, sketch = (np.isin(items.labels, split.held_out) for items in (dataset.photo, dataset.sketch))
    return score_across(
        embed_features(model.embed_photos, dataset.photo.features[photo]),
        embed_features(model.embed_sketches, dataset.sketch.features[sketch]),
        dataset.photo.labels[photo],
        dataset.sketch.labels[sketch],
        preset.distance,
    )
