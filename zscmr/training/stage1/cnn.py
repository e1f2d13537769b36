"""The CNN of one modality: trained or frozen, its features, and the same network restored for search."""

import dataclasses
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from zscmr.backbones import backbone, networks
from zscmr.backbones import weights as weight_files
from zscmr.formats.dataset_directory import changed_keys, of_modality
from zscmr.inference import outputs as feature_export
from zscmr.training import strategies
from zscmr.training.compiled import fastest
from zscmr.training.stage1 import classifier
from zscmr.training.stage1 import end_to_end as joint
from zscmr.training.stage1.augmentation import warped
from zscmr.training.stage1.student import (
    Modality,
    bare_system,
    build_student,
    has_own_space,
    in_own_space,
    objective,
    read_class_vectors,
)
from zscmr.utils.console import say
from zscmr.utils.files import read_json, whole_file, write_json
from zscmr.utils.seeds import generator

UNFINISHED = ".part-stage1"  # in --out: checkpoints and features on the way, of the command in its provenance.json


class Made(NamedTuple):
    features: np.ndarray  # (n, F) float32
    readable: np.ndarray  # (n,) bool: the picture could be decoded
    weights: Path | None  # file with the trained CNN, pictures -> features


def features_of(modality, tree, taught, settings, weights, provenance, strategy):
    """`Made` of the pictures of `tree` from a CNN that learns the classes `taught` under `strategy`.

    A call with the same provenance resumes a stopped one. Weights are None for a worker that is not the chief.
    """
    # from scratch the two CNNs start from unrelated weights: what aligns their features is stage II, not a shared
    # start; from a weight file they start alike, and so do the layers after it, which keeps them aligned
    seed = settings.seed if weights else int(generator(settings.seed, f"{modality} CNN").integers(2**31))
    work = _workplace(settings.out, provenance) / modality
    provenance = of_modality(provenance, modality)
    if settings.trained_part in ("nothing", "head"):
        vectors, readable = _backbone_output(modality, tree, settings, seed, weights, provenance, strategy)
        if settings.trained_part == "nothing":
            return Made(vectors, readable, None)
        output = vectors, readable
        return _with_trained_head(work, modality, tree, taught, settings, seed, weights, output, strategy)
    return _with_trained_backbone(work, modality, tree, taught, settings, seed, weights, provenance, strategy)


def _workplace(out, provenance):
    """The chief's folder of unfinished work; that of this process is emptied unless it is of the same provenance."""
    path = own_folder(out) / "provenance.json"
    if not path.exists() or changed_keys(read_json(path), provenance):
        shutil.rmtree(path.parent, ignore_errors=True)
        write_json(path, provenance)
    return out / UNFINISHED


def own_folder(out):
    """The folder of unfinished work of this process: no two workers write the same arrays."""
    return out / (UNFINISHED if strategies.is_chief() else f"{UNFINISHED}-worker{strategies.Workers(None).number}")


def _backbone_output(modality, tree, settings, seed, weights, provenance, strategy):
    """Output of the frozen backbone, shared by all settings of what follows it."""
    folder = (settings.cache or settings.out / "backbone") / modality
    identity = {key: provenance[key] for key in ("backbone", "weights_sha256", "pool", "shrink")}
    identity |= {"pictures": provenance["pictures"][modality], "seed": None if weights else seed}
    identity |= {key: provenance[key] for key in ("size", "ink") if key in provenance}

    def make():
        devices = strategies.of_this_process(strategy)
        return fastest(_body(settings, seed, weights, devices), len(tree.files), devices)

    return _outputs(folder, identity, make, modality, tree, settings, provenance, strategy)


def _outputs(folder, identity, make_network, modality, tree, settings, provenance, strategy):
    """(vectors, readable) of a modality's pictures, which the workers of `strategy` share; the chief keeps them in
    `folder`. `make_network`: of `feature_export.outputs`; not all workers call it."""
    workers = strategies.Workers(strategy) if strategies.several_workers() else None
    if not strategies.is_chief():
        folder = own_folder(settings.out) / modality
    reading = feature_export.Reading(preprocessing(provenance, modality), settings.batch_size, settings.shrink)
    return feature_export.outputs(folder, identity, make_network, reading, tree.paths(), modality, workers)


def preprocessing(provenance, modality):
    """How a picture of a modality is scaled and cropped; `provenance`: contents of pictures.json that hold for it."""
    usual = backbone(provenance["backbone"]).preprocessing
    ink = provenance.get("ink") if modality == "sketch" else None
    return dataclasses.replace(usual, size=provenance.get("size") or usual.size, ink=ink)


def _body(settings, seed, weights, strategy=None):
    """The backbone with its pool, the same at every call, for the devices of `strategy`."""
    _count_layers_anew()
    with (strategy or tf.distribute.get_strategy()).scope():
        return _pooled_backbone(settings, seed, weights)


def _count_layers_anew():
    """Layers without a name are numbered from here on, as in weight files. Not within the scope of a strategy."""
    policy = keras.mixed_precision.global_policy()
    keras.utils.clear_session()
    keras.mixed_precision.set_global_policy(policy)


def _pooled_backbone(settings, seed, weights, trained_part=None):
    """`trained_part`: "last-block" freezes all below it."""
    keras.utils.set_random_seed(seed)
    body = networks.build(settings.backbone, weights, settings.size)
    if trained_part == "last-block":
        classifier.freeze_below(body, backbone(settings.backbone).last_block)
    return networks.pooled(body, settings.pool, backbone(settings.backbone).special)


def _with_trained_head(work, modality, tree, taught, settings, seed, weights, output, strategy):
    vectors, readable = output
    allowed = np.flatnonzero(np.isin(tree.labels, taught))
    lesson = classifier.Lesson(
        lambda rows: (vectors[allowed[rows]], readable[allowed[rows]]), tree.labels[allowed], taught, augment=None
    )
    say(f"{modality}: a head of {settings.dense} on {settings.backbone} learns {len(taught)} classes")
    with strategy.scope():
        keras.utils.set_random_seed(seed)
        head = networks.head(vectors.shape[1], settings.dense, settings.pool == "average")
        classifier.train_classifier(head, lesson, settings, backbone(settings.backbone).head, seed, work, modality)
    file = None
    if strategies.is_chief():
        body = _body(settings, seed, weights)
        file = _save(keras.Model(body.input, head(body.output)), work)
    return Made(head_outputs(head, vectors), readable, file)


def _with_trained_backbone(work, modality, tree, taught, settings, seed, weights, provenance, strategy):
    entry = backbone(settings.backbone)
    say(f"{modality}: {settings.backbone} ({settings.trained_part}) learns {len(taught)} classes")
    allowed = tree.take(np.isin(tree.labels, taught))
    lesson = classifier.Lesson(
        classifier.picture_source(allowed.paths(), preprocessing(provenance, modality), settings.shrink),
        allowed.labels,
        taught,
        augment=lambda images, noise: warped(images, noise, modality, entry.recipe.warp),
    )
    _count_layers_anew()
    with strategy.scope():
        model = _pooled_backbone(settings, seed, weights, settings.trained_part)
        if settings.dense:
            head = networks.head(model.output_shape[1], settings.dense, settings.pool == "average")
            model = keras.Model(model.input, head(model.output))
        classifier.train_classifier(model, lesson, settings, entry.recipe, seed, work, modality)
    return _exported(model, work, modality, tree, settings, provenance, strategy)


def _exported(model, work, modality, tree, settings, provenance, strategy):
    """`Made` of a trained network, pictures → features."""
    file = _save(model, work) if strategies.is_chief() else None

    def make():
        return fastest(model, len(tree.files), strategy)

    return Made(*_outputs(work / "features", provenance, make, modality, tree, settings, provenance, strategy), file)


def joint_features(trees, taught, held_out, settings, weights, provenance, strategy):
    """{modality: `Made`} of networks trained end to end on the pictures of `trees` (`end_to_end.py`).

    A call with the same provenance resumes a stopped one.
    """
    work = _workplace(settings.out, provenance)
    entry = backbone(settings.backbone)
    recipe = dataclasses.replace(entry.joint, learning_rate=settings.learning_rate)
    preset = objective(settings)
    sides = {
        modality: Modality(
            tuple(tree.paths()),
            tree.labels,
            dataclasses.replace(preprocessing(of_modality(provenance, modality), modality), size=settings.train_size),
            settings.shrink,
        )
        for modality, tree in trees.items()
    }
    vectors = read_class_vectors(settings, [trees["photo"].classes[label] for label in taught])
    classifier = entry.classifier(weights) if entry.classifier and weights else None
    # square roots are taken after training, whose classifier is of the average
    pool = "average" if settings.pool == "root" else settings.pool
    training = dataclasses.replace(settings, pool=pool, size=settings.train_size)
    _count_layers_anew()
    with strategy.scope():
        student, teacher = build_student(
            lambda: _pooled_backbone(training, settings.seed, weights),
            classifier,
            settings,
            preset.constants,
            recipe,
            sides,
            taught,
            vectors,
        )
        joint.train(
            *(student, teacher, sides, taught, held_out, vectors, preset, recipe),
            *(settings.seed, work / "joint"),
        )
    made = {}
    for modality, network in (("photo", student.photo_network), ("sketch", student.sketch_network)):
        model = _body(settings, settings.seed, None, strategy)
        model.set_weights(network.get_weights())
        if student.own_space:
            model = in_own_space(model, student.system, modality)
        made[modality] = _exported(model, work / modality, modality, trees[modality], settings, provenance, strategy)
    return made


def restored(provenance, modality, weights):
    """The CNN of a dataset, pictures of a modality -> features.

    `provenance`: contents of pictures.json that hold for its modality. `weights`: the file given for a frozen
    backbone, or left by `write_dataset` for a trained one.
    """
    settings = SimpleNamespace(backbone=provenance["backbone"], pool=provenance["pool"], size=provenance.get("size"))
    if provenance["train"] == "nothing":
        return _body(settings, 0, weights)
    model = _body(settings, 0, None)
    if provenance["dense"]:
        head = networks.head(model.output_shape[1], provenance["dense"], provenance["pool"] == "average")
        model = keras.Model(model.input, head(model.output))
    if provenance["train"] == "joint" and has_own_space(trained := SimpleNamespace(**provenance)):
        model = in_own_space(model, bare_system(trained, model.output_shape[1]), modality)
    weight_files.load(model, weights)
    return model


def head_outputs(head, vectors, block=1024):
    """Outputs (n, dense) of a head for vectors (n, F), which may be memory-mapped and larger than memory."""
    starts = range(0, len(vectors), block)
    return np.concatenate([head(np.asarray(vectors[start : start + block])).numpy() for start in starts])


def _save(model, work):
    with whole_file(work / "cnn.weights.h5") as part:
        model.save_weights(part)
    return work / "cnn.weights.h5"
