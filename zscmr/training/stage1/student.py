"""The network that joint training trains: its modalities, freezing, averages, and the system of its objective."""

import dataclasses
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from zscmr import models
from zscmr.datasets import pictures
from zscmr.datasets import word_vectors as vector_files
from zscmr.inference import outputs as feature_export
from zscmr.models import layers
from zscmr.models.base import Inputs
from zscmr.models.presets import term_weights
from zscmr.training.compiled import fastest
from zscmr.training.strategies import synchronise_norms

BATCH = 64  # pictures embedded together


@dataclass(frozen=True)
class Modality:
    """The pictures of one modality: `paths` n files, `labels` (n,) class indices, and how they are decoded."""

    paths: tuple
    labels: np.ndarray
    preprocessing: pictures.Preprocessing
    shrink: int | None = None

    def read(self, rows):
        """(pictures (n, size, size, 3) uint8, readable (n,) bool) of row numbers."""
        return pictures.read_pictures([self.paths[row] for row in rows], self.preprocessing, self.shrink)

    def take(self, keep):
        """The modality reduced to the rows where the boolean mask `keep` (n,) is true."""
        paths = tuple(path for path, kept in zip(self.paths, keep, strict=True) if kept)
        return Modality(paths, self.labels[keep], self.preprocessing, self.shrink)


class Student(keras.Model):
    """The network of each modality, one object if they share it, the system on its features, and a classifier that
    imitates the teacher's; `classifier`: the (kernel (F, C), bias (C,)) of that, or None. `own_space`: the system's
    embeddings, not the features, are what the network is trained for."""

    def __init__(self, photo, sketch, system, classifier, own_space=False):
        super().__init__(name="student")
        self.own_space = own_space
        self.photo_network, self.system, self.classifier = photo, system, None
        if sketch is not photo:
            self.own_sketch_network = sketch
        if classifier is not None:
            kernel, bias = self.taught_classifier = [tf.constant(array) for array in classifier]
            self.classifier = layers.Linear("classifier", *kernel.shape)
            self.classifier.set_weights([kernel, bias])
        self.built = True

    @property
    def sketch_network(self):
        return getattr(self, "own_sketch_network", self.photo_network)

    @property
    def shared(self):
        return self.sketch_network is self.photo_network

    def vectors(self, images, modality):
        """What retrieves: features of pictures, or with `own_space` the system's embeddings (n, t)."""
        features = getattr(self, f"{modality}_network")(images, training=False)
        return self.system.embed(features, modality) if self.own_space else features


class Averages(tf.Module):
    """Exponential averages of variables over the steps, fresh ones weighing more at the start."""

    def __init__(self, variables, decay):
        super().__init__()
        self.decay = decay
        self.variables_ = list(variables)
        self.values = [tf.Variable(variable.numpy(), trainable=False) for variable in self.variables_]

    def update(self, step):
        step = tf.cast(step, tf.float32)
        decay = tf.minimum(self.decay, (1 + step) / (10 + step))
        for value, variable in zip(self.values, self.variables_, strict=True):
            moved = value + (1 - decay) * (variable.value - value)
            tf.raw_ops.AssignVariableOp(resource=value.handle, value=moved)

    def swap(self):
        """Exchange the variables with their averages; twice is not at all."""
        for value, variable in zip(self.values, self.variables_, strict=True):
            now = variable.numpy()
            variable.assign(value.numpy())
            value.assign(now)


def freeze(network, first_trained, norms_trained):
    """Leave the layers from the first whose name begins with `first_trained` on to be trained ("": all), and batch
    normalisations only with `norms_trained`."""
    reached = not first_trained
    for layer in network.layers:
        reached = reached or layer.name.startswith(first_trained)
        layer.trainable = reached and (norms_trained or not isinstance(layer, keras.layers.BatchNormalization))
    synchronise_norms(network)


def cut(network, first_trained):
    """(network up to the first trained layer, network from there on); the former None where all of it is trained."""
    if not first_trained:
        return None, network
    first = next((layer for layer in network.layers if layer.name.startswith(first_trained)), None)
    if first is None:
        raise ValueError(f"{network.name}: no layer begins with {first_trained}")
    return keras.Model(network.input, first.input), keras.Model(first.input, network.output)


def objective(settings):
    """The system's `Preset` that `settings`, `Stage1Options`, name, with the weight of every term, "teacher" too."""
    preset = _module(settings).PRESETS[settings.objective]
    weights = {term: preset.weights.get(term, 1.0) for term in preset.constants.terms}
    weights = term_weights(settings, weights, preset.constants) | {"teacher": settings.teacher}
    pairs = settings.batch_size // 2
    return dataclasses.replace(preset, weights=weights, epochs=settings.epochs, batch_size=pairs)


def _module(settings):
    """The system's module (`models.base`) that has the objective of `settings`."""
    return models.system("contrastive" if settings.objective == "contrast" else "zscmr")


def read_class_vectors(settings, classes):
    """Vectors (C, S) of --vectors for class names, or zeros (C, 1) where none are given."""
    if settings.vectors is None:
        return np.zeros((len(classes), 1), np.float32)
    blocks = vector_files.class_vectors(settings.vectors, classes, (), {})
    return np.concatenate([rows for _, rows in blocks], axis=1).astype(np.float32)


def build_student(make_network, classifier, settings, constants, recipe, sides, taught, class_vectors):
    """(`Student`, its teacher or None); `make_network()`: the network as it came, pictures → pooled features.
    `classifier`: (kernel (F, C), bias (C,)) on its features, or None. `constants`: of the preset of `objective`.

    The scaling of features in ZSCMR's objectives is that of the network as it came.
    """
    photo = _named(make_network(), "network" if settings.share == "all" else "photo_network")
    sketch = photo if settings.share == "all" else _named(make_network(), "sketch_network")
    teacher = make_network() if settings.teacher else None
    rows = [np.zeros((1, photo.output_shape[1]), np.float32)] * 2
    if has_own_space(settings):
        rows = [_features(sides[key].take(np.isin(sides[key].labels, taught)), photo) for key in ("photo", "sketch")]
    keras.utils.set_random_seed(settings.seed)
    no_edges = np.empty((0, 2), np.int64)
    system = _module(settings).build(constants, Inputs(*rows, class_vectors, no_edges))
    for network in (photo, sketch):
        freeze(network, recipe.first_trained, recipe.norms_trained)
    return Student(photo, sketch, system, None if teacher is None else classifier, has_own_space(settings)), teacher


def has_own_space(settings):
    """Whether training under `settings` ends in embeddings: under ZSCMR's objectives."""
    return settings.objective != "contrast"


def in_own_space(network, system, modality):
    """`network` of pictures to features (n, F), ending in the embeddings (n, t) of a `ZSCMR`."""
    return keras.Model(network.input, system.branch(modality)(network.output))


def bare_system(settings, width):
    """The system of an objective with its own space for features of `width`, its weights to be restored."""
    rows, no_edges = np.zeros((1, width), np.float32), np.empty((0, 2), np.int64)
    constants = _module(settings).PRESETS[settings.objective].constants
    return _module(settings).build(constants, Inputs(rows, rows, np.zeros((1, 1), np.float32), no_edges))


def _named(network, name):
    return keras.Model(network.input, network.output, name=name)


def _features(side, network):
    """Features (n, F) of the readable pictures of a `Modality`."""
    reading = feature_export.Reading(side.preprocessing, BATCH, side.shrink)
    vectors, readable = feature_export.outputs_now(fastest(network, len(side.paths)), reading, side.paths)
    return vectors[readable]
