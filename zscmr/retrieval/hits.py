"""What a search returns, for command, page and programs alike."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    import numpy as np
    import numpy.typing as npt

    from zscmr.retrieval.schema import Pictures


@dataclass(frozen=True)
class Hit:
    """A picture that a search found."""

    distance: float
    class_name: str  # table.UNKNOWN where there is none
    path: str  # absolute path or URI; empty where unknown
    name: str  # to be shown
    id: str  # 16 hexadecimal digits
    unseen: bool  # whether the encoder was not trained on the class
    #: the similar part (left, top, right, bottom) as shares 0 to 1 of the upright picture; None: all of it
    box: tuple[float, float, float, float] | None = None
    taken: str | None = None  # when, by the camera's clock, as 2024-06-30T18:05:00; None: unknown


@dataclass(frozen=True)
class Answer:
    """The nearest pictures of one query, nearest first. Iterates over its hits.

    Args:
        hits: the nearest pictures.
        searched: pictures that passed the filter.
        pictures: pictures of the modality in the gallery.
        how: empty if the vectors were compared in memory, else how the table was searched.
        query: what the user gave, if it was a path; the class name of a search by name alone.
        cutoff: distance beyond which pictures are not similar to the query; None: unknown.
        colours: how the colours of the drawing count, in words; empty for a query without colours.
        parts: () -> vectors (k, n, dim) of the hits, or packed codes, each whole and by its windows; None: unknown.
    """

    hits: tuple[Hit, ...]
    searched: int
    pictures: int
    how: str = ""
    query: str | None = None
    cutoff: float | None = None
    colours: str = ""
    parts: "Callable[[], npt.NDArray[np.generic]] | None" = field(default=None, compare=False, repr=False)

    @property
    def similar(self) -> int:
        """Number of hits within the cut-off, which come first; all hits without one."""
        return len(self.hits) if self.cutoff is None else sum(hit.distance <= self.cutoff for hit in self.hits)

    @property
    def any_similar(self) -> bool:
        """Whether any hit is within the cut-off; True without one."""
        return self.cutoff is None or self.similar > 0

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)

    def __getitem__(self, position: int) -> Hit:
        return self.hits[position]


def answers(
    pictures: "Sequence[Pictures]",
    distances: Sequence[Sequence[float]],
    searched: int,
    count: int,
    how: str = "",
    boxes: "Sequence[Sequence[tuple[float, float, float, float] | None]] | None" = None,
    parts: "Sequence[Callable[[], npt.NDArray[np.generic]]] | None" = None,
) -> list[Answer]:
    """An `Answer` for each query.

    Args:
        pictures: a `Pictures` for each query, nearest first.
        distances: their distances, (k,) for each query.
        searched, count, how: as of `Answer`.
        boxes: as of `Hit`, (k,) for each query; left out: whole pictures.
        parts: as of `Answer`, for each query; left out: whole pictures.
    """
    boxes = [[None] * len(row) for row in distances] if boxes is None else boxes
    parts = [partial(one.parts, slice(None)) for one in pictures] if parts is None else parts
    return [
        Answer(_hits(one, apart, box), searched, count, how, parts=of_one)
        for one, apart, box, of_one in zip(pictures, distances, boxes, parts, strict=True)
    ]


def noted(answers: Sequence[Answer], colours: "Sequence[object] | None", note: str) -> list[Answer]:
    """The answers, with `note` for those queries that have colours, which are not None."""
    has_colours = [False] * len(answers) if colours is None else [shares is not None for shares in colours]
    return [replace(one, colours=note) if noted else one for one, noted in zip(answers, has_colours, strict=True)]


def _hits(
    pictures: "Pictures", distances: Sequence[float], boxes: "Sequence[tuple[float, float, float, float] | None]"
) -> tuple[Hit, ...]:
    columns = pictures.classes, pictures.paths, pictures.names, pictures.ids, pictures.unseen
    taken = [None] * len(distances) if pictures.taken is None else pictures.taken.astype("M8[s]").astype(object)
    return tuple(
        Hit(float(distance), str(class_name), str(path), str(name), str(key), bool(unseen), box, _text(time))
        for distance, class_name, path, name, key, unseen, box, time in zip(
            distances, *columns, boxes, taken, strict=True
        )
    )


def _text(time: "datetime | None") -> str | None:
    return time.isoformat() if time else None
