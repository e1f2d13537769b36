"""Features of one modality's pictures, or of both together: training, export, and what a stopped call has done."""

import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from zscmr.backbones import imagenet
from zscmr.formats.dataset_directory import changed_keys, of_modality
from zscmr.inference import outputs as feature_export
from zscmr.training import strategies
from zscmr.training.compiled import Compiled, fastest
from zscmr.training.stage1 import classifier
from zscmr.training.stage1.augmentation import warped
from zscmr.training.stage1.cnn import (
    averaged_over_views,
    build_body,
    dense_head,
    head_outputs,
    joined,
    pooled_backbone,
    renumber_layers,
)
from zscmr.training.stage1.end_to_end import EndToEndTrainer, read_training_set
from zscmr.training.stage1.examples import Redrawing
from zscmr.training.stage1.options import ClassifierOptions, FrozenOptions
from zscmr.training.stage1.student import build_student, vectors_of_classes, with_system
from zscmr.utils.console import say
from zscmr.utils.errors import BadInput
from zscmr.utils.files import read_json, whole_file, write_json
from zscmr.utils.seeds import generator

UNFINISHED = ".part-stage1"  # in --out: checkpoints and features on the way, of the command in its provenance.json
VERSION = 2  # of unfinished work; that of another version is begun anew
BLOCK = 4096  # rows of features checked at once


class CnnFeatures(NamedTuple):
    """What stage I makes of one modality's pictures."""

    vectors: np.ndarray  # (n, F) float32
    readable: np.ndarray  # (n,) bool: the picture could be resized
    weights: Path | None  # file with the trained CNN, pictures → features; None if frozen, or not the chief's


@dataclass(frozen=True)
class Workplace:
    """Where a call keeps its unfinished work, and the devices it computes on.

    Args:
        out: the dataset directory.
        cache: folder for outputs of frozen backbones, which other settings share; None: OUT/backbone.
        provenance: contents of pictures.json; work of another is removed by `open_workplace`.
        strategy: of TensorFlow.
    """

    out: Path
    cache: Path | None
    provenance: dict
    strategy: tf.distribute.Strategy

    @property
    def folder(self):
        """The chief's folder of unfinished work."""
        return self.out / UNFINISHED

    @property
    def worker_folder(self):
        """The folder of this process: no two workers write the same arrays."""
        if strategies.is_chief():
            return self.folder
        return self.out / f"{UNFINISHED}-worker{strategies.Workers(None).number}"

    def outputs(self, folder, identity, make_network, modality, batch):
        """(vectors, readable) of a `PictureSet`, which the workers share; the chief keeps them in `folder`.

        `identity`, `make_network`: of `feature_export.outputs`; not all workers call the latter.
        """
        workers = strategies.Workers(self.strategy) if strategies.several_workers() else None
        return feature_export.outputs(
            folder if strategies.is_chief() else self.worker_folder / modality.name,
            identity,
            make_network,
            feature_export.Reading(modality.preprocessing, batch, modality.shrink),
            list(modality.paths),
            modality.name,
            workers,
        )


def open_workplace(out, cache, provenance, strategy):
    """Return a `Workplace`; empty the folder of this process unless it is of the same provenance."""
    workplace = Workplace(out, cache, provenance, strategy)
    path, content = workplace.worker_folder / "provenance.json", {**provenance, "version": VERSION}
    if not path.exists() or changed_keys(read_json(path), content):
        shutil.rmtree(path.parent, ignore_errors=True)
        write_json(path, content)
    return workplace


def features_of(modality, classes, options, workplace):
    """`CnnFeatures` of a `PictureSet` from a frozen CNN, or one that learns `classes`; resumes a stopped call."""
    # from scratch the two CNNs start from unrelated weights: what aligns their features is stage II, not a shared
    # start; from a weight file they start alike, and so do the layers after it, which keeps them aligned
    seed = options.seed
    if not options.spec.weights:
        seed = int(generator(seed, f"{modality.name} CNN").integers(2**31))
    options = dataclasses.replace(options, seed=seed)
    if isinstance(options, FrozenOptions):
        return _checked(modality, CnnFeatures(*_backbone_output(modality, options, workplace), None))
    assert isinstance(options, ClassifierOptions)
    make = _trained_head if options.spec.train == "head" else _trained_backbone
    return make(modality, classes, options, workplace)


def _backbone_output(modality, options, workplace):
    """(vectors, readable) of the frozen backbone, shared by all settings of what follows it."""
    spec = options.spec
    identity = {
        "backbone": spec.entry.name,
        "weights_sha256": spec.weights_sha256,
        "pool": spec.pool,
        "shrink": spec.shrink,
        "pictures": workplace.provenance["pictures"][modality.name],
        "seed": None if spec.weights else options.seed,
    }
    rare = {"size": spec.size, "ink": spec.ink, "precision": spec.precision if spec.precision != "float32" else None}
    identity |= {key: value for key, value in rare.items() if value is not None}

    def make():
        devices = strategies.of_this_process(workplace.strategy)
        return _ready(build_body(spec, options.seed, devices), spec, modality, devices)

    folder = (workplace.cache or workplace.out / "backbone") / modality.name
    return workplace.outputs(folder, identity, make, modality, options.batch_size)


def _ready(model, spec, modality, strategy):
    """`model` made ready for all pictures of a modality."""
    if spec.precision != "float32":  # LiteRT's graphs compute in float32
        return Compiled(model, strategy)
    return fastest(model, len(modality.paths), strategy)


def _trained_head(modality, classes, options, workplace):
    vectors, readable = _backbone_output(modality, options, workplace)
    spec, folder = options.spec, workplace.folder / modality.name
    allowed = np.flatnonzero(np.isin(modality.labels, classes))
    training_set = classifier.LabelledInputs(
        lambda rows: (vectors[allowed[rows]], readable[allowed[rows]]), modality.labels[allowed], classes, augment=None
    )
    say(f"{modality.name}: a head of {spec.dense} on {spec.entry.name} learns {len(classes)} classes")
    with workplace.strategy.scope():
        keras.utils.set_random_seed(options.seed)
        head = dense_head(spec, vectors.shape[1])
        classifier.ClassifierTrainer(head, training_set, options, modality.name).fit(folder)
    file = _save(joined(build_body(spec, options.seed), head), folder) if strategies.is_chief() else None
    return _checked(modality, CnnFeatures(head_outputs(head, vectors), readable, file))


def _trained_backbone(modality, classes, options, workplace):
    spec = options.spec
    say(f"{modality.name}: {spec.entry.name} ({spec.train}) learns {len(classes)} classes")
    allowed = modality.of_classes(classes)
    training_set = classifier.LabelledInputs(
        classifier.picture_source(allowed),
        allowed.labels,
        classes,
        augment=lambda images, noise: warped(images, noise, modality.name, options.recipe.warp),
    )
    renumber_layers()
    with workplace.strategy.scope():
        model = pooled_backbone(spec, options.seed)
        if spec.dense:
            model = joined(model, dense_head(spec, model.output_shape[1]))
        classifier.ClassifierTrainer(model, training_set, options, modality.name).fit(workplace.folder / modality.name)
    return _exported(model, modality, options, workplace)


def _exported(model, modality, options, workplace):
    """`CnnFeatures` of a trained network, pictures → features."""
    folder = workplace.folder / modality.name
    file = _save(model, folder) if strategies.is_chief() else None

    def make():
        with workplace.strategy.scope():
            averaged = averaged_over_views(model, options.spec)
        return _ready(averaged, options.spec, modality, workplace.strategy)

    identity = of_modality(workplace.provenance, modality.name)
    output = workplace.outputs(folder / "features", identity, make, modality, options.batch_size)
    return _checked(modality, CnnFeatures(*output, file))


def joint_features(sides, split, names, options, workplace, unpaired=()):
    """{"photo", "sketch": `CnnFeatures`} of networks trained end to end; resumes a stopped call.

    Args:
        sides: {"photo", "sketch": `PictureSet`}; may have "unpaired", sketches of further classes, labelled from 0 on.
        split: `datasets.classes.Split`; unseen classes are neither trained on nor chosen by.
        names: of all classes.
        options: `EndToEndOptions`.
        workplace: of the call.
        unpaired: names of the classes of unpaired sketches.
    """
    spec, train_size = options.spec, options.recipe.train_size
    resized = {
        key: dataclasses.replace(side, preprocessing=dataclasses.replace(side.preprocessing, size=train_size))
        for key, side in sides.items()
    }
    class_vectors = vectors_of_classes(options.vectors, [names[label] for label in split.seen])
    networks = []
    for number, seeded in enumerate(options.of_seeds()):
        if options.soup > 1:
            say(f"network {number + 1} of {options.soup}, seed {seeded.seed}")
        folder = workplace.folder / (f"joint-{number}" if number else "joint")
        student = _trained_student(resized, split, class_vectors, seeded, workplace.strategy, folder, unpaired)
        networks.append({key: network.get_weights() for key, network in student.networks.items()})
    features = {}
    for key in student.networks:
        model = build_body(spec.with_file(None), options.seed, workplace.strategy)
        model.set_weights([np.mean(same, 0) for same in zip(*(weights[key] for weights in networks), strict=True)])
        if student.gives_embeddings:
            model = with_system(model, student.system, key)
        features[key] = _exported(model, sides[key], options, workplace)
    return features


def _trained_student(sides, split, class_vectors, options, strategy, folder, unpaired):
    """The `Student` of `options`, trained on {"photo", "sketch": `PictureSet`}, with its checkpoints in `folder`."""
    spec = options.spec
    redrawing = Redrawing(options.recipe.strokes, options.seed) if options.recipe.strokes else None
    training_set = read_training_set(sides, split, class_vectors, redrawing)
    teacher_classifier = spec.entry.classifier(spec.weights) if spec.entry.classifier and spec.weights else None
    prototypes = None
    if teacher_classifier and len(teacher_classifier[1]) == imagenet.CLASSES:
        prototypes = imagenet.membership(unpaired)
    # square roots are taken after training, whose classifier is of the average
    pool = "average" if spec.pool == "root" else spec.pool
    trained = dataclasses.replace(spec, pool=pool, size=options.recipe.train_size)
    renumber_layers()
    with strategy.scope():
        student, teacher = build_student(
            lambda: pooled_backbone(trained, options.seed),
            teacher_classifier,
            options,
            {key: sides[key].of_classes(split.seen) for key in ("photo", "sketch")},
            np.pad(class_vectors, ((0, len(unpaired)), (0, 0))),
            prototypes,
        )
        EndToEndTrainer(student, teacher, training_set, options).fit(folder)
    return student


def _checked(modality, features):
    """`features`. Raises BadInput if one of them is not finite."""
    starts = range(0, len(features.vectors), BLOCK)
    wrong = sum(np.count_nonzero(~np.isfinite(features.vectors[at : at + BLOCK]).all(1)) for at in starts)
    if wrong:
        raise BadInput(
            f"{modality.name}: {wrong} of {len(features.vectors)} features are not finite; "
            "a lower --learning-rate or --precision float32 may help"
        )
    return features


def _save(model, folder):
    with whole_file(folder / "cnn.weights.h5") as part:
        model.save_weights(part)
    return folder / "cnn.weights.h5"
