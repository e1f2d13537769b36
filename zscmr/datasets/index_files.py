"""The index files of two picture trees, from file names: names, and pairs where a sketch's name has its photo's."""

import re
from collections import Counter
from pathlib import Path

import numpy as np

from zscmr.datasets.classes import class_positions
from zscmr.formats import dataset_directory as released
from zscmr.formats import matfiles
from zscmr.formats.dataset_directory import FILES, PAIRS


def write_index(out, trees):
    """Write the index files of both trees into `out` and return their paths.

    Without pairs there is no dataset2.mat; one that is there is deleted, since it would be of other pictures.
    """
    cells = {FILES[modality]["names"]: names_cell(tree) for modality, tree in trees.items()}
    pairs = pairs_cell(trees["photo"], trees["sketch"])
    (out / PAIRS[0]).unlink(missing_ok=True)
    if pairs.shape[2]:
        cells[PAIRS] = pairs
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
    for position, names in per_photo.items():
        cell[position][: len(names)] = names
    return cell


def _photo_of(sketch):
    """`n02691156_10151` of `…/n02691156_10151-3.png`; None for a name of another form."""
    match = re.fullmatch(r"(.+)-\d+", Path(sketch).stem)
    return match and match[1]


def compare_index(path, reference):
    """Compare the index file `reference` with `path`, list of names by list of names; return the lines of a report."""
    key = next(key for name, key in _INDEX if name == path.name)
    cells, second = matfiles.read(path, key), matfiles.read(reference, key)
    order = np.arange(len(cells))
    if "classes" in matfiles.keys(reference):
        order = class_positions(
            matfiles.read_names(path, "classes"), matfiles.read_names(reference, "classes"), reference
        )
    elif len(second) != len(cells):
        return [f"{reference}: {len(second)} rows for {len(cells)} classes, and no 'classes' to compare them by"]
    lists = equally_long = names = common = 0
    for position in np.ndindex(cells.shape[:-1]):
        left = _filled(cells[position])
        other_position = (order[position[0]], *position[1:])
        right = _filled(second[other_position]) if all(np.less(other_position, second.shape[:-1])) else []
        lists += 1
        equally_long += len(left) == len(right)
        names += len(left)
        common += sum((Counter(left) & Counter(right)).values())
    lines = [
        f"{reference}: {equally_long:,} of {lists:,} lists are as long as here, {common:,} of {names:,} names agree"
    ]
    return lines + ([f"{reference}: {defect}" for defect in released.index_defects(second)] if second.ndim == 3 else [])


_INDEX = (FILES["photo"]["names"], FILES["sketch"]["names"], PAIRS)


def _filled(entries):
    return [entry for entry in entries if isinstance(entry, str) and entry]
