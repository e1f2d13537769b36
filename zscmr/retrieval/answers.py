"""What a search finds: ranked, printed, written as JSON, drawn."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zscmr.classes import class_indices, class_key
from zscmr.console import warn
from zscmr.figures import grid
from zscmr.files import write_json

SHOWN = 20  # queries, and pictures found of each, that the grid shows at most


@dataclass(frozen=True)
class Answer:
    """What was found for a query: gallery rows, nearest first, and their distances.

    `label`: the query's class index, known where it lies in a folder of that name and the gallery has the class.
    """

    query: Path
    label: int | None
    rows: np.ndarray
    distances: np.ndarray


def answers_of(queries, found, distances, features, items):
    """An `Answer` for each query; `found` and `distances` (queries, k) are those of an `Index` over `items`."""
    present = set(np.unique(items.labels))
    classes = {key: label for key, label in class_indices(features.classes).items() if label in present}
    labels = [classes.get(class_key(query.resolve().parent.name)) for query in queries]
    return [Answer(*parts) for parts in zip(queries, labels, found, distances, strict=True)]


def listing(answer, features, items):
    """Lines of place, distance, class and name."""
    names = [features.class_name(items.labels[row]) for row in answer.rows]
    width = max(map(len, names))
    lines = [
        f"  {place:>3}  {distance:9.4f}  {name:<{width}}  {items.names[row]}"
        for place, (row, name, distance) in enumerate(zip(answer.rows, names, answer.distances, strict=True), start=1)
    ]
    return "\n".join([str(answer.query), *lines])


def write_answers(file, about, features, items, answers):
    """Write the answers as JSON; `about`: what was searched and how."""
    found = [
        {
            "query": str(answer.query),
            "found": [
                {
                    "name": items.names[row],
                    "class": features.class_name(items.labels[row]),
                    "distance": float(distance),
                    "picture": str(items.path(row)) if items.folder else None,
                }
                for row, distance in zip(answer.rows, answer.distances, strict=True)
            ],
        }
        for answer in answers
    ]
    write_json(file, {**about, "queries": found})


def draw_answers(path, title, where, features, items, answers):
    """Draw a grid; where a query's class is known, right classes are framed green, wrong ones red.

    `where`: what was searched, in words.
    """
    lines = []
    for answer in answers[:SHOWN]:
        rows, file = answer.rows[:SHOWN], answer.query.name
        right = None if answer.label is None else items.labels[rows] == answer.label
        notes = [f"{distance:.3f}" for distance in answer.distances]
        words = answer.query.stem if answer.label is None else features.class_name(answer.label)
        query = grid.Cell(answer.query, answer.query.stem, "" if answer.label is None else grid.short(file))
        lines.append(grid.Line(words, query, grid.found_cells(features, items, rows, right, notes)))
    words = where
    if any(answer.label is not None for answer in answers[:SHOWN]):
        words += "; class of the query's folder green, other classes red"
    if len(answers) > SHOWN:
        words += f"; the first {SHOWN} of {len(answers)} queries"
    if (found := len(answers[0].rows)) > SHOWN:
        words += f"; the nearest {SHOWN} of {found} found"
    lost = sum(grid.picture_grid(path, title, words, lines, features.leaked))
    if lost:
        warn(f"{path}: class names in place of {lost} pictures, {grid.lost_because(items)}; back there they are drawn")
