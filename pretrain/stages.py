"""The steps of stage I for one modality, each kept on disk until the dataset is written: backbone output, training,
features."""

import json
import shutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import keras
import numpy as np

import UxUyLoader as loader
from cli import BadInput, say, whole_file
from pretrain import backbones, cnn, made_with, recipes

UNFINISHED = ".part-stage1"  # in --out: checkpoints and features on the way, of the command in its recipe.json


class Made(NamedTuple):
    features: np.ndarray  # (n, F) float32
    readable: np.ndarray  # (n,) bool: the picture could be decoded
    weights: Path | None  # file with the trained CNN, pictures -> features


def features_of(modality, tree, taught, settings, weights, recipe):
    """Features of the pictures of `tree` from a CNN that learns the classes `taught`; goes on where a call with the
    same recipe stopped."""
    # from scratch the two CNNs start from unrelated weights: what aligns their features is stage II, not a shared
    # start; from a weight file they start alike, and so do the layers after it, lest that alignment be lost
    seed = settings.seed if weights else int(loader.generator(settings.seed, f"{modality} CNN").integers(2**31))
    work = _workplace(settings.out / UNFINISHED, recipe) / modality
    if settings.train in ("nothing", "head"):
        vectors, readable = _backbone_output(modality, tree, settings, seed, weights, recipe)
        if settings.train == "nothing":
            return Made(vectors, readable, None)
        return _with_trained_head(work, modality, tree, taught, settings, seed, weights, (vectors, readable))
    return _with_trained_backbone(work, modality, tree, taught, settings, seed, weights)


def _workplace(folder, recipe):
    """The folder of unfinished work, emptied unless it belongs to the same recipe."""
    path = folder / "recipe.json"
    if not path.exists() or made_with.changes(json.loads(path.read_text(encoding="utf-8")), recipe):
        shutil.rmtree(folder, ignore_errors=True)
        with whole_file(path) as part:
            part.write_text(json.dumps(recipe), encoding="utf-8")
    return folder


def _backbone_output(modality, tree, settings, seed, weights, recipe):
    """What the frozen backbone makes of the pictures; other settings of what follows it use the same."""
    folder = (settings.cache or settings.out / "backbone") / modality
    identity = {key: recipe[key] for key in ("backbone", "weights_sha256", "pool", "shrink")}
    identity |= {"pictures": recipe["pictures"][modality], "seed": None if weights else seed}
    size = recipes.BACKBONES[settings.backbone].size
    make = partial(_body, settings, seed, weights)
    return cnn.outputs(folder, identity, make, size, tree.paths(), settings.batch_size, modality, settings.shrink)


def _body(settings, seed, weights, trained_part=None):
    """The backbone with its pool, the same at every call. `trained_part`: "last-block" freezes all below it."""
    policy = keras.mixed_precision.global_policy()
    keras.utils.clear_session()  # weight files hold layer names, which count up from here whatever was built before
    keras.mixed_precision.set_global_policy(policy)
    keras.utils.set_random_seed(seed)
    body = backbones.build(settings.backbone, weights)
    if trained_part == "last-block":
        cnn.freeze_below(body, recipes.BACKBONES[settings.backbone].last_block)
    return backbones.pooled(body, settings.pool)


def _with_trained_head(work, modality, tree, taught, settings, seed, weights, output):
    vectors, readable = output
    keras.utils.set_random_seed(seed)
    head = backbones.head(vectors.shape[1], settings.dense, settings.pool == "average")
    allowed = np.flatnonzero(np.isin(tree.labels, taught))
    training = cnn.Training(
        lambda rows: (vectors[allowed[rows]], readable[allowed[rows]]), tree.labels[allowed], taught, augment=None
    )
    say(f"{modality}: a head of {settings.dense} on {settings.backbone} learns {len(taught)} classes")
    cnn.train(head, training, settings, seed, work, modality)
    body = _body(settings, seed, weights)
    file = _save(keras.Model(body.input, head(body.output)), work)
    return Made(head.predict(vectors, batch_size=1024, verbose=0), readable, file)


def _with_trained_backbone(work, modality, tree, taught, settings, seed, weights):
    backbone = recipes.BACKBONES[settings.backbone]
    model = _body(settings, seed, weights, settings.train)
    if settings.dense:
        head = backbones.head(model.output_shape[1], settings.dense, settings.pool == "average")
        model = keras.Model(model.input, head(model.output))
    say(f"{modality}: {settings.backbone} ({settings.train}) learns {len(taught)} classes")
    allowed = tree.take(np.isin(tree.labels, taught))
    training = cnn.Training(
        cnn.picture_source(allowed.paths(), backbone.size, settings.shrink),
        allowed.labels,
        taught,
        augment=lambda images, noise: cnn.warped(images, noise, modality, backbone.recipe.warp),
    )
    cnn.train(model, training, settings, seed, work, modality)
    file = _save(model, work)
    made = cnn.outputs(
        work / "features", None, lambda: model, backbone.size, tree.paths(), settings.batch_size, modality,
        settings.shrink,
    )  # fmt: skip
    return Made(*made, file)


def restored(recipe, weights):
    """The CNN of a dataset, pictures -> features: what the contents of its pictures.json describe, with the weights of
    the file that was given for a frozen backbone, or that `write_dataset` left for a trained one."""
    settings = SimpleNamespace(backbone=recipe["backbone"], pool=recipe["pool"])
    if recipe["train"] == "nothing":
        return _body(settings, 0, weights)
    model = _body(settings, 0, None)
    if recipe["dense"]:
        head = backbones.head(model.output_shape[1], recipe["dense"], recipe["pool"] == "average")
        model = keras.Model(model.input, head(model.output))
    try:
        model.load_weights(weights)
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(f"{weights}: not the weights of this CNN ({str(error).splitlines()[0]})") from error
    return model


def _save(model, work):
    with whole_file(work / "cnn.weights.h5") as part:
        model.save_weights(part)
    return work / "cnn.weights.h5"
