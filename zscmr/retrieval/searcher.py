"""A gallery with its encoders, and indexes that follow it: what commands, the server and Python search with."""

import functools
import os
import threading
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zscmr.evaluation.distances import MEMORY
from zscmr.evaluation.nearest import Index
from zscmr.formats.dataset_directory import MODALITIES
from zscmr.retrieval.encoder import Encoder
from zscmr.retrieval.filters import EVERYTHING
from zscmr.retrieval.run_gallery import open_gallery, open_shipped
from zscmr.retrieval.table_index import TableIndex
from zscmr.utils.errors import BadInput


@dataclass(frozen=True)
class Match:
    """A picture that was found; `unseen`: of a class that was not trained on."""

    id: str
    path: str
    name: str
    class_name: str
    unseen: bool
    distance: float


@dataclass(frozen=True)
class Found:
    """The nearest pictures, nearest first, of so many `searched`, of so many `pictures` of the gallery."""

    matches: list[Match]
    searched: int
    pictures: int


@dataclass(frozen=True)
class Ranking:
    """For each of several vectors the nearest pictures, `Pictures` nearest first, and their distances (k,).

    `searched` pictures of the `classes` could be found; `how` says how, if not by comparing all of them in memory.
    """

    found: list
    distances: list
    searched: int
    classes: list
    how: str = ""


class UnknownPicture(BadInput):
    """An id that no picture of the gallery has."""


class View:
    """The pictures of one modality at one version of a gallery, ready to be searched. Searching changes nothing."""

    def __init__(self, version, pictures, distance, memory=MEMORY):
        """`pictures`: a `gallery.Pictures`; `distance`: a metric of `Index`."""
        self.version, self.pictures = version, pictures
        self.index = Index(pictures.vectors, distance, memory) if len(pictures.ids) else None
        self._rows = {name: row for row, name in enumerate(pictures.ids)}

    def __len__(self):
        return len(self.pictures.ids)

    def row(self, picture_id):
        """Row of the picture with this id, None where there is none."""
        return self._rows.get(picture_id)

    @functools.cached_property
    def counts(self):
        """({class: pictures}, {folder: pictures}), sorted by name; the pictures of a folder lie in it directly."""
        folders = [os.path.dirname(path) for path in self.pictures.paths if path]
        return tuple(dict(sorted(Counter(names).items())) for names in (self.pictures.classes, folders))

    def nearest(self, vector, top, wanted=EVERYTHING, but=None):
        """`Found` for a vector (1, dim), among the pictures that are `wanted`, the row `but` apart."""
        kept = wanted.mask(self.pictures)
        if but is not None:
            kept[but] = False
        if not kept.any():
            return Found([], 0, len(self))
        (rows,), (distances,) = self.index.search(vector, top, None if kept.all() else kept)
        of = self.pictures
        columns = zip(of.ids[rows], of.paths[rows], of.names[rows], of.classes[rows], of.unseen[rows], strict=True)
        matches = [
            Match(*map(str, texts), bool(unseen), float(distance))
            for (*texts, unseen), distance in zip(columns, distances, strict=True)
        ]
        return Found(matches, int(np.count_nonzero(kept)), len(self))


class Searcher:
    """Searches a gallery with pictures or with what is in it.

    Thread-safe. Encoders are opened, and indexes made, at first use; an index is made anew once the gallery has
    changed, and searches that come meanwhile are answered from the one before.
    """

    def __init__(self, gallery, open_encoder, memory=MEMORY):
        """`gallery`: a `Gallery`; `open_encoder`: modality -> `Encoder`; `memory`: of `Index`."""
        self.gallery, self.distance, self.memory = gallery, gallery.identity.distance, memory
        self._open_encoder = open_encoder
        self._encoders, self._encoder_lock = {}, threading.Lock()
        self._views, self._view_locks = {}, {modality: threading.Lock() for modality in MODALITIES}

    @classmethod
    def open(cls, run, where=None, make=True, weights=None, memory=MEMORY):
        """The searcher of a run directory: `where` and `make` as of `open_gallery`, `weights` as of `Encoder.open`."""
        gallery = open_gallery(run, where, make)
        weights = weights and Path(weights).resolve()
        return cls(gallery, functools.partial(Encoder.open, Path(run).resolve(), weights=weights), memory)

    @classmethod
    def shipped(cls, where, make=True, memory=MEMORY):
        """The searcher of the encoder that comes with the project; `where` and `make` as of `open_shipped`."""
        return cls(open_shipped(where, make), Encoder.shipped, memory)

    def opener(self, modality):
        """A function without arguments that opens the encoder of a modality anew, in other processes too."""
        return functools.partial(self._open_encoder, modality)

    def encoder(self, modality):
        """The `Encoder` of a modality."""
        with self._encoder_lock:
            if modality not in self._encoders:
                self._encoders[modality] = self._open_encoder(modality)
            return self._encoders[modality]

    def view(self, modality):
        """The newest `View` of a modality that is ready."""
        version, ready = self.gallery.version(), self._views.get(modality)
        if ready and ready.version == version:
            return ready
        if not self._view_locks[modality].acquire(blocking=ready is None):
            return ready  # another thread makes the next one
        try:
            ready = self._views.get(modality)
            if not ready or ready.version != version:
                ready = View(version, self.gallery.pictures(modality), self.distance, self.memory)
                self._views[modality] = ready
            return ready
        finally:
            self._view_locks[modality].release()

    def find(self, picture_id):
        """(view, row) of the picture with this id. Raises UnknownPicture where there is none."""
        for modality in MODALITIES:
            view = self.view(modality)
            if (row := view.row(picture_id)) is not None:
                return view, row
        raise UnknownPicture(f"no picture {picture_id!r} in the gallery")

    def embed(self, picture, kind):
        """The embedding (1, dim) of a picture file, or of the bytes of one. Raises BadInput if it cannot be read."""
        encoder = self.encoder(kind)
        vectors, readable = encoder.embed([picture])
        if not readable[0]:
            raise BadInput(encoder.faults([picture], readable)[0])
        return vectors

    def search(self, picture, kind="sketch", gallery="photo", top=10, wanted=EVERYTHING):
        """`Found` for a picture file, or the bytes of one: the `top` nearest.

        `kind`: what the picture is; `gallery`: what is searched, "photo" or "sketch". Raises BadInput for a picture
        that cannot be read.
        """
        return self.view(gallery).nearest(self.embed(picture, kind), top, wanted)

    def rank(self, vectors, gallery="photo", top=10, wanted=EVERYTHING, exact=False):
        """`Ranking` for vectors (q, dim). The index of the table answers for a gallery above `memory`, unless `exact`.

        Raises BadInput where there is nothing to search.
        """
        searched = self.gallery.count(gallery, wanted)
        if not searched:
            raise BadInput(f"{self.gallery.where}: no {gallery} to search in the gallery")
        if self.gallery.search_bytes(gallery) <= self.memory:
            view = self.view(gallery)
            mask = wanted.mask(view.pictures)
            rows, distances = view.index.search(vectors, top, mask if wanted else None)
            found = [view.pictures.take(row) for row in rows]
            return Ranking(found, list(distances), searched, np.unique(view.pictures.classes[mask]).tolist())
        index = TableIndex(self.gallery, gallery, wanted, exact)
        how = (
            f"by an index that finds {index.recall:.1%} of the nearest"
            if index.recall < 1
            else "every picture compared"
        )
        return Ranking(*index.search(vectors, top), searched, self.gallery.class_names(index.condition), how)

    def like(self, picture_id, gallery="photo", top=10, wanted=EVERYTHING):
        """`search` with a picture of the gallery, which is not among those searched."""
        source, row = self.find(picture_id)
        view = self.view(gallery)
        return view.nearest(source.pictures.vectors[row : row + 1], top, wanted, view.row(picture_id))
