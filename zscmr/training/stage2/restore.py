"""The system of a run: built for training, or restored from the run directory alone."""

import dataclasses

import keras
import numpy as np

from zscmr import models
from zscmr.formats import runs
from zscmr.formats.dataset_directory import MODALITIES
from zscmr.models.base import Inputs
from zscmr.training.sources import TrainingRows
from zscmr.training.stage2.options import TrainingOptions, with_preset
from zscmr.training.state import load_best_weights
from zscmr.training.steps import POLICIES


def build_model(options, preset, inputs):
    """The system for `Inputs`, with weights drawn from the seed, in the precision of the options."""
    keras.config.set_dtype_policy(POLICIES[options.precision])
    keras.utils.set_random_seed(options.seed)
    return models.system(options.model, options.preset).build(preset.constants, inputs)


def stored_preset(folder):
    """(options, preset) that the run in `folder` was started with."""
    return with_preset(TrainingOptions(**runs.Run(folder).settings(TrainingOptions)))


def load_model(folder):
    """The system of the run in `folder` with the weights of the chosen epoch, computing in float32.

    Needs the run alone, not its dataset.
    """
    config = runs.Run(folder).config()
    options, preset = stored_preset(folder)
    policy = keras.config.dtype_policy()
    try:
        model = build_model(dataclasses.replace(options, precision="float32"), preset, placeholder_inputs(config))
    finally:
        keras.config.set_dtype_policy(policy)
    load_best_weights(model, folder / "checkpoints")
    return model


def placeholder_inputs(config):
    """`Inputs` of the shapes that config.json records, for a system whose weights are restored."""
    widths, seen = config["dataset"], len(config["classes"]["seen"])
    photos, sketches = (
        TrainingRows(np.zeros((1, widths[modality]), np.float32), np.zeros(1, int), np.arange(1))
        for modality in MODALITIES
    )
    vectors, no_edges = np.ones((seen, widths["class_vectors"]), np.float32), np.empty((0, 2), np.int64)
    classes = widths.get("classifier", 0)
    classifier = np.zeros((widths["photo"], classes), np.float32) if classes else None
    return Inputs(photos, sketches, vectors, no_edges, classifier)
