"""The one search path: command, page and programs search a gallery through `Searcher.search_vectors`."""

import dataclasses
import functools
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from zscmr.datasets.classes import class_key
from zscmr.datasets.cleaning import DrawingNotes
from zscmr.datasets.crayons import colour_differences
from zscmr.evaluation.distances import MEMORY, check_vectors, scaled_rows
from zscmr.formats.dataset_directory import MODALITIES
from zscmr.inference.engines import LITERT
from zscmr.retrieval import hits
from zscmr.retrieval.encoder import SHIPPED, Encoder, as_file, as_list, embed_all, is_one
from zscmr.retrieval.filters import EVERYTHING, Filter
from zscmr.retrieval.hits import Answer
from zscmr.retrieval.run_gallery import open_encoder_table, open_run_table
from zscmr.retrieval.table_index import TableIndex, boxes_of, index_over, nearest_pictures
from zscmr.utils.errors import BadInput

if TYPE_CHECKING:
    from zscmr.retrieval.encoder import Picture


CLASS_WEIGHT = 0.5  # of the class in a query of a picture and a class name
COLOUR_WEIGHT = 0.15  # of the difference of colours, 0 to 1, in the distance from a drawing in colours
USUAL_DIFFERENCE = 0.8  # of colours between a drawing and photos of its class: the cut-off grows by its weight
CANDIDATES = 1000  # pictures nearest by shape whose colours are compared
WEIGHED = "colours weighed"
NOT_COSINE = "colours not weighed: only beside cosine distances"
NOT_READ = "colours not weighed: the gallery has none; --add reads those of the photos in a folder"
EXPECTED = 100  # hits of an answer that are looked up together, in groups
REMEMBERED = 5000  # ids that are remembered, and pictures


class UnknownPicture(BadInput):
    """An id that no picture of the gallery has."""


@dataclass(frozen=True)
class Queries:
    """What is searched with; vectors or a class name.

    Args:
        vectors: embeddings (q, dim) of pictures, or None.
        class_name: as of `Searcher.search`.
        colours: of each picture the shares (12,) of `drawing_colours`, None for one without; left out: none have any.
    """

    vectors: Any
    class_name: str | None = None
    colours: Any = None


class View:
    """The pictures of one modality in memory. Searching changes nothing."""

    def __init__(self, pictures, identity, memory=MEMORY):
        """`pictures`: a `Pictures`; `identity`: of their table; `memory`: bytes, of `Index`."""
        self.pictures, self.identity = pictures, identity
        self.index = index_over(pictures, identity, memory=memory) if len(pictures.ids) else None

    def search(self, vectors, top, filters=EVERYTHING, but=None, exact=True, colours=None):
        """An `Answer` for each of the vectors (q, dim).

        `colours`: as of `Queries`; the others as of `TableIndex.search`.
        """
        note = self._colours_note()
        by_colour = note == WEIGHED and any(shares is not None for shares in colours or ())
        mask, count = None, len(self.pictures.ids)
        if filters or but is not None:
            mask = filters.mask(self.pictures)
            if but is not None:
                mask &= self.pictures.ids != but
        searched = count if mask is None else int(np.count_nonzero(mask))
        if not searched:
            return hits.answers([self.pictures.take([])] * len(vectors), [()] * len(vectors), 0, count)
        candidates = nearest_pictures(self.index, vectors, max(top, CANDIDATES) if by_colour else top, mask)
        if by_colour:
            candidates = zip(*map(functools.partial(self._by_colour, top), *candidates, colours), strict=True)
        rows, distances, best = candidates
        boxes = [boxes_of(self.identity.windows, row) for row in best]
        parts = [functools.partial(self.pictures.parts, row) for row in rows]
        nearest = [self.pictures.take(row) for row in rows]
        answers = hits.answers(nearest, distances, searched, count, boxes=boxes, parts=parts)
        return hits.noted(answers, colours, note)

    def _colours_note(self):
        if self.identity.distance != "cosine":
            return NOT_COSINE
        return NOT_READ if self.pictures.colours is None else WEIGHED

    def _by_colour(self, top, rows, distances, best, shares):
        """The first `top` of candidates (k,), ordered anew with the colours `shares` (12,) of the query, or None."""
        if shares is None:
            return rows[:top], distances[:top], best[:top]
        differences = colour_differences(self.pictures.colours[rows], shares)
        unknown = np.isnan(differences)  # neither nearer nor farther than the others
        differences[unknown] = USUAL_DIFFERENCE if unknown.all() else np.mean(differences[~unknown])
        distances = distances + COLOUR_WEIGHT * differences
        order = np.argsort(distances, kind="stable")[:top]
        return rows[order], distances[order], best[order]

    def classes(self, filters=EVERYTHING):
        """The classes of the pictures that pass a filter, sorted."""
        names, codes = self.pictures.class_codes
        return sorted(names[code] for code in np.unique(codes[filters.mask(self.pictures)]))


class Latest:
    """A value that belongs to a version of the gallery.

    One thread makes the value of a new version; others get the one before meanwhile, and wait only for the first.
    """

    def __init__(self, make: Callable[[], Any]):
        self._make, self._lock = make, threading.Lock()
        self._version, self._value = None, None

    def get(self, version):
        current = self._version, self._value
        if current[0] == version:
            return current[1]
        if not self._lock.acquire(blocking=current[0] is None):
            return current[1]
        try:
            if self._version != version:
                value = self._make()
                self._value, self._version = value, version
            return self._value
        finally:
            self._lock.release()


class _StoredPictures:
    """Pictures looked up by id, all hits of an answer together: a look-up among a million rows takes 40 ms."""

    def __init__(self, table):
        self._table, self._lock = table, threading.Lock()
        self._hits, self._pictures, self._version = OrderedDict(), {}, None

    def expect(self, ids):
        """Remember the ids of an answer, which are likely to be looked up next, those of a group together."""
        ids = tuple(ids)
        with self._lock:
            for start in range(0, len(ids), EXPECTED):
                group = ids[start : start + EXPECTED]
                for picture_id in group:
                    self._hits[picture_id] = group
                    self._hits.move_to_end(picture_id)
            while len(self._hits) > REMEMBERED:
                self._hits.popitem(last=False)

    def get(self, picture_id):
        """The `StoredPicture` with an id, None where there is none."""
        version = self._table.version()
        with self._lock:
            if version != self._version or len(self._pictures) > REMEMBERED:
                self._pictures, self._version = {}, version
            if picture_id not in self._pictures:
                self._pictures |= self._table.stored(self._hits.get(picture_id, (picture_id,)))
            return self._pictures.get(picture_id)


class Searcher:
    """Searches a gallery with pictures or with what is in it.

    Thread-safe. Encoders are opened at first use. A gallery of up to `memory` bytes of vectors is searched in memory,
    a larger one in its table, by an index of LanceDB; both follow the gallery as it changes.
    """

    def __init__(self, table, open_encoder, memory=MEMORY):
        """`table`: a `Table`; `open_encoder`: modality -> `ModalityEncoder`; `memory`: bytes."""
        self.table, self.distance, self.memory = table, table.identity.distance, memory
        self._open_encoder = open_encoder
        self._encoders, self._encoder_lock = {}, threading.Lock()
        self._engines = {modality: Latest(functools.partial(self._engine, modality)) for modality in MODALITIES}
        self._stored = _StoredPictures(table)
        self._counts = {modality: Latest(functools.partial(table.counts, modality)) for modality in MODALITIES}

    @classmethod
    def open(cls, run, location=None, make=True, memory=MEMORY, windows=None, engine=LITERT):
        """The searcher of a run directory.

        `location`, `make` and `windows` as of `open_run_table`, `engine` as of `Encoder.load`.
        """
        open_encoder = functools.partial(Encoder.open, Path(run).resolve(), engine=engine)
        return Searcher(open_run_table(run, location, make, windows), open_encoder, memory)

    @classmethod
    def shipped(cls, location, make=True, memory=MEMORY, windows=None, engine=LITERT):
        """The searcher of the encoder that comes with the project; arguments as of `open`."""
        open_encoder = functools.partial(Encoder.shipped, engine=engine)
        return Searcher(open_encoder_table(location, SHIPPED, make, windows), open_encoder, memory)

    def encoder(self, modality):
        """The `ModalityEncoder` of a modality."""
        with self._encoder_lock:
            if modality not in self._encoders:
                self._encoders[modality] = self._open_encoder(modality)
            return self._encoders[modality]

    def embed(self, pictures, kind, notice=None):
        """Embeddings (n, dim) of a list of pictures; `notice` as of `ModalityEncoder.embed`.

        Raises BadInput that names one that cannot be read.
        """
        vectors = embed_all(self.encoder(kind), pictures, notice)
        check_vectors(vectors, "query", self.distance)
        return vectors

    @overload
    def search(
        self,
        pictures: "Picture",
        kind: str = "sketch",
        gallery: str = "photo",
        top: int = 10,
        filters: Filter = EVERYTHING,
        exact: bool = False,
        class_name: str | None = None,
    ) -> Answer: ...

    @overload
    def search(
        self,
        pictures: "Sequence[Picture]",
        kind: str = "sketch",
        gallery: str = "photo",
        top: int = 10,
        filters: Filter = EVERYTHING,
        exact: bool = False,
        class_name: str | None = None,
    ) -> list[Answer]: ...

    @overload
    def search(
        self,
        pictures: None = None,
        kind: str = "sketch",
        gallery: str = "photo",
        top: int = 10,
        filters: Filter = EVERYTHING,
        exact: bool = False,
        class_name: str = ...,
    ) -> Answer: ...

    def search(
        self, pictures=None, kind="sketch", gallery="photo", top=10, filters=EVERYTHING, exact=False, class_name=None
    ):
        """Find the nearest pictures: an `Answer` for one picture, a list of them for a sequence.

        Args:
            pictures: as of `Encoder.embed`; None: search with `class_name` alone.
            kind: what the pictures are, "photo" or "sketch".
            gallery: what is searched, "photo" or "sketch".
            top: number of hits.
            filters: a `Filter`.
            exact: above `memory`, compare every picture instead of asking the table's index.
            class_name: a class that the encoder knows (`class_names`), weighed with the pictures if both are given.

        Raises TypeError for what is no picture, and BadInput for one that cannot be read, an unknown kind or class
        name, or a filter that names what the gallery lacks.
        """
        if pictures is None and class_name is not None:
            [answer] = self.search_embedded(Queries(None, class_name), "sketch", gallery, top, filters, exact)
            return dataclasses.replace(answer, query=class_name)
        listed, notes = as_list(pictures), DrawingNotes(kind)
        files = [as_file(one) for one in listed]
        vectors = self.embed(files, kind, notes.note_colours)
        queries = Queries(vectors, class_name, [notes.colours.get(file) for file in files])
        answers = self.search_embedded(queries, kind, gallery, top, filters, exact)
        paths = [os.fsdecode(one) if isinstance(one, (str, os.PathLike)) else None for one in listed]
        answers = [dataclasses.replace(answer, query=path) for answer, path in zip(answers, paths, strict=True)]
        return answers[0] if is_one(pictures) else answers

    def search_embedded(self, queries, kind="sketch", gallery="photo", top=10, filters=EVERYTHING, exact=False):
        """An `Answer`, with its cut-off, for each of the `Queries`; others as of `search`.

        With the colours of a drawing a distance grows by COLOUR_WEIGHT times the difference of the colours.
        """
        vectors, cutoff = self.weighed(queries.vectors, queries.class_name), self.cutoff(kind, gallery)
        colours = queries.colours if gallery == "photo" else None
        answers = self.search_vectors(vectors, gallery, top, filters, exact, None, colours)
        raised = None if cutoff is None else cutoff + COLOUR_WEIGHT * USUAL_DIFFERENCE
        return [
            dataclasses.replace(answer, cutoff=raised if answer.colours == WEIGHED else cutoff) for answer in answers
        ]

    def search_vectors(self, vectors, gallery="photo", top=10, filters=EVERYTHING, exact=False, but=None, colours=None):
        """An `Answer` for each of the vectors (q, dim).

        `but`: id of a picture to leave out; `colours`: as of `Queries`; the others as of `search`.
        """
        engine = self._latest(self._engines, gallery)
        answers = engine.search(vectors, top, filters, but, exact, colours)
        for answer in answers:
            self._stored.expect(hit.id for hit in answer)
        return answers

    def like(self, picture_id, gallery="photo", top=10, filters=EVERYTHING, exact=False, class_name=None):
        """`search` with a picture of the gallery, which is left out. Raises UnknownPicture."""
        vectors = self.weighed(self.picture(picture_id).vector[None], class_name)
        return self.search_vectors(vectors, gallery, top, filters, exact, picture_id)[0]

    @property
    def class_names(self):
        """Names of the classes that can be searched by name; none for an encoder without class vectors."""
        class_vectors = self.encoder("sketch").class_vectors
        return class_vectors.names if class_vectors else ()

    def weighed(self, vectors, class_name):
        """Queries (q, dim) of embeddings and a class name, either of which may be None. Raises BadInput."""
        if class_name is None:
            return vectors
        class_vectors = self.encoder("sketch").class_vectors
        if class_vectors is None:
            raise BadInput("this encoder knows no class names; export.py writes those of a run, in this version")
        named = class_vectors.vector(class_name)[None]
        if vectors is None:
            return named
        if self.distance == "cosine":
            vectors = scaled_rows(vectors, self.distance)
        return ((1 - CLASS_WEIGHT) * vectors + CLASS_WEIGHT * named).astype(np.float32)

    def cutoff(self, kind, gallery):
        """Distance beyond which a gallery's pictures are not similar to a query; None if the encoder has none.

        Only sketches in search of photos have one.
        """
        return self.encoder(kind).cutoff if (kind, gallery) == ("sketch", "photo") else None

    def picture(self, picture_id):
        """The `StoredPicture` with this id. Raises UnknownPicture where there is none."""
        stored = self._stored.get(picture_id)
        if stored is None:
            raise UnknownPicture(f"no picture {picture_id!r} in the gallery")
        return stored

    def counts(self, modality):
        """The `Counts` of a modality; kept until the gallery changes."""
        return self._latest(self._counts, modality)

    def knows_classes(self, gallery="photo"):
        """Whether the encoder was trained on a class of the gallery; else its folders may be no classes, but months."""
        return not self.encoder("sketch").seen.isdisjoint(map(class_key, self.counts(gallery).classes))

    def classes(self, gallery="photo", filters=EVERYTHING):
        """The names of the classes of the pictures that pass a filter, sorted."""
        return self._latest(self._engines, gallery).classes(filters)

    def prepare(self, gallery="photo", kind="sketch"):
        """Make ready the encoder of the queries, the counts, and what the first search of a gallery needs."""
        self.encoder(kind)
        self.counts(gallery)
        self._latest(self._engines, gallery)

    def _latest(self, values, modality):
        if modality not in MODALITIES:
            raise BadInput(f"gallery: expected any of {', '.join(MODALITIES)}, received {modality!r}")
        return values[modality].get(self.table.version())

    def _engine(self, modality):
        if self.table.search_bytes(modality) <= self.memory:
            return View(self.table.pictures(modality), self.table.identity, self.memory)
        return TableIndex(self.table, modality)
