"""The network that end-to-end training trains: one for both modalities or one each, and the system of its objective."""

import keras
import numpy as np
import tensorflow as tf

from zscmr.datasets import word_vectors as vector_files
from zscmr.inference import outputs as feature_export
from zscmr.models import layers
from zscmr.models.base import Inputs
from zscmr.models.losses import cosine_loss, soft_cross_entropy
from zscmr.training.compiled import fastest
from zscmr.training.stage1.options import objective_module
from zscmr.training.strategies import synchronise_norms

BATCH = 64  # pictures embedded together


class Student(keras.Model):
    """Networks of pictures → features, the system on the features, and a classifier that imitates the teacher's.

    Args:
        photo: the photos' network.
        sketch: the sketches'; the same object where both share it.
        system: whose terms are the objective.
        classifier: (kernel (F, C), bias (C,)) of the teacher, None to imitate the direction of its features.
        gives_embeddings: retrieve by the system's embeddings, not by features.
        prototypes: (U, C) of 0 and 1, which of the teacher's classes show the thing that is drawn in unpaired
            sketches of U classes; None if none does.
    """

    def __init__(self, photo, sketch, system, classifier, gives_embeddings=False, prototypes=None):
        super().__init__(name="student")
        self.gives_embeddings = gives_embeddings
        self.photo_network, self.system, self.classifier = photo, system, None
        self.prototypes = tf.constant(prototypes) if prototypes is not None and prototypes.any() else None
        if sketch is not photo:
            self.own_sketch_network = sketch
        if classifier is not None:
            kernel, bias = self.teacher_classifier = [tf.constant(array) for array in classifier]
            self.classifier = layers.Linear("classifier", *kernel.shape)
            self.classifier.set_weights([kernel, bias])
        self.built = True

    @property
    def sketch_network(self):
        return self.photo_network if self.shared else self.own_sketch_network

    @property
    def shared(self):
        return not hasattr(self, "own_sketch_network")

    @property
    def networks(self):
        """The network of each modality, {"photo", "sketch"}; the same one twice where it is shared."""
        return {"photo": self.photo_network, "sketch": self.sketch_network}

    def vectors(self, images, modality):
        """What retrieves: features (n, F) of pictures, or with `gives_embeddings` the system's embeddings (n, t)."""
        features = self.networks[modality](images, training=False)
        return self.system.embed(features, modality) if self.gives_embeddings else features

    def imitation(self, features, teacher_features):
        """The teacher's term for features (n, F) of photos: by its classifier, else by the features' directions."""
        if self.classifier is None:
            return cosine_loss(features, teacher_features)
        kernel, bias = self.teacher_classifier
        return soft_cross_entropy(self.classifier(features), tf.matmul(teacher_features, kernel) + bias)

    def recognition(self, features, labels, gather):
        """How badly unpaired sketches, features (n, F), are taken for photos of what they show. Scalar, ≥ 0, in nats.

        -log of the probability that the imitated classifier gives to the `prototypes` of their labels (n,), mean over
        the whole batch's sketches that have any, 0 if none has.
        """
        shown = tf.gather(self.prototypes, labels)
        logits = self.classifier(features)
        right = tf.reduce_logsumexp(tf.where(shown > 0, logits, logits.dtype.min), axis=1)
        known = tf.cast(tf.reduce_any(shown > 0, axis=1), logits.dtype)
        losses = known * (tf.reduce_logsumexp(logits, axis=1) - right)
        total, count = tf.unstack(gather.mean(tf.stack([tf.reduce_sum(losses), tf.reduce_sum(known)])))
        return tf.math.divide_no_nan(total, count)


def build_student(make_network, classifier, options, sides, class_vectors, prototypes=None):
    """Return (`Student`, its teacher or None).

    Args:
        make_network: function without arguments → the network before training, pictures → pooled features.
        classifier: (kernel (F, C), bias (C,)) of that network's published classifier, or None.
        options: `EndToEndOptions`.
        sides: {"photo", "sketch"} `PictureSet` of the trained classes; in ZSCMR's objectives the features that the
            untrained network gives them are scaled to unit variance.
        class_vectors: (C, S) of the trained classes.
        prototypes: of `Student`, (U, C) or None.
    """
    photo = _named(make_network(), "network" if options.shared else "photo_network")
    sketch = photo if options.shared else _named(make_network(), "sketch_network")
    teacher = make_network() if options.recipe.teacher else None
    rows = [np.zeros((1, photo.output_shape[1]), np.float32)] * 2
    gives_embeddings = options.spec.gives_embeddings
    if gives_embeddings:
        rows = [_features(sides[key], photo) for key in ("photo", "sketch")]
    keras.utils.set_random_seed(options.seed)
    no_edges = np.empty((0, 2), np.int64)
    inputs = Inputs(*rows, class_vectors, no_edges)
    system = objective_module(options.spec.objective).build(options.preset.constants, inputs)
    for network in (photo, sketch):
        freeze(network, options.recipe.first_trained, options.recipe.norms_trained)
    if teacher is None:
        classifier = prototypes = None
    return Student(photo, sketch, system, classifier, gives_embeddings, prototypes), teacher


def freeze(network, first_trained, norms_trained):
    """Freeze the layers before the first whose name begins with `first_trained` ("": none), and all batch
    normalisations unless `norms_trained`."""
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


def vectors_of_classes(file, classes):
    """Vectors (C, S) of class names from the file of --vectors, or zeros (C, 1) for None."""
    if file is None:
        return np.zeros((len(classes), 1), np.float32)
    blocks = vector_files.class_vectors(file, classes, (), {})
    return np.concatenate([rows for _, rows in blocks], axis=1).astype(np.float32)


def with_system(network, system, modality):
    """`network` of pictures to features (n, F), ending in the embeddings (n, t) of a `ZSCMR`."""
    return keras.Model(network.input, system.branch(modality)(network.output))


def bare_system(objective, width):
    """The system of an objective with its own space for features of `width`, its weights to be restored."""
    rows, no_edges = np.zeros((1, width), np.float32), np.empty((0, 2), np.int64)
    module = objective_module(objective)
    constants = module.PRESETS[objective].constants
    return module.build(constants, Inputs(rows, rows, np.zeros((1, 1), np.float32), no_edges))


def _named(network, name):
    return keras.Model(network.input, network.output, name=name)


def _features(modality, network):
    """Features (n, F) of the readable pictures of a `PictureSet`."""
    reading = feature_export.Reading(modality.preprocessing, BATCH, modality.shrink)
    vectors, readable = feature_export.outputs_now(fastest(network, len(modality.paths)), reading, modality.paths)
    return vectors[readable]
