"""What a search finds: ranked, printed, written as JSON, drawn."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zscmr.datasets.classes import class_key
from zscmr.reports import grid
from zscmr.retrieval.gallery import UNKNOWN, Pictures
from zscmr.utils.console import warn
from zscmr.utils.files import write_json

SHOWN = 20  # queries, and pictures found of each, that the grid shows at most


@dataclass(frozen=True)
class Answer:
    """What was found for a query, nearest first: the pictures and their distances (k,).

    `label`: the query's class, known where it lies in a folder of that name and the gallery has the class.
    """

    query: Path
    label: str | None
    found: Pictures
    distances: np.ndarray


def answers_of(queries, ranking):
    """An `Answer` for each query file, from the `searcher.Ranking` of their embeddings."""
    classes = {class_key(name): name for name in ranking.classes}
    labels = [classes.get(class_key(query.resolve().parent.name)) for query in queries]
    return [Answer(*parts) for parts in zip(queries, labels, ranking.found, ranking.distances, strict=True)]


def listing(answer):
    """Lines of place, distance, class and name."""
    found = answer.found
    width = max(map(len, found.classes))
    lines = [
        f"  {place:>3}  {distance:9.4f}  {class_name:<{width}}  {name}"
        for place, (class_name, name, distance) in enumerate(
            zip(found.classes, found.names, answer.distances, strict=True), start=1
        )
    ]
    return "\n".join([str(answer.query), *lines])


def write_answers(file, about, answers):
    """Write the answers as JSON; `about`: what was searched and how."""
    queries = [
        {
            "query": str(answer.query),
            "found": [
                {"name": name, "class": class_name, "distance": float(distance), "picture": path or None}
                for name, class_name, distance, path in zip(
                    answer.found.names, answer.found.classes, answer.distances, answer.found.paths, strict=True
                )
            ],
        }
        for answer in answers
    ]
    write_json(file, {**about, "queries": queries})


def draw_answers(path, title, where, answers, leaked=""):
    """Draw a grid; where a query's class is known, right classes are framed green, wrong ones red.

    `where`: what was searched, in words.
    """
    lines = []
    for answer in answers[:SHOWN]:
        found, file = answer.found.take(slice(SHOWN)), answer.query.name
        right = None if answer.label is None else found.classes == answer.label
        notes = [f"{distance:.3f}" for distance in answer.distances]
        words = answer.label or answer.query.stem
        query = grid.FramedPicture(answer.query, answer.query.stem, "" if answer.label is None else grid.short(file))
        paths = [Path(file) if file else None for file in found.paths]
        captions = np.where(found.classes == UNKNOWN, [Path(name).stem for name in found.names], found.classes)
        lines.append(grid.Line(words, query, grid.framed_pictures(captions, paths, right, notes)))
    words = where
    if any(answer.label is not None for answer in answers[:SHOWN]):
        words += "; class of the query's folder green, other classes red"
    else:
        words += "; plain frames: the queries' folders name no class of the gallery"
    if len(answers) > SHOWN:
        words += f"; the first {SHOWN} of {len(answers)} queries"
    if (found := len(answers[0].found.ids)) > SHOWN:
        words += f"; the nearest {SHOWN} of {found} found"
    lost = sum(grid.picture_grid(path, title, words, lines, leaked))
    if lost:
        warn(f"{path}: class names in place of {lost} pictures whose files are gone or unreadable")
