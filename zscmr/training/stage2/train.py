"""Stage II: CNN features and class vectors -> a trained system -> embeddings of all pictures."""

import dataclasses
import hashlib
import json

import keras
import numpy as np
import tensorflow as tf

from zscmr import models
from zscmr.datasets import batches
from zscmr.datasets.class_graph import class_graph
from zscmr.datasets.classes import leak
from zscmr.evaluation.embedding_files import relative_place
from zscmr.evaluation.scoring import score_across
from zscmr.formats import matfiles, runs
from zscmr.models.base import Inputs
from zscmr.training.sources import TrainingRows, embed, make_source
from zscmr.training.stage2 import outcome as tensorboard
from zscmr.training.stage2.options import TrainingOptions, resolve
from zscmr.training.state import State, load_best_weights, restore_newest
from zscmr.training.steps import POLICIES, compile_epoch
from zscmr.training.strategies import check_share
from zscmr.utils.console import Progress, say
from zscmr.utils.errors import BadInput
from zscmr.utils.files import whole_file


def build_state(settings, preset, dataset, split):
    """The system with fresh weights and its optimisers, as a `State`; to be called under the strategy's scope.

    Raises BadInput where the devices cannot share a batch equally.
    """
    steps, rows = batches.draw_epoch(dataset, split, preset, settings.seed, 1).photo.shape if preset.epochs else (0, 0)
    check_share(rows, tf.distribute.get_strategy())  # balanced batches have two rows a class, at most
    rate = preset.learning_rate
    if preset.schedule == "cosine" and preset.epochs:
        rate = keras.optimizers.schedules.CosineDecay(rate, preset.epochs * steps)
    photos, sketches = (
        TrainingRows(items.features, items.labels, np.flatnonzero(np.isin(items.labels, split.seen)))
        for items in (dataset.photo, dataset.sketch)
    )
    edges = class_graph(dataset, split) if preset.constants.wants_graph else np.empty((0, 2), np.int64)
    inputs = Inputs(photos, sketches, dataset.class_vectors[split.seen], edges, dataset.classifier)
    model = build_model(settings, preset, inputs)
    return State(model, model.players(rate))


def build_model(settings, preset, inputs):
    """The system with weights drawn from the seed, in the precision of the settings."""
    keras.config.set_dtype_policy(POLICIES[settings.precision])
    keras.utils.set_random_seed(settings.seed)
    return models.system(settings.model).build(preset.constants, inputs)


def train(state, settings, preset, folder, dataset, split, chief=True):
    """Train from the newest checkpoint in `folder`, if any, to the last epoch; `state` ends with the best weights.

    Writes metrics.jsonl and checkpoints/ after each epoch. A process that is not `chief` writes and scores nothing,
    and its state is of no use. Raises BadInput when a loss term is not finite.
    """
    saved = tf.train.Checkpoint(state=state)
    _ = saved.save_counter  # a variable made at first use; under several workers all have to make it, at the same time
    checkpoints = tf.train.CheckpointManager(saved, folder / "checkpoints", max_to_keep=2)
    if settings.resume and restore_newest(saved, checkpoints, state):
        say(f"going on after epoch {int(state.epoch.numpy())} of {folder}")
    metrics = folder / "metrics.jsonl"
    if chief:
        _keep_epochs(metrics, int(state.epoch.numpy()))
        board = tensorboard.open_log(folder)
    if not preset.epochs:
        if chief and not checkpoints.latest_checkpoint:
            state.note_score(0.0)
            checkpoints.save(0)
        return
    names = preset.constants.terms
    source = make_source(dataset, split.seen, state.model, settings.resident_limit)
    run_epoch = compile_epoch(state, source, names, preset.weights, settings.seed, settings.jit)
    with Progress("training, epoch", preset.epochs) as progress:
        for epoch in range(int(state.epoch.numpy()) + 1, preset.epochs + 1):
            triads = batches.draw_epoch(dataset, split, preset, settings.seed, epoch)
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
            board.scalars(line)
            progress.update(epoch, "  ".join(f"{name} {line[name]:.3f}" for name in line if name != "epoch"))
    if chief:
        state.restore_best()


def _keep_epochs(metrics, epochs):
    """Drop the lines of epochs after the checkpoint: they will be trained, and written, again."""
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
        embed(model.embed_photos, dataset.photo.features[photo]),
        embed(model.embed_sketches, dataset.sketch.features[sketch]),
        dataset.photo.labels[photo],
        dataset.sketch.labels[sketch],
        preset.distance,
    )


def export_embeddings(folder, preset, dataset, split, model):
    """Write unified_features.mat: embeddings of all pictures, seen and unseen, in the order of the feature files."""
    pictures = {key: dataset.provenance.get(key, "") for key in ("photos", "sketches")}
    matfiles.write(
        folder / runs.EMBEDDINGS,
        {
            "featuresx": embed(model.embed_photos, dataset.photo.features),
            "featuresy": embed(model.embed_sketches, dataset.sketch.features),
            "labelsx": dataset.photo.labels[:, None],
            "labelsy": dataset.sketch.labels[:, None],
            "unseen": split.unseen[:, None],
            "classes": dataset.classes,
            **({"namesx": dataset.photo.names} if dataset.photo.names else {}),
            **({"namesy": dataset.sketch.names} if dataset.sketch.names else {}),
            "picturesx": pictures["photos"],
            "picturesy": pictures["sketches"],
            "picturesx_relative": relative_place(pictures["photos"], folder),
            "picturesy_relative": relative_place(pictures["sketches"], folder),
            "distance": preset.distance,
            "leaked": cnn_leak(dataset, split),
        },
    )


def cnn_leak(dataset, split):
    """A sentence on the unseen classes that the CNNs were trained on; empty if there are none, or nothing is known."""
    unseen = [dataset.classes[label] for label in split.unseen]
    return leak("the CNNs were", dataset.provenance.get("trained_on", ()), unseen)


def describe_dataset(dataset):
    """The entry on a dataset in config.json: directory, widths of its features, digest."""
    return {
        "directory": str(dataset.directory.resolve()),
        "photo": dataset.photo.features.shape[1],
        "sketch": dataset.sketch.features.shape[1],
        "class_vectors": dataset.class_vectors.shape[1],
        "classifier": 0 if dataset.classifier is None else dataset.classifier.shape[1],
        "features_sha256": features_digest(dataset).hexdigest(),
    }


def features_digest(dataset):
    """SHA-256 object over features, labels, class vectors and classifier: all that training reads."""
    digest = hashlib.sha256()
    sides = (dataset.photo, dataset.sketch)
    arrays = [array for items in sides for array in (items.features, items.labels)] + [dataset.class_vectors]
    for array in arrays if dataset.classifier is None else (*arrays, dataset.classifier):
        digest.update(f"{array.dtype} {array.shape}".encode())
        for start in range(0, len(array), 4096):  # a memory map is read in pieces
            digest.update(np.ascontiguousarray(array[start : start + 4096]).data)
    return digest


def stored_preset(folder):
    """(settings, preset) that the run in `folder` was started with."""
    return resolve(TrainingOptions(**runs.Run(folder).settings(TrainingOptions)))


def load_model(folder):
    """The model of the run in `folder` with the weights of the chosen epoch, computing in float32.

    Needs the run alone, not its dataset.
    """
    config = runs.Run(folder).config()
    settings, preset = stored_preset(folder)
    policy = keras.config.dtype_policy()
    widths, seen = config["dataset"], len(config["classes"]["seen"])
    photos, sketches = (
        TrainingRows(np.zeros((1, widths[modality]), np.float32), np.zeros(1, int), np.arange(1))
        for modality in ("photo", "sketch")
    )
    vectors, no_edges = np.ones((seen, widths["class_vectors"]), np.float32), np.empty((0, 2), np.int64)
    taught = widths.get("classifier", 0)
    classifier = np.zeros((widths["photo"], taught), np.float32) if taught else None
    try:
        settings = dataclasses.replace(settings, precision="float32")
        inputs = Inputs(photos, sketches, vectors, no_edges, classifier)
        model = build_model(settings, preset, inputs)  # its weights are restored
    finally:
        keras.config.set_dtype_policy(policy)
    load_best_weights(model, folder / "checkpoints")
    return model
