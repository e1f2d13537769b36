"""Stage I: pictures -> one CNN per modality, trained on seen classes only -> the feature files of a dataset directory.

Each step is kept on disk until the dataset is written, so that a stopped call resumes: backbone output, training,
features.
"""

import os
import shutil
from contextlib import nullcontext

import numpy as np

from zscmr.backbones import backbone
from zscmr.backbones import weights as weight_files
from zscmr.datasets import index_files
from zscmr.datasets.classes import UNSEEN, read_class_list, split_classes
from zscmr.datasets.layouts import class_folder, compare_counts, first_of_each_class, listing_hash, matched_trees
from zscmr.formats import matfiles
from zscmr.formats.dataset_directory import (
    CLASSIFIER,
    FILE_KEYS,
    FILES,
    MODALITIES,
    PICTURES,
    changed_keys,
    read_provenance,
    write_provenance,
)
from zscmr.training import strategies
from zscmr.training.stage1.cnn import features_of, joint_features, own_folder
from zscmr.training.stage1.options import by_modality, recipe_of
from zscmr.training.strategies import half_precision_on_gpu
from zscmr.utils.console import say, warn
from zscmr.utils.errors import BadInput
from zscmr.utils.files import alone, existing_folder, file_hash, json_round_trip, whole_file


def make_dataset(options):
    """Make the feature files of a dataset directory from two folders of pictures; `options`: `Stage1Options`.

    Stopped at any point, a call with the same options resumes. Raises BadInput for pictures, lists or weights that
    cannot be used, or a directory that holds other features.
    """
    if options.photos.resolve() == options.sketches.resolve():
        raise BadInput(f"--photos and --sketches: both are {options.photos}")
    existing_folder("--out", options.out)
    with alone("--out", options.out) if strategies.is_chief() else nullcontext():
        _make_dataset(options)


def _make_dataset(options):
    settings = by_modality(options)
    strategy = strategies.choose_strategy(None if options.freeze else settings["photo"].batch_size)  # before all else
    weights = {key: weight_files.resolve(cnn.backbone, cnn.weights) for key, cnn in settings.items()}
    trees = matched_trees(options.photos, options.sketches, options.duplicates)
    classes = trees["photo"].classes
    unseen_names = read_class_list(options.unseen)
    joint = settings["photo"].trained_part == "joint"
    share = settings["photo"].held_out if joint else 0
    split = split_classes(classes, unseen_names, options.unseen, share, options.seed)
    compare_counts(trees, unseen_names)
    if options.first:
        trees = {modality: first_of_each_class(tree, options.first, modality) for modality, tree in trees.items()}
    taught = np.setdiff1d(np.arange(len(classes)), split.held_out) if options.leak_unseen else split.seen
    provenance = describe(settings, weights, trees, taught)
    listed = [classes[label] for label in split.unseen]
    if already_made(options, provenance):
        update_list(options.out / UNSEEN, listed)
        return
    if options.leak_unseen:
        warn(f"--leak-unseen: the CNNs learn the {len(split.unseen)} unseen classes too; every table will say so")
    try:
        with half_precision_on_gpu():
            if joint:
                arguments = settings["photo"], weights["photo"], provenance, strategy
                made = joint_features(trees, taught, split.held_out, *arguments)
            else:
                made = {
                    modality: features_of(
                        modality, tree, taught, settings[modality], weights[modality], provenance, strategy
                    )
                    for modality, tree in trees.items()
                }
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt("stopped; the same command goes on") from stop
    if strategies.is_chief():
        write_dataset(options.out, trees, made, listed, provenance, classifier_of(settings, weights, made))
    shutil.rmtree(own_folder(options.out), ignore_errors=True)


def describe(settings, weights, trees, taught):
    """Content of pictures.json: what tells these features from others.

    What is different for the sketches' CNN stands under "sketch".
    """
    about, sketch = (describe_cnn(settings[modality], weights[modality], trees, taught) for modality in MODALITIES)
    differing = {key: value for key, value in sketch.items() if value != about[key]}
    return json_round_trip(about | ({"sketch": differing} if differing else {}))


def describe_cnn(settings, weights, trees, taught):
    """Content of pictures.json if both CNNs are those of `settings`."""
    classes = trees["photo"].classes
    about = {
        "photos": str(class_folder(trees["photo"])),
        "sketches": str(class_folder(trees["sketch"])),
        "first": settings.first,
        "shrink": settings.shrink,
        "pictures": {modality: listing_hash(tree) for modality, tree in trees.items()},
        "backbone": settings.backbone,
        "weights": weights.name if weights else None,
        "weights_file": str(weights.resolve()) if weights else None,
        "weights_sha256": file_hash(weights) if weights else None,
        "train": settings.trained_part,
        "pool": settings.pool,
        "dense": settings.dense,
        "classes": list(classes),
        "trained_on": [] if settings.freeze else [classes[label] for label in taught],
    }
    about |= {key: getattr(settings, key) for key in ("size", "ink") if getattr(settings, key) is not None}
    if settings.trained_part == "joint":
        training = (
            *("objective", "share", "teacher", "without", "term_weights", "train_size"),
            *("epochs", "batch_size", "learning_rate", "held_out", "seed"),
        )
        about |= {name: getattr(settings, name) for name in training}
        about["vectors_sha256"] = file_hash(settings.vectors) if settings.vectors else None
    elif not settings.freeze:
        training = ("epochs", "batch_size", "learning_rate", "held_out", "patience", "seed")
        about |= {name: getattr(settings, name) for name in training}
        about["optimizer"] = recipe_of(settings.backbone, settings.trained_part).optimizer
    return about


def already_made(settings, provenance):
    """True if --out holds exactly these features. Raises BadInput if it holds others and --overwrite is not given."""
    present = read_provenance(settings.out)
    differing = changed_keys(present, provenance)
    if not differing:
        say(f"{settings.out} already holds these features")
        moved = {key: provenance[key] for key in FILE_KEYS if provenance[key] != present.get(key)}
        if moved:
            say(f"{settings.out / PICTURES} now names {', '.join(map(str, moved.values()))}")
            write_provenance(settings.out, present | moved)
        return True
    if present and not settings.overwrite:
        raise BadInput(f"{settings.out}: holds features made with another {differing[0]}; --overwrite replaces them")
    return False


def classifier_of(settings, weights, made):
    """Kernel (F, A) of the backbone's published classifier, for features of both modalities that it can be applied to:
    averaged maps of one backbone, or their square roots; trained on, their directions stay near. Else None."""
    photo, sketch = (settings[modality] for modality in MODALITIES)
    entry = backbone(photo.backbone)
    alike = photo.backbone == sketch.backbone and weights["photo"] == weights["sketch"]
    if not (entry.classifier and weights["photo"] and alike) or photo.dense or sketch.dense:
        return None
    found = entry.classifier(weights["photo"])
    widths = {made[modality].features.shape[1] for modality in MODALITIES}
    return found[0] if found and widths == {len(found[0])} else None


def write_dataset(out, trees, made, unseen, provenance, classifier=None):
    """The files of a dataset directory; `made`: modality -> `cnn.Made` of its tree; `classifier`: of
    `classifier_of`."""
    skipped = {modality: name_unreadable(trees[modality], made[modality].readable) for modality in made}
    kept = {modality: trees[modality].take(made[modality].readable) for modality in made}
    (out / PICTURES).unlink(missing_ok=True)  # the directory is incomplete from here on
    classes = list(trees["photo"].classes)
    for modality, (features, readable, weights) in made.items():
        file, key = FILES[modality]["features"]
        array = features if readable.all() else features[readable]
        matfiles.write(out / file, {key: array, "classes": classes})
        file, key = FILES[modality]["labels"]
        matfiles.write(out / file, {key: kept[modality].labels[:, None].astype(np.int32), "classes": classes})
        (out / f"{modality}.weights.h5").unlink(missing_ok=True)
        if weights:
            os.replace(weights, out / f"{modality}.weights.h5")
    if classifier is None:
        (out / CLASSIFIER[0]).unlink(missing_ok=True)
    else:
        matfiles.write(out / CLASSIFIER[0], {CLASSIFIER[1]: classifier})
    index_files.write_index(out, kept)
    write_list(out / UNSEEN, unseen)
    digests = {modality: file_hash(out / f"{modality}.weights.h5") for modality in made if made[modality].weights}
    write_provenance(
        out, {**provenance, "skipped": skipped, "cnn_sha256": digests}
    )  # last: its presence marks the dataset as complete
    told = [
        f"{len(tree.files):,} × {made[modality].features.shape[1]} of {modality}" for modality, tree in kept.items()
    ]
    say(f"wrote features, {' and '.join(told)}, {len(classes)} classes, to {out}")


def update_list(path, unseen):
    """Features of a frozen backbone are those of any unseen list: the file is to hold the one given last."""
    if not path.exists() or set(read_class_list(path)) != set(unseen):
        say(f"{path} now lists the {len(unseen)} classes of --unseen")
        write_list(path, unseen)


def write_list(path, unseen):
    with whole_file(path) as part:
        part.write_text("".join(f"{name}\n" for name in unseen), encoding="utf-8")


def name_unreadable(tree, readable):
    """Name each picture that could not be decoded; raises BadInput if that leaves a class empty."""
    lost = [file for file, good in zip(tree.files, readable, strict=True) if not good]
    for file in lost:
        warn(f"{tree.root / file}: not a readable picture, skipped")
    if lost:
        warn(f"{tree.root}: {len(lost)} of {len(tree.files)} pictures skipped")
    left = np.bincount(tree.labels[readable], minlength=len(tree.classes))
    if (left == 0).any():
        raise BadInput(f"{tree.root / tree.classes[np.argmin(left)]}: no readable picture left in this class")
    return lost
