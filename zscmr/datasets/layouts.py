"""Picture folders as archives unpack them -> two trees of the same classes, counted and compared with the literature.

Known layouts: Sketchy (`photo/tx_000000000000/CLASS`, `sketch/tx_000000000000/CLASS`), Sketchy-extended (that and
`EXTEND_image_sketchy/CLASS`), TU-Berlin (`images` or `ImageResized`, `sketches`), QuickDraw-Extended
(`QuickDraw_images_final` or `EXTEND_image_quickdraw`, `QuickDraw_sketches_final` or `QuickDraw_sketches`), folders of
CLASS.ndjson files of Quick, Draw!, and any class trees.
"""

import hashlib
import itertools
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zscmr.datasets import drawings, literature
from zscmr.datasets.classes import class_indices, class_key
from zscmr.datasets.drawings import is_drawing
from zscmr.datasets.listing import Scan
from zscmr.utils.console import say, warn
from zscmr.utils.errors import BadInput
from zscmr.utils.options import Options, setting

_NAMED = 20  # classes that a message names

#: folders that are no classes but hold class folders (or further such folders) of a modality
_CONTAINERS = {
    "photo": (
        *("256x256", "rendered_256x256", "photo", "photos", "images", "ImageResized", "EXTEND_image_sketchy"),
        *("EXTEND_image_quickdraw", "QuickDraw_images", "QuickDraw_images_final"),
    ),
    "sketch": (
        *("256x256", "rendered_256x256", "sketch", "sketches", "QuickDraw_sketches", "QuickDraw_sketches_final"),
    ),
}
_AS_DRAWN = "tx_000000000000"  # Sketchy's other tx_ folders hold the same pictures shifted and scaled


@dataclass(frozen=True, kw_only=True)
class PictureOptions(Options):
    """Which pictures: the options of every command that reads two folders of them."""

    photos: tuple[Path, ...] = setting(
        help="folders of photos: class folders, or as a known archive unpacks", metavar="DIR"
    )
    sketches: tuple[Path, ...] = setting(
        help="folders of sketches: likewise, or CLASS.ndjson files of Quick, Draw!", metavar="DIR"
    )
    duplicates: str = setting("drop", "pictures that lie in two folders", choices=("drop", "keep"))


@dataclass(frozen=True)
class PictureTree:
    """The pictures of one modality below a folder.

    Args:
        root: the folder.
        files: n paths relative to it, `…/class/file`, sorted by class and file name.
        labels: (n,) int64, indices into `classes`.
        classes: names of the class folders.
    """

    root: Path
    files: tuple[str, ...]
    labels: np.ndarray
    classes: tuple[str, ...]

    def paths(self):
        """The n paths of the files, as strings."""
        return [str(self.root / file) for file in self.files]

    def take(self, mask):
        """The tree reduced to the rows where the boolean `mask` (n,) is true."""
        files = tuple(itertools.compress(self.files, mask))
        return PictureTree(self.root, files, self.labels[mask], self.classes)


def list_pictures(roots, modality, duplicates="drop"):
    """List the pictures of one modality in one or more folders as a `PictureTree`.

    A picture that two folders hold (same class, same name but for its suffix) counts once, unless `duplicates` is
    "keep"; drawings in files of Quick, Draw! all count. Raises BadInput if there is no class folder, or one holds no
    picture file.
    """
    roots = [Path(root) for root in folders_of(roots)]
    if len(roots) > 1:  # paths of one form, whose common part is a folder
        roots = [Path(os.path.abspath(root)) for root in roots]
    scans = {root: Scan(root) for root in roots}
    folders = [(folder, scan) for root, scan in scans.items() for folder in _class_trees(root, modality, scan)]
    common = Path(os.path.commonpath([folder for folder, _ in folders]))
    names, paths_of, repeated = {}, {}, 0  # class key -> name as first spelt; class key -> paths
    for folder, scan in folders:
        present = {key: set(map(_picture_key, paths)) for key, paths in paths_of.items()}
        for key, (name, paths) in _read_classes(folder, modality, scan).items():
            new = [path for path in paths if _picture_key(path) not in present.get(key, ())]
            repeated += len(paths) - len(new)
            names.setdefault(key, name)
            paths_of.setdefault(key, []).extend(paths if duplicates == "keep" else new)
    if repeated:
        done = "kept twice" if duplicates == "keep" else "counted once; --duplicates keep counts them twice"
        say(f"{', '.join(map(str, roots))}: {repeated} {modality} pictures lie in two folders and are {done}")
    for scan in scans.values():
        scan.report()
    classes = sorted(names.values())
    files, labels = [], []
    for label, name in enumerate(classes):
        paths = sorted(paths_of[class_key(name)], key=lambda path: (path.name, str(path)))
        files += [path.relative_to(common).as_posix() for path in paths]
        labels += [label] * len(paths)
    return PictureTree(common, tuple(files), np.array(labels, dtype=np.int64), tuple(classes))


def _picture_key(path):
    """The same for copies of a picture in a class: its name without suffix; of a drawing of Quick, Draw! its path."""
    return str(path) if is_drawing(str(path)) else Path(path).stem


def folders_of(folders):
    """A tuple of folders; one folder becomes a tuple of one."""
    return (folders,) if isinstance(folders, str | os.PathLike) else tuple(folders)


def _class_trees(root, modality, scan):
    """The folders under `root` whose folders, or files of drawings, are classes, at least one."""
    if not root.is_dir():
        fault = "expected a folder of class folders, received a file"
        raise BadInput(f"{root}: {fault if root.exists() else 'no such folder of class folders'}")
    inside = _folders(root, scan)
    if not inside and not _drawing_files(root, modality):
        raise BadInput(f"{root}: no class folders in it")
    versions = [folder.name for folder in inside if folder.name.startswith("tx_")]
    if versions:
        if _AS_DRAWN not in versions:
            raise BadInput(f"{root}: expected the folder {_AS_DRAWN} among its tx_ folders, found {versions[0]}")
        if len(versions) > 1:
            say(f"{root}: {_AS_DRAWN} is read, its {len(versions) - 1} shifted or scaled versions are not")
        return [root / _AS_DRAWN]
    names = {name.casefold() for name in _CONTAINERS[modality]}
    containers = [folder for folder in inside if folder.name.casefold() in names and _folders(folder, scan)]
    return [tree for folder in containers for tree in _class_trees(folder, modality, scan)] or [root]


def _folders(root, scan):
    return [root / name for name in _listed(root, scan)[0]]


def _drawing_files(root, modality):
    """Files of Quick, Draw! in a folder of sketches, sorted."""
    if modality != "sketch":
        return []
    return sorted(file for file in root.glob(f"[!.]*{drawings.SUFFIX}") if file.is_file())


def _listed(folder, scan):
    """`scan.folder`; raises BadInput for a folder that cannot be listed, since a class would be missing."""
    names, files = scan.folder(str(folder))
    if why := scan.unlisted.get(str(folder)):
        raise BadInput(f"{folder}: {why}")
    return names, files


def _read_classes(root, modality, scan):
    """Class key -> (name, picture paths) of the class folders, and files of drawings, in `root`."""
    classes = {}
    for folder in _folders(root, scan):
        paths = [Path(file.path) for file in _listed(folder, scan)[1]]
        if not paths:
            left_out = f" that can be read; left out: {scan.left_out()}" if scan.kinds else ""
            raise BadInput(f"{folder}: no pictures in this class folder{left_out}")
        _add_class(classes, folder, folder.name, paths)
    for file in _drawing_files(root, modality):
        paths = [Path(path) for path in drawings.list_drawings(file)]
        if not paths:
            raise BadInput(f"{file}: no drawings in it")
        _add_class(classes, file, file.stem, paths)
    return classes


def _add_class(classes, source, name, paths):
    if (key := class_key(name)) in classes:
        raise BadInput(f"{source}: the same class as {classes[key][0]} (case, spaces, '_' and '-' do not count)")
    classes[key] = name, paths


def matched_trees(photos, sketches, duplicates="drop", unpaired=False):
    """`matched_classes` of one or more folders of each modality."""
    trees = list_pictures(photos, "photo", duplicates), list_pictures(sketches, "sketch", duplicates)
    return matched_classes(*trees, unpaired)


def matched_classes(photos, sketches, unpaired=False):
    """Reduce both trees to the classes they share, in the photos' order: {"photo", "sketch": PictureTree}.

    With `unpaired` there is a third, "unpaired", of the sketches of classes without photos, if there are any.
    """
    common = class_indices(photos.classes).keys() & class_indices(sketches.classes).keys()
    shared = [name for name in photos.classes if class_key(name) in common]
    trees = {"photo": _renumbered(photos, shared), "sketch": _renumbered(sketches, shared)}
    for tree, kind in ((photos, "sketch"), (sketches, "photo")):
        alone = [name for name in tree.classes if class_key(name) not in common]
        if alone and unpaired and tree is sketches:
            trees["unpaired"] = _renumbered(sketches, alone)
        elif alone:
            warn(f"{tree.root}: {len(alone)} classes have no {kind} folder and are left out: {_first_names(alone)}")
    if len(shared) < 4:
        raise BadInput(f"{photos.root} and {sketches.root} share {len(shared)} classes; at least 4 are needed")
    return trees


def _first_names(names):
    """The first `_NAMED` of many class names, and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _renumbered(tree, classes):
    """The tree restricted to `classes`, its labels counting in their order."""
    position = class_indices(classes)
    labels = np.array([position.get(class_key(name), -1) for name in tree.classes])[tree.labels]
    rows = np.argsort(labels, kind="stable")[np.count_nonzero(labels < 0) :]
    return PictureTree(tree.root, tuple(tree.files[row] for row in rows), labels[rows], tuple(classes))


def first_of_each_class(tree, count, modality):
    """Reduce the tree to the alphabetically first `count` pictures of each class, and print how many these are.

    Alphabetical is by file name and Unicode code point (`n1_12619.jpg` before `n1_1270.jpg`, capitals before small
    letters), the order of `tree.files` within a class. Duplicates are kept or dropped together.
    """
    mask, names = np.zeros(len(tree.files), bool), [set() for _ in tree.classes]
    for row, (file, label) in enumerate(zip(tree.files, tree.labels, strict=True)):
        name = _picture_key(file)
        mask[row] = name in names[label] or len(names[label]) < count
        if mask[row]:
            names[label].add(name)
    short = [name for name, firsts in zip(tree.classes, names, strict=True) if len(firsts) < count]
    note = f"; {len(short)} classes have fewer: {_first_names(short)}" if short else ""
    say(f"{modality}: the first {count} of each class, {mask.sum():,} of {len(mask):,} pictures{note}")
    return tree.take(mask)


def compare_counts(trees, unseen_names):
    """Print the numbers of pictures and warn where they differ from the published ones."""
    dataset = literature.recognised(trees["photo"].classes)
    counts = {"photo": dataset.photos | dataset.extended, "sketch": dataset.sketches} if dataset else {}
    for modality, tree in trees.items():
        say(f"{modality}: {len(tree.files):,} pictures of {len(tree.classes)} classes in {tree.root}")
        if dataset and not dataset.published(len(tree.files), counts[modality]):
            text = ", ".join(f"{count:,} ({source})" for count, source in counts[modality].items())
            warn(f"{len(tree.files):,} {modality} pictures; the literature has {text}")
    unseen, name = class_indices(unseen_names), literature.list_name(unseen_names)
    for modality, count in literature.UNSEEN_PICTURES.get(name, {}).items():
        tree = trees[modality]
        size = sum(class_key(tree.classes[label]) in unseen for label in tree.labels)
        if size != count:
            warn(f"{size:,} {modality} pictures of the unseen classes; the literature has {count:,} for {name}.txt")


def class_folder(tree):
    """The folder whose class folders hold most of the pictures."""
    parents = Counter(Path(file).parent.parent for file in tree.files)
    return (tree.root / parents.most_common(1)[0][0]).resolve()


def listing_hash(tree):
    """A digest of the names and sizes of the tree's files."""
    digest = hashlib.sha256()
    for file, path in zip(tree.files, tree.paths(), strict=True):
        stored = os.path.dirname(path) if is_drawing(path) else path
        digest.update(os.fsencode(file) + f"\0{os.path.getsize(stored)}\n".encode())
    return digest.hexdigest()[:16]
