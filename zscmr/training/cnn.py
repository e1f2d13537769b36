"""The CNN of one modality: trained or frozen, its features, and the same network restored for search."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import keras
import numpy as np

from zscmr import feature_export
from zscmr.backbones import backbone, networks
from zscmr.backbones import weights as weight_files
from zscmr.console import say
from zscmr.files import read_json, whole_file, write_json
from zscmr.provenance import changed_keys, of_modality
from zscmr.seeds import generator
from zscmr.training import classifier
from zscmr.training.compiled import fastest
from zscmr.warp import warped

UNFINISHED = ".part-stage1"  # in --out: checkpoints and features on the way, of the command in its provenance.json


class Made(NamedTuple):
    features: np.ndarray  # (n, F) float32
    readable: np.ndarray  # (n,) bool: the picture could be decoded
    weights: Path | None  # file with the trained CNN, pictures -> features


def features_of(modality, tree, taught, settings, weights, provenance):
    """Features of the pictures of `tree` from a CNN that learns the classes `taught`.

    A call with the same provenance resumes a stopped one.
    """
    # from scratch the two CNNs start from unrelated weights: what aligns their features is stage II, not a shared
    # start; from a weight file they start alike, and so do the layers after it, which keeps them aligned
    provenance = of_modality(provenance, modality)
    seed = settings.seed if weights else int(generator(settings.seed, f"{modality} CNN").integers(2**31))
    work = _workplace(settings.out / UNFINISHED, provenance) / modality
    if settings.trained_part in ("nothing", "head"):
        vectors, readable = _backbone_output(modality, tree, settings, seed, weights, provenance)
        if settings.trained_part == "nothing":
            return Made(vectors, readable, None)
        return _with_trained_head(work, modality, tree, taught, settings, seed, weights, (vectors, readable))
    return _with_trained_backbone(work, modality, tree, taught, settings, seed, weights)


def _workplace(folder, provenance):
    """The folder of unfinished work, emptied unless it is of the same provenance."""
    path = folder / "provenance.json"
    if not path.exists() or changed_keys(read_json(path), provenance):
        shutil.rmtree(folder, ignore_errors=True)
        write_json(path, provenance)
    return folder


def _backbone_output(modality, tree, settings, seed, weights, provenance):
    """Output of the frozen backbone, shared by all settings of what follows it."""
    folder = (settings.cache or settings.out / "backbone") / modality
    identity = {key: provenance[key] for key in ("backbone", "weights_sha256", "pool", "shrink")}
    identity |= {"pictures": provenance["pictures"][modality], "seed": None if weights else seed}
    preprocessing = backbone(settings.backbone).preprocessing

    def make():
        return fastest(_body(settings, seed, weights), len(tree.files))

    return feature_export.outputs(
        folder, identity, make, preprocessing, tree.paths(), settings.batch_size, modality, settings.shrink
    )


def _body(settings, seed, weights, trained_part=None):
    """The backbone with its pool, the same at every call. `trained_part`: "last-block" freezes all below it."""
    policy = keras.mixed_precision.global_policy()
    keras.utils.clear_session()  # weight files hold layer names, whose numbers count from here
    keras.mixed_precision.set_global_policy(policy)
    keras.utils.set_random_seed(seed)
    body = networks.build(settings.backbone, weights)
    if trained_part == "last-block":
        classifier.freeze_below(body, backbone(settings.backbone).last_block)
    return networks.pooled(body, settings.pool, backbone(settings.backbone).special)


def _with_trained_head(work, modality, tree, taught, settings, seed, weights, output):
    vectors, readable = output
    keras.utils.set_random_seed(seed)
    head = networks.head(vectors.shape[1], settings.dense, settings.pool == "average")
    allowed = np.flatnonzero(np.isin(tree.labels, taught))
    lesson = classifier.Lesson(
        lambda rows: (vectors[allowed[rows]], readable[allowed[rows]]), tree.labels[allowed], taught, augment=None
    )
    say(f"{modality}: a head of {settings.dense} on {settings.backbone} learns {len(taught)} classes")
    classifier.train_classifier(head, lesson, settings, backbone(settings.backbone).head, seed, work, modality)
    body = _body(settings, seed, weights)
    file = _save(keras.Model(body.input, head(body.output)), work)
    return Made(head_outputs(head, vectors), readable, file)


def _with_trained_backbone(work, modality, tree, taught, settings, seed, weights):
    entry = backbone(settings.backbone)
    model = _body(settings, seed, weights, settings.trained_part)
    if settings.dense:
        head = networks.head(model.output_shape[1], settings.dense, settings.pool == "average")
        model = keras.Model(model.input, head(model.output))
    say(f"{modality}: {settings.backbone} ({settings.trained_part}) learns {len(taught)} classes")
    allowed = tree.take(np.isin(tree.labels, taught))
    lesson = classifier.Lesson(
        classifier.picture_source(allowed.paths(), entry.preprocessing, settings.shrink),
        allowed.labels,
        taught,
        augment=lambda images, noise: warped(images, noise, modality, entry.recipe.warp),
    )
    classifier.train_classifier(model, lesson, settings, entry.recipe, seed, work, modality)
    file = _save(model, work)
    made = feature_export.outputs(
        work / "features",
        None,
        lambda: fastest(model, len(tree.files)),
        entry.preprocessing,
        tree.paths(),
        settings.batch_size,
        modality,
        settings.shrink,
    )
    return Made(*made, file)


def restored(provenance, weights):
    """The CNN of a dataset, pictures -> features.

    `provenance`: contents of pictures.json that hold for its modality. `weights`: the file given for a frozen
    backbone, or left by `write_dataset` for a trained one.
    """
    settings = SimpleNamespace(backbone=provenance["backbone"], pool=provenance["pool"])
    if provenance["train"] == "nothing":
        return _body(settings, 0, weights)
    model = _body(settings, 0, None)
    if provenance["dense"]:
        head = networks.head(model.output_shape[1], provenance["dense"], provenance["pool"] == "average")
        model = keras.Model(model.input, head(model.output))
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
