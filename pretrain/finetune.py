"""Stage I: pictures -> one CNN per modality, trained on seen classes only -> the feature files of a dataset directory.

Writes imagematnew.mat, sketchmatnew.mat, label_im.mat, label_sk.mat, names_images.mat, names_sketches.mat and
pictures.json (how they were made) into --out. With --freeze the backbone is used as it is and nothing is trained.
"""

import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the project's modules lie one folder up
import matfiles
import UxUyLoader as loader
from cli import BadInput, import_tensorflow, run, say, setting, warn, whole_file
from pretrain import pictures


@dataclass(frozen=True)
class Settings:
    photos: Path = setting(help="folder of class folders of photos", metavar="DIR")
    sketches: Path = setting(help="folder of class folders of sketches", metavar="DIR")
    unseen: Path = setting(help="text file of unseen class names; their pictures never train a CNN", metavar="FILE")
    out: Path = setting(help="dataset directory to write to", metavar="DIR")
    backbone: str = setting("squeezenet", "CNN", choices=("small", "squeezenet"))
    weights: Path | None = setting(None, "file with the backbone's weights", metavar="FILE")
    freeze: bool = setting(False, "use the backbone as it is, without training")
    epochs: int = setting(14, "passes over the seen-class pictures of each modality")
    batch_size: int = setting(32, "pictures per step")
    learning_rate: float = setting(3e-3, "peak of AdamW's learning rate")
    seed: int = setting(0, "seed of initial weights, order and augmentation")
    overwrite: bool = setting(False, "replace features made with other settings")


def main(settings):
    trees = matched_classes(pictures.list_pictures(settings.photos), pictures.list_pictures(settings.sketches))
    classes = trees["photo"].classes
    unseen_names = loader.read_class_list(settings.unseen)
    split = loader.split_classes(classes, unseen_names, settings.unseen, held_out_share=0)
    recipe = describe(settings, classes, split)
    if already_made(settings, recipe):
        return

    import_tensorflow()
    from pretrain import cnn
    from pretrain.backbones import BACKBONES

    backbone = BACKBONES[settings.backbone]
    skipped = {}
    for modality, tree in trees.items():
        if settings.freeze:
            model = backbone.build(settings.weights)
        else:
            say(f"{modality}: training {settings.backbone} on {len(split.seen)} seen classes")
            seen = tree.take(np.isin(tree.labels, split.seen))
            # the two CNNs start from unrelated weights: what aligns their features is stage II, not a shared start
            seed = int(loader.generator(settings.seed, f"{modality} CNN").integers(2**31))
            model = cnn.train(backbone, seen, split.seen, settings, seed, say)
        features, readable = cnn.extract(model, backbone.size, tree.paths(), settings.batch_size, modality)
        skipped[modality] = name_unreadable(tree, readable)
        write_features(settings.out, modality, features[readable], tree.take(readable))
    with whole_file(settings.out / "unseen.txt") as part:
        part.write_text("".join(f"{classes[label]}\n" for label in split.unseen), encoding="utf-8")
    with whole_file(settings.out / loader.PICTURES) as part:  # last: its presence says that all is there
        part.write_text(json.dumps({**recipe, "skipped": skipped}, indent=1), encoding="utf-8")
    say(f"wrote features of {len(classes)} classes, {features.shape[1]}-d, to {settings.out}")


def matched_classes(photos, sketches):
    """Both trees reduced to the classes they share, sketch labels renumbered to the photos' class order."""
    keys = {
        "photo": [loader.class_key(name) for name in photos.classes],
        "sketch": [loader.class_key(name) for name in sketches.classes],
    }
    shared = [name for name, key in zip(photos.classes, keys["photo"], strict=True) if key in set(keys["sketch"])]
    for tree, own, other in ((photos, "photo", "sketch"), (sketches, "sketch", "photo")):
        alone = [name for name, key in zip(tree.classes, keys[own], strict=True) if key not in set(keys[other])]
        if alone:
            warn(f"{tree.root}: {len(alone)} classes have no {other} folder and are left out: {', '.join(alone)}")
    if len(shared) < 4:
        raise BadInput(f"{photos.root} and {sketches.root} share {len(shared)} classes; at least 4 are needed")
    return {"photo": renumbered(photos, shared), "sketch": renumbered(sketches, shared)}


def renumbered(tree, classes):
    """The tree restricted to `classes`, its labels counting in their order."""
    position = {loader.class_key(name): label for label, name in enumerate(classes)}
    new = np.array([position.get(loader.class_key(name), -1) for name in tree.classes])[tree.labels]
    kept = tree.take(new >= 0)
    new = new[new >= 0]
    order = np.argsort(new, kind="stable")
    return pictures.PictureTree(tree.root, tuple(kept.files[row] for row in order), new[order], tuple(classes))


def describe(settings, classes, split):
    """What pictures.json says of the features: enough to tell whether they are the ones a command asks for."""
    recipe = {
        "photos": str(settings.photos.resolve()),
        "sketches": str(settings.sketches.resolve()),
        "backbone": settings.backbone,
        "weights": settings.weights.name if settings.weights else None,
        "weights_sha256": file_hash(settings.weights) if settings.weights else None,
        "frozen": settings.freeze,
        "classes": list(classes),
        "trained_on": [] if settings.freeze else [classes[label] for label in split.seen],
    }
    if not settings.freeze:
        training = ("epochs", "batch_size", "learning_rate", "seed")
        recipe |= {name: getattr(settings, name) for name in training}
    return recipe


def file_hash(path):
    if not path.is_file():
        raise BadInput(f"{path}: no such file")
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def already_made(settings, recipe):
    """True if --out holds exactly these features. Raises BadInput if it holds others and --overwrite is not given."""
    present = loader.read_made_with(settings.out)
    if {**present, "skipped": None} == {**recipe, "skipped": None}:
        say(f"{settings.out} already holds these features")
        return True
    if present and not settings.overwrite:
        differing = [key for key in recipe if present.get(key) != recipe[key]]
        raise BadInput(f"{settings.out}: holds features made with another {differing[0]}; --overwrite replaces them")
    if not present and (settings.out / loader.FILES["photo"]["features"][0]).exists() and not settings.overwrite:
        warn(f"{settings.out}: features of an unfinished run, made anew")
    return False


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


def write_features(out, modality, features, tree):
    """The three released files of one modality; `features` (n, F) float32 in the order of `tree`."""
    files = loader.FILES[modality]
    per_class = np.bincount(tree.labels, minlength=len(tree.classes))
    cell = np.zeros((len(tree.classes), per_class.max()), dtype=object)  # padded with 0, as released
    for row, (file, label) in enumerate(zip(tree.files, tree.labels, strict=True)):
        cell[label, row - per_class[:label].sum()] = Path(file).name
    classes = list(tree.classes)
    arrays = {"features": features, "labels": tree.labels[:, None].astype(np.int32), "names": cell}
    for part, array in arrays.items():
        file, key = files[part]
        matfiles.write(out / file, {key: array, "classes": classes})


if __name__ == "__main__":
    run(main, Settings, __doc__)
