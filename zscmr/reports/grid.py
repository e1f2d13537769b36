"""The retrieval grid: queries with the pictures retrieved for them."""

import textwrap
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from zscmr.evaluation.embeddings import DIRECTIONS
from zscmr.evaluation.ranking import first_ranks, rank
from zscmr.reports.fonts import legible, look
from zscmr.utils.console import warn
from zscmr.utils.errors import BadInput
from zscmr.utils.files import whole_file

RIGHT, WRONG = "#2a9d4a", "#d0342c"  # frames of the retrieved pictures
INK, GREY, PALE = "#222222", "#777777", "#f1f1ee"
BOX = "#ff8c00"  # outline of the part of a picture that is similar
QUERIES, TOP = 8, 10  # of a grid: queries at most, and pictures retrieved for each
PLURAL = {"photo": "photos", "sketch": "sketches"}


def retrieval_grid(path, features, distance, seed=0, direction="sketch->image", rerank=False):
    """Draw random queries, each of another class, with the pictures nearest to them; write a PNG.

    Rows are in the order of class names. Right classes are framed green, wrong ones red. A picture that cannot be
    opened is replaced by its class name in a box.

    Args:
        path: the PNG to write.
        features: `Features` of the rows to draw from.
        distance: what to rank by.
        seed: of the draw.
        direction: a key of `DIRECTIONS`.
        rerank: whether the ranking is re-ranked.
    """
    (queries, gallery), (kind, gallery_kind) = features.sides(direction), DIRECTIONS[direction]
    if not len(queries.vectors) or not len(gallery.vectors):
        raise BadInput(f"{path}: the figure needs a {kind} and a {gallery_kind} of an evaluated class")
    rows = _one_per_class(queries.labels, np.random.default_rng(seed))
    rows = rows[np.argsort([features.class_name(label).casefold() for label in queries.labels[rows]], kind="stable")]
    own_rows = rows if queries is gallery else None
    orders = first_ranks(queries.vectors[rows], gallery.vectors, distance, TOP, own_rows, rerank)
    hits = gallery.labels[orders] == queries.labels[rows, None]
    subtitle = f"right class green ({hits.sum()} of {hits.size}), wrong red; "
    subtitle += f"{len(gallery.vectors)} {PLURAL[gallery_kind]}, {distance} distance{', re-ranked' * rerank}"
    if note := seen_classes_note(features, queries=queries.labels[rows], gallery=gallery.labels):
        subtitle += f"; {note}"
    lines = []
    for row, order, right in zip(rows, orders, hits, strict=True):
        name = features.class_name(queries.labels[row]).replace("_", " ")
        retrieved = framed_pictures(*_classes_and_paths(features, gallery, order), right)
        lines.append(Line(name, FramedPicture(queries.path(row), name), retrieved))
    lost = picture_grid(path, arrow(direction).capitalize(), subtitle, lines, features.leaked)
    for items, count in zip((queries, gallery), lost, strict=True):
        if count:
            warn(f"{path} shows class names in place of {count} pictures: {lost_because(items)}")


def instances_grid(path, features, pairs, distance, seed=0, rerank=False):
    """Draw random sketches of `pairs`, each of another class, with their own photo and the nearest of its class.

    The other arguments are those of `retrieval_grid`.
    """
    chosen = _one_per_class(features.sketch.labels[pairs.sketches], np.random.default_rng(seed))
    rows, lines = pairs.sketches[chosen], []
    orders = rank(features.sketch.vectors[rows], features.photo.vectors, distance, rerank=rerank)
    for row, original, order in zip(rows, pairs.photos[chosen], orders, strict=True):
        order = order[features.photo.labels[order] == features.photo.labels[original]]
        original_rank = int(np.flatnonzero(order == original)[0]) + 1
        shown = np.r_[original, order[: TOP - 1]]
        notes = [f"rank {original_rank} of {len(order)}", *[""] * (len(shown) - 1)]
        retrieved = framed_pictures(*_classes_and_paths(features, features.photo, shown), shown == original, notes)
        name = features.class_name(features.sketch.labels[row]).replace("_", " ")
        lines.append(Line(name, FramedPicture(features.sketch.path(row), name), retrieved))
    subtitle = f"the photo each sketch was drawn from (green), and the nearest of its class; {distance} distance"
    heads = ("own", *map(str, range(1, TOP)))
    picture_grid(path, "Sketch → its own photo", subtitle + ", re-ranked" * rerank, lines, features.leaked, heads)


def _classes_and_paths(features, items, rows):
    return [features.class_name(items.labels[row]) for row in rows], [items.path(row) for row in rows]


def arrow(direction):
    return direction.replace("->", " → ")


def seen_classes_note(features, **labels):
    """A phrase on which of the named `labels` (n,) hold seen classes; empty if none do."""
    sides = [name for name, part in labels.items() if not np.isin(part, features.unseen).all()]
    return f"generalised: seen classes among the {' and the '.join(sides)}" if sides else ""


def lost_because(items):
    """Why pictures of `items` cannot be shown."""
    return f"not found in {items.folder}" if items.folder else f"{items.key} comes without a picture folder"


@dataclass(frozen=True)
class FramedPicture:
    """A framed picture with a `note` under it; without the picture, a field with its `name`.

    `box`: part of the picture to outline (left, top, right, bottom), shares 0 to 1 of its sides.
    """

    path: Path | None
    name: str
    note: str = ""
    frame: str = GREY
    width: float = 1.0  # of the frame, in hundredths of an inch
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Line:
    """A query with its title, and the pictures retrieved for it."""

    title: str
    query: FramedPicture
    retrieved: list[FramedPicture]


def framed_pictures(classes, paths, right=None, notes=None):
    """Retrieved pictures, named by class; framed by whether they are `right` (n,), where that is known."""
    pictures = []
    for column, (name, path) in enumerate(zip(classes, paths, strict=True)):
        name = name.replace("_", " ")
        frame = INK if right is None else RIGHT if right[column] else WRONG
        note = name + (f"\n{notes[column]}" if notes else "")
        pictures.append(FramedPicture(path, name, note, frame, 1.0 if right is None else 2.5))
    return pictures


PITCH, SIDE, LINE = 0.96, 0.87, 1.11  # inches from picture to picture, of a picture, from line to line
NAMES, GAP = 1.5, 0.24  # inches: the column of titles, the space between query and retrieved pictures
TITLE, FOOT, LEADING = 0.98, 0.2, 0.15  # inches above and below, and of each further line of the subtitle
DPI = 130


def picture_grid(path, title, subtitle, lines, leaked="", heads=None):
    """Write a PNG with a line of pictures per query; return how many (queries, retrieved) a box replaces.

    Args:
        path: the PNG to write.
        title: one line.
        subtitle: wrapped to the width.
        lines: a `Line` a query.
        leaked: a warning to print in red; empty for none.
        heads: texts above the columns; left out, the ranks.
    """
    from matplotlib.figure import Figure
    from PIL import Image, ImageChops

    longest = max(len(line.retrieved) for line in lines)
    lower = 0.13 * max(picture.note.count("\n") for line in lines for picture in line.retrieved)  # a second line
    width = NAMES + GAP + PITCH * (1 + max(longest, 5)) + 0.1  # narrower, the text would take too many lines
    subtitle = _fitting(subtitle, width - 0.26, fontsize=9)
    further = LEADING * (len(subtitle) - 1)
    head = TITLE + further
    height = head + (LINE + lower) * len(lines) + FOOT
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    write = partial(_write, figure)
    write(0.13, 0.22, title, fontsize=13, weight="bold")
    for number, text in enumerate(subtitle):
        write(0.13, 0.45 + LEADING * number, text, fontsize=9, color=GREY)
    mark_leak(figure, leaked, 1 / height, 0.62 + further)
    canvas = Image.new("RGB", (int(width * DPI), int(height * DPI)), "white")  # an axes per picture takes seconds
    lost = [0, 0]
    for number, line in enumerate(lines):
        y = head + (LINE + lower) * number
        title = _wrapped(line.title, 14)
        write(NAMES - 0.1, y + SIDE / 2, title, NAMES - 0.2, ha="right", fontsize=11, weight="bold")
        lost[0] += not _draw(canvas, write, NAMES, y, line.query)
        for position, picture in enumerate(line.retrieved):
            x = NAMES + GAP + PITCH * (1 + position)
            lost[1] += not _draw(canvas, write, x, y, picture)
            if number == 0:
                column = heads[position] if heads else str(position + 1)
                write(x + SIDE / 2, y - 0.11, column, ha="center", fontsize=9, color=GREY)
    with whole_file(path) as part:
        # text is dark, on white where there is none; level 6, Pillow's own, saves a tenth for three times the time
        ImageChops.darker(canvas, rendered(figure)).save(part, format="png", compress_level=2)
    return lost


def rendered(figure):
    """The figure as a PIL image in RGB."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy())


def _write(figure, x, y, text, room=None, **style):
    """Write text at inches from the left and from the top; lines are cut with … to `room` inches."""
    width, height = figure.get_size_inches()
    text = legible(text)
    artist = figure.text(x / width, 1 - y / height, text, **({"va": "center", "color": INK} | look(text) | style))
    if room:
        artist.set_text("\n".join(_cut(artist, line, room) for line in text.splitlines()))


def _cut(artist, line, inches):
    """A line of text, cut with … to a width in inches, as the `artist` writes it."""
    cut, letters = line, len(line)
    while letters and (width := _width(artist, cut)) > inches:
        letters = max(0, min(letters - 1, int(letters * inches / width)))
        cut = line[:letters].rstrip() + "…"
    return cut


def _width(artist, text):
    """Inches that a text takes, as the `artist` writes it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = artist.figure.canvas
    renderer = (canvas if isinstance(canvas, FigureCanvasAgg) else FigureCanvasAgg(artist.figure)).get_renderer()
    artist.set_text(text)
    return artist.get_window_extent(renderer).width / artist.figure.dpi


def _fitting(text, inches, fontsize):
    """Lines of `text`, each at most so many inches wide."""
    from matplotlib.figure import Figure

    text = legible(text)
    figure, letters = Figure(dpi=DPI), len(text)
    artist = figure.text(0, 0, text, fontsize=fontsize, **look(text))
    while letters > 1 and (width := _width(artist, artist.get_text())) > inches:
        letters = max(1, min(letters - 1, int(letters * inches / width)))
        artist.set_text(textwrap.fill(text, letters))
    return artist.get_text().splitlines()


def _one_per_class(labels, generator):
    """Rows of QUERIES items at most, each of another class, drawn at random."""
    classes = generator.permutation(np.unique(labels))[:QUERIES]
    return np.array([generator.choice(np.flatnonzero(labels == label)) for label in classes])


def _draw(canvas, write, x, y, framed):
    """Draw one picture at inches from the left and from the top; False if a box with its name replaces it."""
    from PIL import ImageDraw, ImageOps

    picture = _picture(framed.path)
    left, top, side, width = (round(inches * DPI) for inches in (x, y, SIDE, framed.width / 100))
    draw = ImageDraw.Draw(canvas)
    draw.rectangle((left - width, top - width, left + side + width - 1, top + side + width - 1), framed.frame)
    if picture is None:
        draw.rectangle((left, top, left + side - 1, top + side - 1), PALE)
        write(x + SIDE / 2, y + SIDE / 2, _wrapped(framed.name, 10), SIDE - 0.05, ha="center", fontsize=8)
    else:
        canvas.paste(ImageOps.pad(picture, (side, side), color="white"), (left, top))
        if framed.box:
            outline = box_in_square(framed.box, picture.size, side)
            draw.rectangle([corner + edge for corner, edge in zip((left, top) * 2, outline, strict=True)], outline=BOX)
    note = framed.note.partition("\n")[2] if picture is None else framed.note  # the box holds the name already
    write(x + SIDE / 2, y + SIDE + 0.035, note, PITCH - 0.05, va="top", ha="center", fontsize=7)
    return picture is not None


def box_in_square(box, size, side):
    """Pixels (left, top, right, bottom) of a box in a picture that is padded to a square.

    Args:
        box: (left, top, right, bottom), shares 0 to 1 of the picture's sides.
        size: (width, height) of the picture.
        side: pixels of the square.
    """
    width, height = (side * length / max(size) for length in size)
    left, right = (round((side - width) / 2 + share * width) for share in box[::2])
    top, bottom = (round((side - height) / 2 + share * height) for share in box[1::2])
    return left, top, right - 1, bottom - 1


def _picture(path):
    """The picture in RGB, or None if there is no such file or it is no picture."""
    from zscmr.datasets.pictures import open_picture

    try:
        return open_picture(path, round(SIDE * DPI)) if path else None
    except OSError:
        return None


def _wrapped(name, width):
    """At most five lines of so many letters, the room beside or in a picture."""
    return textwrap.fill(name.replace("_", " "), width, max_lines=5, placeholder=" …")


def mark_leak(figure, leaked, inch, y):
    """Write the warning `leaked`, if any, `y` inches from the top; `inch`: its share of the figure's height."""
    if leaked:
        text = textwrap.shorten(f"WARNING: {legible(leaked)}", int(14 * figure.get_figwidth()), placeholder=" …")
        figure.text(0.02, 1 - y * inch, text, fontsize=8.5, color=WRONG, va="center", **look(text))
