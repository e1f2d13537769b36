"""The gallery of a run as an index: the embeddings of its `unified_features.mat`, and of pictures added since, in
memory-mapped arrays.

RUN/search/N is a folder of VARIABLE.npy as `embeddings.load` reads it, and of index.json: which `unified_features.mat`
it was made from, and which pictures follow its rows. The largest N counts; a change writes the next one whole.
"""

import dataclasses
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zscmr import runs
from zscmr.classes import class_indices, class_key
from zscmr.console import say, warn
from zscmr.dataset_files import MODALITIES
from zscmr.errors import BadInput
from zscmr.evaluation import embeddings
from zscmr.files import file_hash, read_json, whole_folder, write_json
from zscmr.pictures import SUFFIXES

FOLDER, ABOUT = "search", "index.json"
UNKNOWN = "unknown"  # class of added pictures that lie in no class folder
_ROWS = 2**16  # copied at a time


@dataclass(frozen=True)
class Added:
    """A picture that was added: its absolute path, class name, and what tells whether the file has changed since."""

    path: str
    class_name: str
    size: int  # bytes
    modified: int  # ns


@dataclass(frozen=True)
class Gallery:
    """All rows of an index as `features`; `own`: how many of them, by modality, and how many classes, are the run's.
    Those of the pictures `added`, by modality, follow."""

    run: Path
    number: int
    features: embeddings.Features
    own: dict
    added: dict
    source: dict  # size, time and content of the run's embeddings

    def items(self, modality):
        return getattr(self.features, modality)


def open_gallery(run):
    """The index of a run, made anew where there is none or the run's embeddings have changed."""
    file = run / runs.EMBEDDINGS
    if not file.is_file():
        raise BadInput(f"{file}: no such file; python Unified_XY_triads.py --path {run} --resume ends the run")
    number = max(_numbers(run), default=0)
    if number:
        gallery = _opened(run, number)
        if _unchanged(file, gallery.source):
            return gallery
        if lost := sum(map(len, gallery.added.values())):
            warn(f"{file}: has changed since pictures were added to its gallery; --add those {lost} again")
    features = embeddings.load(file)
    own = {modality: len(getattr(features, modality).labels) for modality in MODALITIES}
    source = {"size": file.stat().st_size, "modified": file.stat().st_mtime_ns, "sha256": file_hash(file)}
    gallery = Gallery(
        run, number, features, {**own, "classes": len(features.classes)}, {"photo": [], "sketch": []}, source
    )
    return _rewritten(gallery)


def changed(gallery, modality, kept, new, vectors):
    """The index with those of a modality's added pictures where `kept` (n,) is true and, after them, `new` ones with
    their `vectors`."""
    pictures = [one for one, keep in zip(gallery.added[modality], kept, strict=True) if keep] + new
    tail = np.concatenate([gallery.items(modality).vectors[gallery.own[modality] :][kept], vectors])
    return _rewritten(dataclasses.replace(gallery, added={**gallery.added, modality: pictures}), {modality: tail})


def _numbers(run):
    return [int(folder.name) for folder in (run / FOLDER).glob("[0-9]*") if folder.name.isdigit()]


def _opened(run, number):
    folder = run / FOLDER / str(number)
    about = read_json(folder / ABOUT)
    added = {modality: [Added(*one) for one in about["added"][modality]] for modality in MODALITIES}
    return Gallery(run, number, embeddings.load(folder), about["own"], added, about["source"])


def _unchanged(file, source):
    """By size and time, and where only the time differs, as in a copied run, by content."""
    state = file.stat()
    if state.st_size != source["size"]:
        return False
    return state.st_mtime_ns == source["modified"] or file_hash(file) == source["sha256"]


def _rewritten(gallery, tails=None):
    """Write the index that follows `gallery`, whose added pictures have the vectors `tails`, by modality, where these
    are not its own; opens it and deletes the one before."""
    features, own, added = gallery.features, gallery.own, gallery.added
    classes = list(features.classes[: own["classes"]])
    position = class_indices(classes)
    for picture in added["photo"] + added["sketch"]:
        if position.setdefault(class_key(picture.class_name), len(classes)) == len(classes):
            classes.append(picture.class_name)
    # nothing was trained on the pictures of a class that is not the run's
    unseen = np.append(features.unseen[features.unseen < own["classes"]], np.arange(own["classes"], len(classes)))
    variables = {"classes": classes, "unseen": unseen, "distance": [features.distance], "leaked": [features.leaked]}
    root = gallery.run / FOLDER
    with whole_folder(root / str(gallery.number + 1)) as folder:
        for modality, (vectors, labels, names, pictures) in zip(MODALITIES, embeddings.RELEASED_KEYS, strict=True):
            items, count = gallery.items(modality), own[modality]
            tail = (tails or {}).get(modality, items.vectors[count:])
            _save_rows(folder / f"{vectors}.npy", items.vectors[:count], tail)
            more = [position[class_key(picture.class_name)] for picture in added[modality]]
            variables[labels] = np.append(items.labels[:count], np.array(more, np.int64))
            named = items.names[:count] or [f"row {row}" for row in range(count)]
            variables[names] = [*named, *(picture.path for picture in added[modality])]
            variables[pictures] = [str(items.folder or "")]
        for name, values in variables.items():
            np.save(folder / f"{name}.npy", np.array(values))
        listed = {modality: [dataclasses.astuple(one) for one in added[modality]] for modality in MODALITIES}
        write_json(folder / ABOUT, {"source": gallery.source, "own": own, "added": listed})
    for number in set(_numbers(gallery.run)) - {gallery.number + 1}:
        shutil.rmtree(root / str(number), ignore_errors=True)
    return _opened(gallery.run, gallery.number + 1)


def _save_rows(path, *parts):
    """Write the rows of several arrays (n, dim) after each other as float32, in blocks: they may exceed memory."""
    shape = sum(map(len, parts)), parts[0].shape[1]
    if not shape[0]:
        np.save(path, np.empty(shape, np.float32))
        return
    whole, first = np.lib.format.open_memmap(path, "w+", np.float32, shape), 0
    for part in parts:
        for start in range(0, len(part), _ROWS):
            block = part[start : start + _ROWS]
            whole[first : first + len(block)] = block
            first += len(block)
    whole.flush()


def update(gallery, modality, folder, encoder):
    """The gallery brought up to date with a folder: new and changed pictures are embedded, those gone leave it.

    A folder that is gone takes all its pictures along. A call that was killed is continued by the next. Raises
    BadInput for a folder without a readable picture.
    """
    root, items, there = folder.resolve(), gallery.items(modality), gallery.added[modality]
    classes = class_indices(gallery.features.classes[: gallery.own["classes"]])
    found = {str(path): _described(path, root, classes) for path in pictures_in(root)}
    inside = np.array([Path(one.path).is_relative_to(root) for one in there], bool)
    if not found and not inside.any():
        raise BadInput(f"--add {folder}: {'no pictures in this folder' if root.exists() else 'no such folder'}")
    if not root.exists():
        warn(f"--add {folder}: no such folder; the {inside.sum()} pictures added from there leave the gallery")
    for row in range(gallery.own[modality] if items.folder else 0):  # the run's own pictures
        found.pop(os.path.abspath(items.path(row)), None)
    kept = ~inside | np.array([found.get(one.path) == one for one in there], bool)
    old = {one.path for one, keep in zip(there, kept, strict=True) if keep}
    new, vectors = [one for path, one in found.items() if path not in old], items.vectors[:0]
    work = gallery.run / FOLDER / ".part-added"
    if new:
        new, vectors = _embedded(new, encoder, work, modality)
        if not new and not (inside & kept).any():
            raise BadInput(f"--add {folder}: none of its pictures can be read")
    if new or not kept.all():
        gallery = changed(gallery, modality, kept, new, vectors if new else items.vectors[:0])
    shutil.rmtree(work, ignore_errors=True)
    say(
        f"{folder}: {len(new)} pictures added, {int((inside & kept).sum())} were there, {int((~kept).sum())} replaced "
        f"or gone; {len(gallery.items(modality).labels)} in the gallery"
    )
    return gallery


def _embedded(new, encoder, work, modality):
    """(those of the pictures `new` that can be read, their embeddings (n, dim)); unreadable ones are named."""
    identity = [modality, [[one.path, one.size, one.modified] for one in new]]
    paths = [one.path for one in new]
    vectors, readable = encoder.embed_kept(paths, work, identity, modality)
    for why in encoder.faults(paths, readable):
        warn(f"{why}, skipped")
    return [one for one, good in zip(new, readable, strict=True) if good], vectors[readable]


def pictures_in(folder):
    """Picture files of a folder and the folders in it, hidden ones apart, sorted."""
    inside = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    return [path for path in inside if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def _described(path, root, classes):
    """A picture as the index lists it; its class is the folder it lies in, if that lies in `root` or names a class."""
    state, name = path.stat(), path.parent.name
    named = path.parent != root or class_key(name) in classes
    return Added(str(path), name if named else UNKNOWN, state.st_size, state.st_mtime_ns)
