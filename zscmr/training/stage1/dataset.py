"""Stage I: pictures -> one CNN per modality, trained on seen classes only -> the feature files of a dataset directory.

Each step is kept on disk until the dataset is written, so that a stopped call resumes: backbone output, training,
features.
"""

import dataclasses
import os
import shutil
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from zscmr.backbones import weights as weight_files
from zscmr.datasets import index_files
from zscmr.datasets.classes import UNSEEN, read_class_list, split_classes
from zscmr.datasets.layouts import (
    class_folder,
    compare_counts,
    first_of_each_class,
    folders_of,
    listing_hash,
    matched_trees,
)
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
from zscmr.training import peers, strategies
from zscmr.training.stage1.examples import PictureSet
from zscmr.training.stage1.features import features_of, joint_features, open_workplace
from zscmr.training.stage1.options import NONE, EndToEndOptions, by_modality
from zscmr.training.stage1.precision import computing_in
from zscmr.utils.console import say, warn
from zscmr.utils.errors import BadInput
from zscmr.utils.files import alone, existing_folder, file_hash, json_round_trip, whole_file


def make_dataset(options):
    """Make the feature files of a dataset directory from two folders of pictures; `options`: `Stage1Options`.

    Stopped at any point, a call with the same options resumes. Raises BadInput for pictures, lists or weights that
    cannot be used, or a directory that holds other features.
    """
    photos, sketches = (
        {Path(folder).resolve() for folder in folders_of(folders)} for folders in (options.photos, options.sketches)
    )
    if common := photos & sketches:
        raise BadInput(f"--photos and --sketches: both have {min(common)}")
    existing_folder("--out", options.out)
    resume = "start the same command on all machines again"
    with alone("--out", options.out) if strategies.is_chief() else nullcontext(), peers.watched(resume):
        _make_dataset(options)


def _make_dataset(options):
    settings = by_modality(options)
    # before all else that starts TensorFlow
    strategy = strategies.choose_strategy(None if options.freeze else settings["photo"].batch_size)
    settings = {key: with_weight_file(cnn) for key, cnn in settings.items()}
    trees = matched_trees(options.photos, options.sketches, options.duplicates, options.unpaired)
    unpaired = trees.pop("unpaired", None)
    unseen_names = [] if str(options.unseen) == NONE else read_class_list(options.unseen)
    split = split_of(trees["photo"].classes, unseen_names, options, settings["photo"])
    compare_counts(trees, unseen_names)
    if options.first:
        trees = {modality: first_of_each_class(tree, options.first, modality) for modality, tree in trees.items()}
        unpaired = first_of_each_class(unpaired, options.first, "unpaired sketch") if unpaired else None
    if unpaired:
        say(f"unpaired: {len(unpaired.files):,} sketches of {len(unpaired.classes)} classes without photos")
    provenance = describe(options, settings, trees, split.seen, unpaired)
    listed = [trees["photo"].classes[label] for label in split.unseen]
    if already_made(options, provenance):
        update_list(options.out / UNSEEN, listed)
        return
    if options.leak_unseen:
        warn(f"--leak-unseen: the CNNs learn the {len(split.unseen)} unseen classes too; every table will say so")
    workplace = open_workplace(options.out, options.cache, provenance, strategy)
    features = make_features(trees, split, settings, workplace, unpaired)
    if strategies.is_chief():
        write_dataset(options.out, trees, features, listed, provenance, classifier_of(settings, features))
    shutil.rmtree(workplace.worker_folder, ignore_errors=True)
    strategies.meet(strategy)


def with_weight_file(cnn):
    """Options of a CNN with the file that --weights means, in place of what it says."""
    file = weight_files.weight_file(cnn.spec.entry, cnn.spec.weights)
    return dataclasses.replace(cnn, spec=cnn.spec.with_weights(file))


def split_of(classes, unseen_names, options, cnn):
    """The `Split` of class names; under --leak-unseen unseen classes are `seen` too."""
    share = cnn.preset.held_out if isinstance(cnn, EndToEndOptions) else 0
    split = split_classes(classes, unseen_names, options.unseen, share, options.seed)
    if options.leak_unseen:
        split = dataclasses.replace(split, seen=np.setdiff1d(np.arange(len(classes)), split.held_out))
    return split


def make_features(trees, split, settings, workplace, unpaired):
    """{"photo", "sketch": `CnnFeatures`} of the pictures of `trees`, by CNNs that learn `split.seen`.

    `unpaired`: `PictureTree` of sketches of further classes that joint training learns, or None.
    """
    sides = {}
    for key, tree in [*trees.items(), *([("unpaired", unpaired)] if unpaired else [])]:
        modality = "photo" if key == "photo" else "sketch"
        spec = settings[modality].spec
        sides[key] = PictureSet(modality, tuple(tree.paths()), tree.labels, spec.preprocessing(modality), spec.shrink)
    photo = settings["photo"]
    try:
        with computing_in(photo.spec.precision):
            if isinstance(photo, EndToEndOptions):
                names = unpaired.classes if unpaired else ()
                return joint_features(sides, split, trees["photo"].classes, photo, workplace, names)
            return {key: features_of(side, split.seen, settings[key], workplace) for key, side in sides.items()}
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt("stopped; the same command goes on") from stop


def describe(options, settings, trees, trained_on, unpaired=None):
    """Contents of pictures.json: what tells these features from others.

    What is different for the sketches' CNN stands under "sketch". `trained_on`: class indices. `unpaired`: as of
    `make_features`.
    """
    classes = trees["photo"].classes
    about = {
        "photos": str(class_folder(trees["photo"])),
        "sketches": str(class_folder(trees["sketch"])),
        "first": options.first,
        "pictures": {modality: listing_hash(tree) for modality, tree in trees.items()},
    }
    trained = {"classes": list(classes), "trained_on": [] if options.freeze else [classes[k] for k in trained_on]}
    photo, sketch = ({**settings[key].spec.record(), **settings[key].record()} for key in MODALITIES)
    differing = {key: value for key, value in sketch.items() if value != photo.get(key)}
    if unpaired:
        trained["unpaired"] = {"classes": list(unpaired.classes), "pictures": listing_hash(unpaired)}
    return json_round_trip(about | photo | trained | ({"sketch": differing} if differing else {}))


def already_made(options, provenance):
    """True if --out holds exactly these features. Raises BadInput if it holds others and --overwrite is not given."""
    present = read_provenance(options.out)
    differing = changed_keys(present, provenance)
    if not differing:
        say(f"{options.out} already holds these features")
        moved = {key: provenance[key] for key in FILE_KEYS if provenance[key] != present.get(key)}
        if moved:
            say(f"{options.out / PICTURES} now names {', '.join(map(str, moved.values()))}")
            write_provenance(options.out, present | moved)
        return True
    if present and not options.overwrite:
        raise BadInput(f"{options.out}: holds features made with another {differing[0]}; --overwrite replaces them")
    return False


def classifier_of(settings, features):
    """Kernel (F, A) of the backbone's published classifier, where it applies to the features of both modalities.

    It applies to averaged maps of one backbone, or their square roots; trained on, their directions stay near. Else
    None.
    """
    photo, sketch = (settings[modality].spec for modality in MODALITIES)
    alike = photo.entry.name == sketch.entry.name and photo.weights == sketch.weights
    if not (photo.entry.classifier and photo.weights and alike) or photo.dense or sketch.dense:
        return None
    published = photo.entry.classifier(photo.weights)
    widths = {features[modality].vectors.shape[1] for modality in MODALITIES}
    return published[0] if published and widths == {len(published[0])} else None


def write_dataset(out, trees, features, unseen, provenance, classifier=None):
    """Write the files of a dataset directory.

    Args:
        out: the directory.
        trees: {modality: `PictureTree`}.
        features: {modality: `CnnFeatures`} of its tree.
        unseen: names of the unseen classes.
        provenance: contents of pictures.json.
        classifier: of `classifier_of`.
    """
    skipped = {modality: name_unreadable(trees[modality], features[modality].readable) for modality in features}
    readable_trees = {modality: trees[modality].take(features[modality].readable) for modality in features}
    (out / PICTURES).unlink(missing_ok=True)  # the directory is incomplete from here on
    classes = list(trees["photo"].classes)
    for modality, (vectors, readable, weights) in features.items():
        file, key = FILES[modality]["features"]
        array = vectors if readable.all() else vectors[readable]
        matfiles.write(out / file, {key: array, "classes": classes})
        file, key = FILES[modality]["labels"]
        matfiles.write(out / file, {key: readable_trees[modality].labels[:, None].astype(np.int32), "classes": classes})
        (out / f"{modality}.weights.h5").unlink(missing_ok=True)
        if weights:
            os.replace(weights, out / f"{modality}.weights.h5")
    if classifier is None:
        (out / CLASSIFIER[0]).unlink(missing_ok=True)
    else:
        matfiles.write(out / CLASSIFIER[0], {CLASSIFIER[1]: classifier})
    index_files.write_index(out, readable_trees)
    write_list(out / UNSEEN, unseen)
    digests = {
        modality: file_hash(out / f"{modality}.weights.h5") for modality in features if features[modality].weights
    }
    # last: its presence marks the dataset as complete
    write_provenance(out, {**provenance, "skipped": skipped, "cnn_sha256": digests})
    sizes = [f"{len(tree.files):,} × {features[key].vectors.shape[1]} of {key}" for key, tree in readable_trees.items()]
    say(f"wrote features, {' and '.join(sizes)}, {len(classes)} classes, to {out}")


def update_list(path, unseen):
    """Write the unseen classes if the file has others: features of a frozen backbone serve every list."""
    if not path.exists() or set(read_class_list(path, may_be_empty=True)) != set(unseen):
        say(f"{path} now lists the {len(unseen)} classes of --unseen")
        write_list(path, unseen)


def write_list(path, unseen):
    """Write class names, one a line."""
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
