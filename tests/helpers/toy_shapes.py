"""A table in memory and an encoder of a few pixels: a `Searcher` without LanceDB, LiteRT or TensorFlow."""

import hashlib
import io
import os
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from zscmr.datasets.pictures import read_date, read_pictures, why_unreadable
from zscmr.formats.dataset_directory import MODALITIES
from zscmr.retrieval import Searcher
from zscmr.retrieval.encoder import as_file
from zscmr.retrieval.schema import Counts, Identity, Pictures, StoredPicture
from zscmr.retrieval.thumbnails import KeptThumbnails
from zscmr.retrieval.updates import Update

SIZE = 6
SHAPES = {
    "bar": lambda pen, box: pen.line([box[0], box[2]], "black", 9),
    "disc": lambda pen, box: pen.ellipse([box[0], box[2]], outline="black", width=9),
    "cross": lambda pen, box: [pen.line([box[0], box[2]], "black", 9), pen.line([box[1], box[3]], "black", 9)],
}
UNSEEN = ("cross",)


class ToyEncoder:
    """Grey values of SIZE × SIZE pixels, less one at which no two shapes are near duplicates."""

    cutoff, seen, class_vectors = None, frozenset(("bar", "disc")), None

    def embed(self, paths, notice=None):
        paths = [as_file(path) for path in paths]
        pictures, readable = read_pictures(paths, SIZE, notice=notice)
        return pictures.mean(axis=3).reshape(len(paths), SIZE * SIZE).astype(np.float32) / 255 - 0.85, readable

    def faults(self, paths, readable):
        return [why_unreadable(path, SIZE) for path, good in zip(paths, readable, strict=True) if not good]


class ToyTable:
    """`Table` as far as a `Searcher` uses it; `update` takes the folder's pictures in place of all before."""

    location = "toy"
    identity = Identity(SIZE * SIZE, "euclidean", "toy")
    thumbnails = KeptThumbnails("toy://none are kept")

    def __init__(self, folders):
        self.number, self.rows, self.states = 1, {}, {}
        for modality in MODALITIES:
            self._take(modality, folders.get(modality))

    def _take(self, modality, folder):
        self.rows[modality] = rows = pictures_of(modality, folder)
        states = ((path, os.stat(path)) for path in rows.paths)
        self.states |= {path: (status.st_size, status.st_mtime_ns) for path, status in states}

    def version(self):
        return self.number

    def pictures(self, modality):
        return self.rows[modality]

    def count(self, modality):
        return len(self.rows[modality].ids)

    def search_bytes(self, modality):
        return self.rows[modality].vectors.nbytes

    def counts(self, modality):
        folders = [str(Path(path).parent) for path in self.rows[modality].paths]
        classes = [dict(sorted(Counter(names).items())) for names in (self.rows[modality].classes, folders)]
        days = sorted(str(day) for day in self.rows[modality].taken.astype("M8[D]") if not np.isnat(day))
        return Counts(self.count(modality), *classes, (days[0], days[-1]) if days else None)

    def stored(self, ids):
        stored = map(self._stored, ids)
        return {picture.id: picture for picture in stored if picture}

    def _stored(self, picture_id):
        for modality, of in self.rows.items():
            for row in np.flatnonzero(of.ids == picture_id):
                texts = str(of.ids[row]), modality, of.paths[row], of.names[row], of.classes[row]
                state = self.states[of.paths[row]]
                return StoredPicture(*texts, bool(of.unseen[row]), *state, of.vectors[row])
        return None

    def update(self, modality, folder, encoder, progress=None, rules=None):
        count = len(pictures_of(modality, folder).ids)
        for done in range(count):
            progress(done, count)
        before = self.count(modality)
        self._take(modality, folder)
        self.number += 1
        return Update(self.count(modality), 0, before)


def pictures_of(modality, folder):
    """`Pictures` of the files in the class folders of a folder."""
    paths = sorted(Path(folder).rglob("*.*")) if folder else []
    ids = [hashlib.sha256(f"{modality}\0{path}".encode()).hexdigest()[:16] for path in paths]
    classes = [path.parent.name for path in paths]
    return Pictures(
        ids=np.array(ids, object),
        paths=np.array([str(path) for path in paths], object),
        names=np.array([f"{path.parent.name}/{path.name}" for path in paths], object),
        classes=np.array(classes, object),
        unseen=np.isin(classes, UNSEEN),
        vectors=ToyEncoder().embed(paths)[0],
        taken=np.array([read_date(path) for path in paths], "M8[s]"),
    )


def draw(kind, random, side=96):
    """A PIL image of a shape, a little displaced."""
    image = Image.new("RGB", (side, side), "white")
    left, top, *more = random.integers(5, 20, 4).tolist()
    right, bottom = side - more[0], side - more[1]
    SHAPES[kind](ImageDraw.Draw(image), [(left, top), (right, top), (right, bottom), (left, bottom)])
    return image


def draw_gallery(folder, per_class=8):
    """photo/ and sketch/ in `folder` with pictures in class folders, as {modality: folder}."""
    random = np.random.default_rng(0)
    for modality, suffix in (("photo", "jpg"), ("sketch", "png")):
        for kind in SHAPES:
            (folder / modality / kind).mkdir(parents=True)
            for number in range(per_class):
                draw(kind, random).save(folder / modality / kind / f"{kind}_{number}.{suffix}")
    return {modality: folder / modality for modality in MODALITIES}


def toy_searcher(folders):
    return Searcher(ToyTable(folders), lambda modality: ToyEncoder())


def colourful_photo(side=96):
    """A PIL image of blurred spots of many colours, like a photo in its colours and edges."""
    spots = Image.fromarray(np.random.default_rng(0).integers(0, 256, (12, 12, 3)).astype(np.uint8))
    return spots.resize((side, side), Image.Resampling.BICUBIC)


def picture_bytes(image, kind="PNG"):
    """A PIL image as the bytes of a file."""
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()
