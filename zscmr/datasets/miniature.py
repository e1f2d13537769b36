"""Pictographs of DejaVu Sans drawn as photos and sketches."""

import dataclasses
import hashlib
import json
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from zscmr.datasets.classes import UNSEEN, read_class_list
from zscmr.datasets.literature import SPLITS
from zscmr.utils.console import say, track
from zscmr.utils.errors import BadInput
from zscmr.utils.files import whole_folder
from zscmr.utils.options import Options, setting

CLASSES_FILE = Path(__file__).with_name("miniature_classes.txt")
UNSEEN_FILE = SPLITS / "miniature-24.txt"
FONT_FILE = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
DRAWING = 1  # raise it when the same settings give other pictures
# how descriptions named drawing 1 before it had a number
FIRST_SOURCES = "3a9a46b6a2231473d14dbd6e31dd232e9c5602449a4ceb564f5b71ef1217cf03"
VECTOR_DIM = 300  # as the word vectors of the paper
SPACING = 0.04  # between neighbouring outline points, in units of half the picture's side
FINE = 4  # outlines are drawn this many times larger, then averaged down: antialiasing


@dataclasses.dataclass(frozen=True)
class MiniatureOptions(Options):
    """What is drawn, how often, and where to."""

    out: Path = setting(Path("data/miniature"), "folder to write; must not exist yet")
    seed: int = setting(0, "of everything random in the pictures", least=0)
    per_class: int = setting(40, "photos per class, and as many sketches", least=1)
    size: int = setting(48, "side of a picture in pixels", least=16)
    classes: int = setting(0, "draw only so many classes, seen and unseen in proportion; 0 draws all", least=0)


@dataclasses.dataclass(frozen=True)
class Pictograph:
    """A class of the miniature: a glyph and its position in the taxonomy."""

    name: str
    code_point: int
    path: tuple[str, ...]  # taxonomy nodes from family to class, the class's own name last


def draw_miniature(options):
    """Draw the dataset of `options` (`MiniatureOptions`) in a folder that appears whole.

    Raises BadInput where the folder exists and was drawn with other settings.
    """
    drawn_with = description(options)
    if options.out.exists():
        if _same(stored_description(options.out), drawn_with):
            say(f"{options.out} is already there, drawn with the same settings")
            return
        raise BadInput(f"{options.out}: exists and is not this miniature; remove it or choose another --out")
    pictographs, unseen = choose_classes(read_classes(), read_class_list(UNSEEN_FILE), options.classes)
    with whole_folder(options.out) as folder:
        for pictograph in track(pictographs, "drawing classes"):
            draw_class(pictograph, folder, options)
        np.savez(
            folder / "class_vectors.npz",
            classes=np.array([p.name for p in pictographs]),
            taxonomy=np.stack([class_vector(p.path) for p in pictographs]),
        )
        (folder / UNSEEN).write_text("".join(f"{name}\n" for name in unseen), encoding="utf-8", newline="\n")
        (folder / "miniature.json").write_text(json.dumps(drawn_with, indent=1), encoding="utf-8", newline="\n")
    say(
        f"{options.out}: {len(pictographs)} classes ({len(unseen)} unseen), "
        f"{options.per_class} photos and {options.per_class} sketches each"
    )


def description(options):
    """Return what determines every byte of the miniature: settings, number of the drawing, digest of its two lists."""
    lists = "".join(path.read_text(encoding="utf-8") for path in (CLASSES_FILE, UNSEEN_FILE))
    settings = dataclasses.asdict(options)
    del settings["out"]
    return {**settings, "drawing": DRAWING, "lists": hashlib.sha256(lists.encode()).hexdigest()}


def _same(stored, current):
    """Whether two descriptions are of the same pictures; `stored` may be older than the number `DRAWING`."""
    if stored and stored.get("sources") == FIRST_SOURCES:
        stored = {**stored, "drawing": current["drawing"], "lists": current["lists"]}
        del stored["sources"]
    return stored == current


def stored_description(folder):
    """Read the description that a miniature in `folder` was drawn with, or None if there is none."""
    try:
        return json.loads((Path(folder) / "miniature.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def read_classes():
    """Read the pictographs of CLASSES_FILE, in its order."""
    pictographs = []
    for line in read_class_list(CLASSES_FILE):
        code_point, name, parents = line.split()
        pictographs.append(Pictograph(name, int(code_point, 16), (*parents.split("/"), name)))
    return pictographs


def choose_classes(pictographs, unseen, count):
    """Choose `count` classes (0: all), evenly, seen and unseen in proportion: (pictographs, unseen names)."""
    if count == 0 or count >= len(pictographs):
        return pictographs, unseen
    if count < 4:
        raise BadInput(f"--classes: expected 0 or at least 4 (two seen, two unseen), received {count}")
    seen = [p.name for p in pictographs if p.name not in unseen]
    unseen_count = max(2, round(count * len(unseen) / len(pictographs)))
    unseen = _evenly(unseen, unseen_count)
    chosen = {*_evenly(seen, count - unseen_count), *unseen}
    return [p for p in pictographs if p.name in chosen], unseen


def _evenly(names, count):
    return [names[i * len(names) // count] for i in range(count)]


def class_vector(path):
    """Unit vector (300,) of a class: the sum of a fixed random direction for each node of its path.

    The cosine of two classes is about the share of their paths that they have in common: 2/3 within a sub-family, 1/3
    within a family, 0 beyond. The directions depend on the nodes only, not on the seed of the pictures.
    """
    total = np.zeros(VECTOR_DIM)
    for depth in range(1, len(path) + 1):
        direction = drawing_generator("taxonomy", "/".join(path[:depth])).standard_normal(VECTOR_DIM)
        total += direction / np.linalg.norm(direction)
    return (total / np.linalg.norm(total)).astype(np.float32)


def drawing_generator(*key):
    """A random generator that depends on the key alone."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little"))


def draw_class(pictograph, folder, options):
    """Write all photos and sketches of one class below `folder`."""
    contours = outline(pictograph.code_point)
    for modality, draw, suffix, quality in (
        ("photo", draw_photo, "jpg", {"quality": 90}),
        ("sketch", draw_sketch, "png", {}),
    ):
        class_folder = folder / modality / pictograph.name
        class_folder.mkdir(parents=True)
        for number in range(1, options.per_class + 1):
            rng = drawing_generator(options.seed, modality, pictograph.name, number)
            picture = draw(contours, options.size, rng)
            picture.save(class_folder / f"{pictograph.name}_{number:04d}.{suffix}", **quality)


def outline(code_point):
    """Closed contours of a glyph, each (points, 2), evenly spaced, y downwards, the longer side within [-1, 1]."""
    glyph = TextPath((0, 0), chr(code_point), size=1000, prop=FontProperties(fname=FONT_FILE))
    polygons = [polygon * (1, -1) for polygon in glyph.to_polygons(closed_only=False) if len(polygon) > 2]
    points = np.concatenate(polygons)
    low, high = points.min(0), points.max(0)
    return [_resample((polygon - (low + high) / 2) / (high - low).max() * 2) for polygon in polygons]


def _resample(polygon):
    closed = np.concatenate([polygon, polygon[:1]])
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    stops = np.linspace(0, along[-1], max(8, round(along[-1] / SPACING)), endpoint=False)
    return np.stack([np.interp(stops, along, closed[:, axis]) for axis in (0, 1)], axis=1)


def pose(contours, size, rng):
    """Warp, turn, shear, scale and shift contours at random; return them in pixels of a picture (size, size)."""
    counts = np.cumsum([len(contour) for contour in contours])[:-1]
    points = warp(np.concatenate(contours), rng)
    angle = np.radians(np.clip(rng.normal(0, 11), -27, 27))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shear = np.array([[rng.uniform(0.85, 1.15), rng.uniform(-0.15, 0.15)], [0, 1]])
    points = points @ (turn @ shear).T
    low, high = points.min(0), points.max(0)
    extent = rng.uniform(0.72, 0.92) * size  # of the longer side
    points = (points - (low + high) / 2) * extent / (high - low).max()
    slack = (size * 0.96 - (points.max(0) - points.min(0))) / 2
    return np.split(points + size / 2 + rng.uniform(-slack, slack), counts)


def warp(points, rng):
    """Move points (n, 2) of the unit outline by a smooth random field: three plane waves longer than the outline."""
    frequency = rng.normal(0, 1.6, (3, 2))  # radians per unit; the outline is 2 units long
    phase = rng.uniform(0, 2 * np.pi, 3)
    amplitude = rng.normal(0, 0.07, (3, 2))
    return points + np.sin(points @ frequency.T + phase) @ amplitude


def draw_photo(contours, size, rng):
    """Draw one photo, RGB: the filled outline, textured and lit, in front of clutter."""
    mask = fill(pose(contours, size, rng), size)
    coverage = np.asarray(mask, np.float32)[..., None] / 255  # (size, size, 1)
    background = clutter(size, rng)

    shift = rng.integers(-2, 3, 2)
    shadow = np.asarray(ImageChops.offset(mask, *map(int, shift)).filter(ImageFilter.GaussianBlur(size / 30)))
    background *= 1 - rng.uniform(0, 0.5) * shadow[..., None] / 255

    foreground = texture(size, background.mean((0, 1)), rng)
    height = np.asarray(mask.filter(ImageFilter.GaussianBlur(size / 30)), np.float32) / 255
    down, right = np.gradient(height)
    light = rng.uniform(0, 2 * np.pi)
    foreground += rng.uniform(150, 400) * (np.cos(light) * right + np.sin(light) * down)[..., None]

    colours = coverage * foreground + (1 - coverage) * background
    photo = _image(colours).filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.6)))
    return _image(np.asarray(photo, np.float32) + rng.normal(0, rng.uniform(2, 10), (size, size, 3)))


def fill(contours, size):
    """Antialiased coverage of the area inside the contours; a contour within a contour is a hole."""
    inside = Image.new("1", (size * FINE, size * FINE))
    for contour in contours:
        area = Image.new("1", inside.size)
        ImageDraw.Draw(area).polygon(_pixels(contour), fill=1)
        inside = ImageChops.logical_xor(inside, area)
    return inside.convert("L").resize((size, size), Image.Resampling.BOX)


def clutter(size, rng):
    """Draw a background, (size, size, 3) in 0..255: a colour gradient with blurred blobs, polygons and lines on it."""
    canvas = _image(rng.uniform(30, 225, (2, 2, 3))).resize((size, size), Image.Resampling.BICUBIC)
    pen = ImageDraw.Draw(canvas)
    gradient = np.asarray(canvas, np.float32)
    for _ in range(rng.integers(4, 12)):
        centre, extent = rng.uniform(0, size, 2), rng.uniform(0.08, 0.35) * size
        local = gradient[int(centre[1]), int(centre[0])]
        colour = tuple(int(c) for c in np.clip(local + rng.normal(0, 45, 3), 0, 255))
        kind = rng.integers(3)
        if kind == 0:
            radius = extent * rng.uniform(0.3, 1, 2)
            pen.ellipse([*(centre - radius), *(centre + radius)], fill=colour)
        elif kind == 1:
            corners = centre + rng.normal(0, extent, (rng.integers(3, 6), 2))
            pen.polygon(corners.ravel().tolist(), fill=colour)
        else:
            end = centre + rng.normal(0, 2 * extent, 2)
            pen.line([*centre, *end], fill=colour, width=int(rng.integers(1, 4)))
    return np.array(canvas.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.5))), np.float32)


def texture(size, behind, rng):
    """A material, (size, size, 3): a gradient of two colours with stripes and grain that contrasts with `behind`."""
    candidates = rng.uniform(0, 255, (6, 3))
    ends = candidates[np.argsort(-np.linalg.norm(candidates - behind, axis=1))[:2]]
    if np.linalg.norm(ends[1] - ends[0]) > 150:  # a gradient this steep would pass through the background's colour
        ends[1] = ends[0] + (ends[1] - ends[0]) * 0.3
    rows, columns = np.mgrid[0:size, 0:size] / size
    angle, stripe_angle = rng.uniform(0, np.pi, 2)
    ramp = np.clip(0.5 + np.cos(angle) * (columns - 0.5) + np.sin(angle) * (rows - 0.5), 0, 1)[..., None]
    across = np.cos(stripe_angle) * columns + np.sin(stripe_angle) * rows
    stripes = np.sin(2 * np.pi * rng.uniform(3, 9) * across + rng.uniform(0, 2 * np.pi))[..., None]
    grain = _image(rng.uniform(0, 255, (size // 4, size // 4, 3))).resize((size, size), Image.Resampling.BILINEAR)
    colours = (1 - ramp) * ends[0] + ramp * ends[1]
    return colours + rng.uniform(0, 22) * stripes + rng.uniform(0, 0.3) * (np.asarray(grain, np.float32) - 127)


def draw_sketch(contours, size, rng):
    """Draw one sketch, grey, dark on white: every contour in a few strokes that wobble, fall short and overshoot."""
    paper = Image.new("L", (size * FINE, size * FINE), 255)
    pen = ImageDraw.Draw(paper)
    width = rng.uniform(0.9, 1.9) * size / 48 * FINE
    wobble = rng.uniform(0.3, 0.9) * size / 48
    ink = int(rng.integers(0, 70))
    for contour in pose(contours, size, rng):
        for stroke in strokes(contour, rng):
            for _ in range(1 + (rng.random() < 0.12)):  # one line in eight is drawn twice
                pen_width = max(1, round(width * rng.uniform(0.85, 1.15)))
                pen.line(_pixels(hand(stroke, wobble, rng)), fill=ink, width=pen_width, joint="curve")
    return paper.resize((size, size), Image.Resampling.BOX)


def strokes(contour, rng):
    """Cut a closed contour (n, 2) at random into one to five open strokes that fall short or overshoot a little."""
    length = len(contour)
    cuts = np.sort(rng.choice(length, size=min(5, 1 + rng.poisson(length / 60)), replace=False))
    for start, end in zip(cuts, np.append(cuts[1:], cuts[0] + length), strict=True):
        start, end = start + rng.integers(-2, 3), end + rng.integers(-2, 3)
        if end - start >= 3:
            yield contour[np.arange(start, end + 1) % length]


def hand(stroke, wobble, rng):
    """Return the stroke (n, 2) as an unsteady hand draws it: shifted, and swaying by about `wobble` pixels."""
    along = np.arange(len(stroke))[:, None]
    sway = np.zeros(stroke.shape)
    for wavelength in (60, 25, 12):  # points; amplitude grows with the wavelength
        phase = rng.uniform(0, 2 * np.pi, 2)
        sway += rng.normal(0, wavelength / 60, 2) * np.sin(2 * np.pi * along / wavelength + phase)
    return stroke + wobble * (rng.normal(0, 0.5, 2) + sway)


def _pixels(points):
    return (points * FINE).ravel().tolist()


def _image(colours):
    return Image.fromarray(np.clip(colours, 0, 255).astype(np.uint8))
