"""Drawings of Quick, Draw! (.ndjson, simplified strokes) rendered as pictures in class folders."""

import dataclasses
import itertools
import json
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


def _entry(line, where):
    if len(line) > LONGEST_LINE:
        raise BadInput(f"{where}: longer than {LONGEST_LINE:,} bytes")
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where}: not readable as JSON ({first_line(error)})") from error
    if not isinstance(entry, dict):
        raise BadInput(f"{where}: expected a JSON object, received a {type(entry).__name__}")
    return entry


def _strokes(drawing, where):
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
    raise BadInput(f"{where}: drawing: expected simplified strokes [[x …], [y …]] of numbers from 0 to {EXTENT}")


def _is_coordinate(value):
    return type(value) in (int, float) and 0 <= value <= EXTENT


def draw(strokes, size):
    """Draw strokes in black on white, centred, as a grey PIL image (size, size)."""
    side = FINE * size
    scale, pen = side * (1 - 2 * MARGIN) / EXTENT, max(1, round(PEN * side))
    axes = zip(*(point for stroke in strokes for point in stroke), strict=True)
    shift = [side / 2 - scale * (min(axis) + max(axis)) / 2 for axis in axes]
    picture = Image.new("L", (side, side), "white")
    pencil = ImageDraw.Draw(picture)
    for stroke in strokes:
        points = [(scale * x + shift[0], scale * y + shift[1]) for x, y in stroke]
        pencil.line(points, "black", pen, joint="curve")
        for x, y in (points[0], points[-1]):  # round ends; a stroke of one point is a dot
            pencil.ellipse((x - pen / 2, y - pen / 2, x + pen / 2, y + pen / 2), "black")
    return picture.reduce(FINE)
