"""Drawings of Quick, Draw! (.ndjson, simplified strokes): read, listed, and rendered as pictures.

A file CLASS.ndjson stands for a folder of drawings. The path of a drawing is CLASS.ndjson/OFFSET, the byte at which its
line begins; `datasets.pictures` reads it as a picture.
"""

import dataclasses
import io
import itertools
import json
import os
import re
from pathlib import Path

from PIL import Image, ImageDraw

from zscmr.utils.console import say, track
from zscmr.utils.errors import BadInput, first_line
from zscmr.utils.files import whole_folder
from zscmr.utils.options import Options, setting

EXTENT = 255  # largest coordinate of a simplified drawing, reached on its longer side
LONGEST_LINE = 2**20  # bytes of a drawing; those of the game have about 500
FINE = 4  # strokes are drawn this many times larger, then averaged down: antialiasing
MARGIN, PEN = 1 / 16, 1 / 80  # of the side: white on each side of the drawing, width of a stroke
SUFFIX = ".ndjson"
SIDE = 256  # pixels of a drawing read as a picture, those of Sketchy's sketches
_UNRECOGNISED = re.compile(rb'"recognized"\s*:\s*false')


@dataclasses.dataclass(frozen=True)
class DrawingOptions(Options):
    """Which drawings are rendered, and how large."""

    drawings: Path = setting(help="folder of CLASS.ndjson files, or one of them", metavar="PATH")
    out: Path = setting(help="folder to write the class folders to", metavar="DIR")
    first: int | None = setting(None, "number of drawings of each class (default: all)", least=1)
    recognised: bool = setting(False, "leave out drawings that the game did not recognise")
    size: int = setting(256, "side of a picture in pixels", least=16, below=4097)


def render_drawings(options):
    """Write OUT/CLASS/KEY.png for the drawings of `options` (`DrawingOptions`), a class folder at a time.

    A folder appears whole. One that exists is left as it is, so that a stopped run can be continued.
    """
    files = [options.drawings] if options.drawings.is_file() else sorted(options.drawings.glob("*.ndjson"))
    if not files:
        raise BadInput(f"{options.drawings}: no .ndjson file, nor a folder of them")
    for file in track(files, "drawings"):
        folder = options.out / file.stem
        if folder.exists():
            say(f"{folder} is already there")
            continue
        count = 0
        with whole_folder(folder) as part:
            for name, strokes in read_drawings(file, options.recognised):
                draw(strokes, options.size).save(part / f"{name}.png")
                count += 1
                if count == options.first:
                    break
            if not count:
                raise BadInput(f"{file}: no drawings in it")
        say(f"wrote {count:,} drawings to {folder}")


def read_drawings(file, recognised=False):
    """Yield (name, strokes) of each drawing; strokes are lists of points (x, y) from 0 to 255, y downwards.

    The name is the drawing's `key_id`, or its line number if that is no number or occurred before. With `recognised`,
    only those that the game recognised. Raises BadInput naming the line that holds no simplified drawing.
    """
    names = set()
    with open(file, "rb") as lines:
        for number in itertools.count(1):
            line = lines.readline(LONGEST_LINE + 1)
            if not line:
                return
            if not line.strip():
                continue
            entry = _entry(line, f"{file} line {number}")
            if recognised and entry.get("recognized") is not True:
                continue
            key = str(entry.get("key_id"))
            name = key if key.isascii() and key.isdigit() and len(key) <= 20 and key not in names else f"line-{number}"
            names.add(name)
            yield name, _strokes(entry.get("drawing"), f"{file} line {number}")


def list_drawings(file):
    """Paths FILE/OFFSET of the drawings in a file CLASS.ndjson, without those that the game did not recognise.

    Lines are not parsed: `read_strokes` finds damaged ones. Raises OSError.
    """
    paths, offset = [], 0
    with open(file, "rb") as lines:
        while line := lines.readline(LONGEST_LINE + 1):
            if line.strip() and not _UNRECOGNISED.search(line):
                paths.append(f"{file}/{offset}")
            offset += len(line)
    return paths


def is_drawing(path):
    """Whether a value is the path, as text, of a drawing in a file CLASS.ndjson."""
    if not isinstance(path, str):
        return False
    folder, name = os.path.split(path)
    return folder.endswith(SUFFIX) and name.isdigit() and name.isascii()


def read_strokes(path):
    """Strokes of the drawing with a path FILE/OFFSET, as of `read_drawings`. Raises BadInput or OSError."""
    file, offset = os.path.split(path)
    with open(file, "rb") as lines:
        lines.seek(int(offset))
        line = lines.readline(LONGEST_LINE + 1)
    return _strokes(_entry(line, path).get("drawing"), path)


def as_png(path):
    """The drawing with a path FILE/OFFSET as the bytes of a picture of SIDE pixels. Raises BadInput or OSError."""
    content = io.BytesIO()
    draw(read_strokes(path), SIDE).save(content, "PNG", compress_level=1)
    return content.getvalue()


def _entry(line, source):
    if len(line) > LONGEST_LINE:
        raise BadInput(f"{source}: longer than {LONGEST_LINE:,} bytes")
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{source}: not readable as JSON ({first_line(error)})") from error
    if not isinstance(entry, dict):
        raise BadInput(f"{source}: expected a JSON object, received a {type(entry).__name__}")
    return entry


def _strokes(drawing, source):
    strokes = []
    for stroke in drawing if isinstance(drawing, list) else ():
        axes = stroke if isinstance(stroke, list) and len(stroke) == 2 else ()
        if not axes or not all(isinstance(axis, list) and all(map(_is_coordinate, axis)) for axis in axes):
            break
        if len(axes[0]) != len(axes[1]) or not axes[0]:
            break
        strokes.append(list(zip(*axes, strict=True)))
    else:
        if strokes:
            return strokes
    raise BadInput(f"{source}: drawing: expected simplified strokes [[x …], [y …]] of numbers from 0 to {EXTENT}")


def _is_coordinate(value):
    return type(value) in (int, float) and 0 <= value <= EXTENT


def draw(strokes, size, pen=PEN, margin=MARGIN, fine=FINE):
    """Draw strokes in black on white, centred, as a grey PIL image (size, size).

    Args:
        strokes: lists or arrays of points (x, y) from 0 to `EXTENT`.
        size: side in pixels.
        pen, margin: width of a stroke, and of the white on each side of a drawing of `EXTENT`, as shares of the side.
        fine: factor by which strokes are drawn larger before they are averaged down.
    """
    side = fine * size
    scale, pen = side * (1 - 2 * margin) / EXTENT, max(1, round(pen * side))
    axes = zip(*(point for stroke in strokes for point in stroke), strict=True)
    shift = [side / 2 - scale * (min(axis) + max(axis)) / 2 for axis in axes]
    picture = Image.new("L", (side, side), "white")
    pencil = ImageDraw.Draw(picture)
    for stroke in strokes:
        points = [(scale * x + shift[0], scale * y + shift[1]) for x, y in stroke]
        pencil.line(points, "black", pen, joint="curve")
        for x, y in (points[0], points[-1]):  # round ends; a stroke of one point is a dot
            pencil.ellipse((x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2), "black")
    return picture.reduce(fine)
