"""Stage I: pictures -> one CNN per modality, trained on seen classes only -> the feature files of a dataset directory.

Writes imagematnew.mat, sketchmatnew.mat, label_im.mat, label_sk.mat, names_images.mat, names_sketches.mat, dataset2.mat
(where sketch names say which photo they draw), unseen.txt, the trained CNNs (photo.weights.h5, sketch.weights.h5) and
pictures.json (how all this was made) into --out. Stopped at any point, the same command goes on from there.

--freeze trains nothing: features are the backbone's averaged last maps (or all of them, --pool flatten). --train head
leaves the backbone as it is and trains a Dense layer on its output, whose outputs are the features; last-block and all
train that much of the backbone too.
"""

import hashlib
import os
import shutil
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the project's modules lie one folder up
import matfiles
import UxUyLoader as loader
from cli import BadInput, existing_folder, file_hash, import_tensorflow, run, say, setting, warn, whole_file
from pretrain import index_files, layouts, made_with, recipes
from pretrain import weights as weight_files


@dataclass(frozen=True)
class Settings:
    photos: Path = setting(help="folder of photos: class folders, or as Sketchy or TU-Berlin unpack", metavar="DIR")
    sketches: Path = setting(help="folder of sketches, likewise", metavar="DIR")
    unseen: Path = setting(help="text file of unseen class names; their pictures never train a CNN", metavar="FILE")
    out: Path = setting(help="dataset directory to write to", metavar="DIR")
    backbone: str = setting("squeezenet", "CNN", choices=tuple(recipes.BACKBONES))
    weights: Path | None = setting(None, "its weights: a .npz, .h5 or .weights.h5 file, or imagenet", metavar="FILE")
    freeze: bool = setting(False, "use the backbone as it is, without training")
    train: str | None = setting(
        None, "what to train, beside a softmax: a Dense layer, the last block too, or all (default)",
        choices=recipes.PARTS,
    )  # fmt: skip
    pool: str | None = setting(
        None, "how maps become a vector (default: flatten for vgg16 unless frozen, else average)",
        choices=("average", "flatten"),
    )  # fmt: skip
    dense: int | None = setting(
        None,
        "size of the Dense layer whose outputs are the features, 0: none (default: vgg16 4096, other heads 512)",
    )
    leak_unseen: bool = setting(False, "train on all classes, as released; every table will say so")
    duplicates: str = setting("drop", "pictures that lie in two folders", choices=("drop", "keep"))
    first: int | None = setting(
        None, "pictures to take of each class and modality, the first by file name", metavar="N"
    )
    shrink: int | None = setting(None, "scale pictures to N × N pixels before anything else", metavar="N")
    epochs: int | None = setting(None, "most passes over the seen-class pictures (default: the backbone's)")
    batch_size: int | None = setting(None, "pictures per step (default: the backbone's)")
    learning_rate: float | None = setting(None, "peak of the learning rate (default: the backbone's)")
    held_out: float | None = setting(
        None, "share of each seen class's pictures held out to choose the epoch by (default: 0.1, small 0)"
    )
    patience: int = setting(5, "epochs without a better held-out accuracy after which training ends")
    seed: int = setting(0, "seed of initial weights, held-out pictures, order, augmentation and dropout")
    cache: Path | None = setting(None, "keeps outputs of a frozen backbone (default: OUT/backbone)", metavar="DIR")
    overwrite: bool = setting(False, "replace features made with other settings")


def main(settings):
    if settings.photos.resolve() == settings.sketches.resolve():
        raise BadInput(f"--photos and --sketches: both are {settings.photos}")
    existing_folder("--out", settings.out)
    settings = recipes.filled_in(settings)
    weights = weight_files.resolve(settings.backbone, settings.weights)
    trees = layouts.matched_classes(
        layouts.list_pictures(settings.photos, "photo", settings.duplicates),
        layouts.list_pictures(settings.sketches, "sketch", settings.duplicates),
    )
    classes = trees["photo"].classes
    unseen_names = loader.read_class_list(settings.unseen)
    split = loader.split_classes(classes, unseen_names, settings.unseen, held_out_share=0)
    layouts.compare_counts(trees, unseen_names)
    if settings.first:
        trees = {
            modality: layouts.first_of_each_class(tree, settings.first, modality) for modality, tree in trees.items()
        }
    taught = np.arange(len(classes)) if settings.leak_unseen else split.seen
    recipe = describe(settings, weights, trees, taught)
    listed = [classes[label] for label in split.unseen]
    if already_made(settings, recipe):
        update_list(settings.out / "unseen.txt", listed)
        return
    if settings.leak_unseen:
        warn(f"--leak-unseen: the CNNs learn the {len(split.unseen)} unseen classes too; every table will say so")

    import_tensorflow()
    from pretrain import cnn, stages

    try:
        with cnn.half_precision_on_gpu():
            made = {
                modality: stages.features_of(modality, tree, taught, settings, weights, recipe)
                for modality, tree in trees.items()
            }
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt("stopped; the same command goes on") from stop
    write_dataset(settings.out, trees, made, listed, recipe)
    shutil.rmtree(settings.out / stages.UNFINISHED, ignore_errors=True)


def describe(settings, weights, trees, taught):
    """What pictures.json says of the features: enough to tell whether they are the ones a command asks for."""
    classes = trees["photo"].classes
    recipe = {
        "photos": str(class_folder(trees["photo"])),
        "sketches": str(class_folder(trees["sketch"])),
        "first": settings.first,
        "shrink": settings.shrink,
        "pictures": {modality: listing_hash(tree) for modality, tree in trees.items()},
        "backbone": settings.backbone,
        "weights": weights.name if weights else None,
        "weights_file": str(weights.resolve()) if weights else None,
        "weights_sha256": file_hash(weights) if weights else None,
        "train": settings.train,
        "pool": settings.pool,
        "dense": settings.dense,
        "classes": list(classes),
        "trained_on": [] if settings.freeze else [classes[label] for label in taught],
    }
    if not settings.freeze:
        training = ("epochs", "batch_size", "learning_rate", "held_out", "patience", "seed")
        recipe |= {name: getattr(settings, name) for name in training}
        recipe["optimizer"] = recipes.recipe_of(settings).optimizer
    return recipe


def class_folder(tree):
    """The folder whose class folders hold most of the pictures."""
    parents = Counter(Path(file).parent.parent for file in tree.files)
    return (tree.root / parents.most_common(1)[0][0]).resolve()


def listing_hash(tree):
    """A fingerprint of which files of which sizes the tree holds."""
    digest = hashlib.sha256()
    for file, path in zip(tree.files, tree.paths(), strict=True):
        digest.update(f"{file}\0{os.path.getsize(path)}\n".encode())
    return digest.hexdigest()[:16]


def already_made(settings, recipe):
    """True if --out holds exactly these features. Raises BadInput if it holds others and --overwrite is not given."""
    present = loader.read_made_with(settings.out)
    differing = made_with.changes(present, recipe)
    if not differing:
        say(f"{settings.out} already holds these features")
        moved = {key: recipe[key] for key in made_with.PLACES if recipe[key] != present.get(key)}
        if moved:
            say(f"{settings.out / loader.PICTURES} now names {', '.join(map(str, moved.values()))}")
            made_with.write(settings.out, present | moved)
        return True
    if present and not settings.overwrite:
        raise BadInput(f"{settings.out}: holds features made with another {differing[0]}; --overwrite replaces them")
    return False


def write_dataset(out, trees, made, unseen, recipe):
    """The files of a dataset directory; `made`: modality -> `stages.Made` of its tree."""
    skipped = {modality: name_unreadable(trees[modality], made[modality].readable) for modality in made}
    kept = {modality: trees[modality].take(made[modality].readable) for modality in made}
    (out / loader.PICTURES).unlink(missing_ok=True)  # from here on this is not what was there before
    classes = list(trees["photo"].classes)
    for modality, (features, readable, weights) in made.items():
        file, key = loader.FILES[modality]["features"]
        array = features if readable.all() else features[readable]
        matfiles.write(out / file, {key: array, "classes": classes})
        file, key = loader.FILES[modality]["labels"]
        matfiles.write(out / file, {key: kept[modality].labels[:, None].astype(np.int32), "classes": classes})
        (out / f"{modality}.weights.h5").unlink(missing_ok=True)
        if weights:
            os.replace(weights, out / f"{modality}.weights.h5")
    index_files.write(out, kept)
    write_list(out / "unseen.txt", unseen)
    made_with.write(out, {**recipe, "skipped": skipped})  # last: its presence says that all is there
    told = [
        f"{len(tree.files):,} × {made[modality].features.shape[1]} of {modality}" for modality, tree in kept.items()
    ]
    say(f"wrote features, {' and '.join(told)}, {len(classes)} classes, to {out}")


def update_list(path, unseen):
    """Features of a frozen backbone are those of any unseen list: the file is to hold the one given last."""
    if not path.exists() or set(loader.read_class_list(path)) != set(unseen):
        say(f"{path} now lists the {len(unseen)} classes of --unseen")
        write_list(path, unseen)


def write_list(path, unseen):
    with whole_file(path) as part:
        part.write_text("".join(f"{name}\n" for name in unseen), encoding="utf-8")


def name_unreadable(tree, readable):
    """Names each picture that could not be decoded; raises BadInput if that leaves a class empty."""
    lost = [file for file, good in zip(tree.files, readable, strict=True) if not good]
    for file in lost:
        warn(f"{tree.root / file}: not a readable picture, skipped")
    if lost:
        warn(f"{tree.root}: {len(lost)} of {len(tree.files)} pictures skipped")
    left = np.bincount(tree.labels[readable], minlength=len(tree.classes))
    if (left == 0).any():
        raise BadInput(f"{tree.root / tree.classes[np.argmin(left)]}: no readable picture left in this class")
    return lost


if __name__ == "__main__":
    run(main, Settings, __doc__)
