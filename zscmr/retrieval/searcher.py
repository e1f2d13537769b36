"""A gallery with its encoders, and indexes that follow it: what commands, the server and Python search with."""

import functools
import os
import threading
from dataclasses import dataclass

import numpy as np

from zscmr.dataset_files import MODALITIES
from zscmr.errors import BadInput
from zscmr.evaluation.distances import MEMORY
from zscmr.evaluation.nearest import Index
from zscmr.retrieval.encoder import Encoder
from zscmr.retrieval.run_gallery import open_gallery


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
    """The nearest pictures, nearest first, of so many `searched`."""

    matches: list[Match]
    searched: int


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
    def folders(self):
        """The folder of each picture, (n,) str."""
        return np.array([os.path.dirname(path) for path in self.pictures.paths], np.str_)

    def counts(self):
        """({class: pictures}, {folder: pictures}), sorted by name; the pictures of a folder lie in it directly."""
        return tuple(_counted(names) for names in (self.pictures.classes, self.folders))

    def chosen(self, classes=(), folder=None, unseen_only=False):
        """Mask (n,) of the pictures of any of `classes`, in `folder` or the folders in it, and of unseen classes; None
        where nothing is left out. Raises BadInput for a class or folder without pictures."""
        kept = np.ones(len(self), bool)
        if classes:
            kept &= np.isin(self.pictures.classes, list(classes))
            if missing := set(classes) - set(self.pictures.classes[kept]):
                raise BadInput(f"class: no picture of '{min(missing)}' in the gallery")
        if folder is not None:
            inside = (self.folders == folder) | np.char.startswith(self.folders, os.path.join(folder, ""))
            if not inside.any():
                raise BadInput(f"folder: no picture of '{folder}' in the gallery")
            kept &= inside
        if unseen_only:
            kept &= np.asarray(self.pictures.unseen, bool)
        return None if kept.all() else kept

    def nearest(self, vector, top, keep=None):
        """`Found` for a vector (1, dim), among the pictures of the mask `keep` (n,)."""
        searched = len(self) if keep is None else int(np.count_nonzero(keep))
        if not searched:
            return Found([], 0)
        (rows,), (distances,) = self.index.search(vector, top, keep)
        of = self.pictures
        columns = zip(of.ids[rows], of.paths[rows], of.names[rows], of.classes[rows], of.unseen[rows], strict=True)
        matches = [
            Match(*map(str, texts), bool(unseen), float(distance))
            for (*texts, unseen), distance in zip(columns, distances, strict=True)
        ]
        return Found(matches, searched)


def _counted(names):
    present, counts = np.unique(names, return_counts=True)
    return dict(zip(present.tolist(), counts.tolist(), strict=True))


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
        return cls(gallery, lambda modality: Encoder.open(run, modality, weights), memory)

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
        """(view, row) of the picture with this id. Raises BadInput where there is none."""
        for modality in MODALITIES:
            view = self.view(modality)
            if (row := view.row(picture_id)) is not None:
                return view, row
        raise BadInput(f"no picture {picture_id!r} in the gallery")

    def embed(self, picture, kind):
        """The embedding (1, dim) of a picture file, or of the bytes of one. Raises BadInput if it cannot be read."""
        encoder = self.encoder(kind)
        vectors, readable = encoder.embed([picture])
        if not readable[0]:
            raise BadInput(encoder.faults([picture], readable)[0])
        return vectors

    def search(self, picture, kind="sketch", gallery="photo", top=10, **chosen):
        """`Found` for a picture file, or the bytes of one: the `top` nearest.

        `kind`: what the picture is; `gallery`: what is searched, "photo" or "sketch"; `chosen`: as of `View.chosen`.
        Raises BadInput for a picture that cannot be read.
        """
        view = self.view(gallery)
        keep = view.chosen(**chosen)
        return view.nearest(self.embed(picture, kind), top, keep)

    def like(self, picture_id, gallery="photo", top=10, **chosen):
        """`search` with a picture of the gallery, which is not among those searched."""
        source, row = self.find(picture_id)
        view = self.view(gallery)
        keep = view.chosen(**chosen)
        if (own := view.row(picture_id)) is not None:
            keep = np.ones(len(view), bool) if keep is None else keep
            keep[own] = False
        return view.nearest(source.pictures.vectors[row : row + 1], top, keep)
