"""Answers of a search for a reader: printed, written as JSON, drawn."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from zscmr.datasets.classes import class_key
from zscmr.reports import grid
from zscmr.retrieval.schema import UNKNOWN
from zscmr.utils.console import visible, warn
from zscmr.utils.files import write_json

SHOWN = 20  # most queries, and most hits of each, that the grid shows


def query_labels(queries, classes):
    """The class of each query file: that of the gallery's `classes` which its folder names, else None."""
    names = {class_key(name): name for name in classes}
    return [names.get(class_key(query.resolve().parent.name)) for query in queries]


def lines(answer, classes=True):
    """Lines of a table of the hits under one of the query; another separates what is not similar.

    `classes`: whether the table has a column of them.
    """
    column = ["class", *(visible(hit.class_name) for hit in answer)] if classes else [""] * (len(answer) + 1)
    heading, *names = [f"{one:<{max(map(len, column))}}  " if classes else "" for one in column]
    heading = f"  rank   distance  {heading}name"
    hits = [
        f"  {rank:>4}  {hit.distance:9.4f}  {name}{visible(hit.name)}{_part(hit.box)}"
        for rank, (hit, name) in enumerate(zip(answer, names, strict=True), start=1)
    ]
    if not answer.any_similar:
        return [visible(answer.query), "  nothing very similar; the nearest are", heading, *hits]
    if (similar := answer.similar) < len(hits):
        hits.insert(similar, "  not very similar:")
    return [visible(answer.query), heading, *hits]


def _part(box):
    """A box in the picture as text, in percent of width and height; empty for None."""
    if box is None:
        return ""
    left, top, right, bottom = (f"{100 * edge:.0f}" for edge in box)
    return f"  (across {left}-{right} %, down {top}-{bottom} %)"


def _described(hit):
    box = None if hit.box is None else list(hit.box)
    about = {"name": hit.name, "class": hit.class_name, "distance": hit.distance, "picture": hit.path or None}
    return {**about, "box": box}


def write_answers(file, about, answers):
    """Write the answers as JSON; `about`: what was searched and how."""
    queries = [
        {
            "query": os.fsencode(answer.query).decode(errors="backslashreplace"),  # a name may hold any bytes
            "cutoff": answer.cutoff,
            "similar": answer.any_similar,
            **({"colours": answer.colours} if answer.colours else {}),
            "found": [_described(hit) for hit in answer],
        }
        for answer in answers
    ]
    write_json(file, {**about, "queries": queries})


def draw_answers(path, title, subtitle, answers, labels, leaked=""):
    """Draw a grid of queries and their hits; where a query's class is known, right classes are green, others red.

    Args:
        path: PNG to write.
        title: of the grid.
        subtitle: what was searched.
        answers: an `Answer` for each query.
        labels: the class of each query, None where unknown.
        leaked: a sentence on unseen classes that were trained on, or empty.
    """
    rows = []
    for answer, label in list(zip(answers, labels, strict=True))[:SHOWN]:
        query, hits = Path(answer.query), answer.hits[:SHOWN]
        right = None if label is None else np.array([hit.class_name == label for hit in hits])
        cell = grid.FramedPicture(query, visible(query.stem), "" if label is None else visible(query.name))
        captions = [visible(Path(hit.name).stem) if hit.class_name == UNKNOWN else hit.class_name for hit in hits]
        paths = [Path(hit.path) if hit.path else None for hit in hits]
        notes = [
            f"{hit.distance:.3f}" if rank < answer.similar else f"({hit.distance:.3f})" for rank, hit in enumerate(hits)
        ]
        retrieved = grid.framed_pictures(captions, paths, right, notes)
        retrieved = [replace(picture, box=hit.box) for picture, hit in zip(retrieved, hits, strict=True)]
        rows.append(grid.Line(label or visible(query.stem), cell, retrieved))
    if any(label is not None for label in labels[:SHOWN]):
        subtitle += "; class of the query's folder green, other classes red"
    else:
        subtitle += "; plain frames: the queries' folders name no class of the gallery"
    if any(answer.similar < len(answer) for answer in answers[:SHOWN]):
        subtitle += "; distances in brackets: not very similar"
    if len(answers) > SHOWN:
        subtitle += f"; the first {SHOWN} of {len(answers)} queries"
    if (count := len(answers[0])) > SHOWN:
        subtitle += f"; the nearest {SHOWN} of {count} found"
    lost = sum(grid.picture_grid(path, title, subtitle, rows, leaked))
    if lost:
        warn(f"{path}: class names in place of {lost} pictures whose files are gone or unreadable")
