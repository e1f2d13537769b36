"""The index of two picture trees: names_images.mat, names_sketches.mat and, where sketch names say which photo they
draw (`n02691156_10151-3.png` draws `n02691156_10151.jpg`), dataset2.mat. Needs file names only, no picture is opened.

With --against, reports where the index files of another directory, the released ones say, differ.
"""

import re
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the project's modules lie one folder up
import matfiles
import released
import UxUyLoader as loader
from cli import run, say, setting
from pretrain import layouts


@dataclass(frozen=True)
class Settings:
    photos: Path = setting(help="folder of photos: class folders, or as Sketchy or TU-Berlin unpack", metavar="DIR")
    sketches: Path = setting(help="folder of sketches, likewise", metavar="DIR")
    out: Path = setting(help="dataset directory to write to", metavar="DIR")
    against: Path | None = setting(None, "directory of index files to compare with", metavar="DIR")
    duplicates: str = setting("drop", "pictures that lie in two folders", choices=("drop", "keep"))


def main(settings):
    trees = layouts.matched_classes(
        layouts.list_pictures(settings.photos, "photo", settings.duplicates),
        layouts.list_pictures(settings.sketches, "sketch", settings.duplicates),
    )
    for path in write(settings.out, trees):
        say(f"wrote {path}")
        if settings.against and (settings.against / path.name).exists():
            for line in differences(path, settings.against / path.name):
                say(line)


def write(out, trees):
    """Writes the index files of both trees into `out` and returns their paths; without pairs, no dataset2.mat."""
    cells = {loader.FILES[modality]["names"]: names_cell(tree) for modality, tree in trees.items()}
    pairs = pairs_cell(trees["photo"], trees["sketch"])
    (out / loader.PAIRS[0]).unlink(missing_ok=True)  # one of other pictures would be wrong
    if pairs.shape[2]:
        cells[loader.PAIRS] = pairs
    classes = list(trees["photo"].classes)
    for (file, key), cell in cells.items():
        matfiles.write(out / file, {key: cell, "classes": classes})
    return [out / file for file, _ in cells]


def names_cell(tree):
    """File names by class: (classes, most pictures of a class) cell, padded with 0, as released."""
    per_class = np.bincount(tree.labels, minlength=len(tree.classes))
    cell = np.zeros((len(tree.classes), per_class.max()), dtype=object)
    start = np.cumsum(per_class) - per_class
    for row, (file, label) in enumerate(zip(tree.files, tree.labels, strict=True)):
        cell[label, row - start[label]] = Path(file).name
    return cell


def pairs_cell(photos, sketches):
    """The sketches of each photo: (classes, most photos of a class, most sketches of a photo) cell, padded with 0.

    Its second axis counts as the columns of `names_cell(photos)` do.
    """
    drawn = {}  # (class, photo name without suffix) -> names of its sketches
    for file, label in zip(sketches.files, sketches.labels, strict=True):
        photo = _photo_of(file)
        if photo:
            drawn.setdefault((label, photo), []).append(Path(file).name)
    per_photo = {}
    for label, row in enumerate(names_cell(photos)):
        for column, name in enumerate(row):
            if name and (label, Path(name).stem) in drawn:
                per_photo[label, column] = drawn[label, Path(name).stem]
    most = np.bincount(photos.labels).max()
    cell = np.zeros((len(photos.classes), most, max(map(len, per_photo.values()), default=0)), dtype=object)
    for place, names in per_photo.items():
        cell[place][: len(names)] = names
    return cell


def _photo_of(sketch):
    """`n02691156_10151` of `…/n02691156_10151-3.png`; None for a name of another form."""
    form = re.fullmatch(r"(.+)-\d+", Path(sketch).stem)
    return form and form[1]


def differences(ours, other):
    """Lines that say how far the index file `other` agrees with `ours`, slot by slot of each row of the first axes."""
    key = next(key for file, key in _INDEX if file == ours.name)
    mine, theirs = matfiles.read(ours, key), matfiles.read(other, key)
    order = np.arange(len(mine))
    if "classes" in matfiles.keys(other):
        order = loader.class_positions(
            matfiles.read_names(ours, "classes"), matfiles.read_names(other, "classes"), other
        )
    elif len(theirs) != len(mine):
        return [f"{other}: {len(theirs)} rows for {len(mine)} classes, and no 'classes' to compare them by"]
    counts = names = total = places = 0
    for place in np.ndindex(mine.shape[:-1]):
        left = _filled(mine[place])
        there = (order[place[0]], *place[1:])
        right = _filled(theirs[there]) if all(np.less(there, theirs.shape[:-1])) else []
        places += 1
        counts += len(left) == len(right)
        names += sum((Counter(left) & Counter(right)).values())
        total += len(left)
    lines = [f"{other}: {counts:,} of {places:,} lists are as long as here, {names:,} of {total:,} names agree"]
    return lines + ([f"{other}: {defect}" for defect in released.index_defects(theirs)] if theirs.ndim == 3 else [])


_INDEX = (loader.FILES["photo"]["names"], loader.FILES["sketch"]["names"], loader.PAIRS)


def _filled(entries):
    return [entry for entry in entries if isinstance(entry, str) and entry]


if __name__ == "__main__":
    run(main, Settings, __doc__)
