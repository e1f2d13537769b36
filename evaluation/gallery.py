"""The gallery of a run as an index: the embeddings of its `unified_features.mat`, and of pictures added since, in
memory-mapped arrays.

RUN/search/N is a folder of VARIABLE.npy as `embeddings.load` reads it, and of index.json: which `unified_features.mat`
it was made from, and which pictures follow its rows. The largest N counts; a change writes the next one whole.
"""

import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import runs
from cli import BadInput, file_hash, warn, whole_folder
from evaluation import embeddings
from UxUyLoader import class_indices, class_key

EMBEDDINGS, FOLDER, ABOUT = "unified_features.mat", "search", "index.json"
UNKNOWN = "unknown"  # class of added pictures that lie in no class folder
MODALITIES = ("photo", "sketch")
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
    file = run / EMBEDDINGS
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
    about = runs.read_json(folder / ABOUT)
    added = {modality: [Added(*one) for one in about["added"][modality]] for modality in MODALITIES}
    return Gallery(run, number, embeddings.load(folder), about["own"], added, about["source"])


def _unchanged(file, source):
    """By size and time, and where only the time differs, as in a copied run, by content."""
    state = file.stat()
    if state.st_size != source["size"]:
        return False
    return state.st_mtime_ns == source["modified"] or file_hash(file) == source["sha256"]


def _rewritten(gallery, tails=None):
    """Writes the index that follows `gallery`, whose added pictures have the vectors `tails`, by modality, where these
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
        runs.write_json(folder / ABOUT, {"source": gallery.source, "own": own, "added": listed})
    for number in set(_numbers(gallery.run)) - {gallery.number + 1}:
        shutil.rmtree(root / str(number), ignore_errors=True)
    return _opened(gallery.run, gallery.number + 1)


def _save_rows(path, *parts):
    """Writes the rows of several arrays (n, dim) after each other as float32, in blocks: they may exceed memory."""
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
