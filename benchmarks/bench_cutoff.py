"""The distance beyond which nothing in a gallery is similar to a drawing, for an encoder.

    python benchmarks/bench_cutoff.py --photos photos --drawings quickdraw
    python benchmarks/bench_cutoff.py --encoder zscmr/retrieval/encoders/NAME --photos photos --drawings quickdraw

Adds the photos to a gallery and searches it with drawings, as a user does, each time among the photos of other classes
drawn at random. Compares the nearest distances of drawings whose class is among them with those of drawings whose
class is not, and prints the cut-off for the key `cutoff` of about.json. Photos and drawings have to be held out of the
encoder's training. A cut-off holds for galleries of about as many classes (--classes): in larger ones something is
always nearer.
"""

import itertools
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the package of this clone
import numpy as np

import zscmr
from zscmr.datasets.classes import class_key
from zscmr.datasets.drawings import draw, read_drawings
from zscmr.evaluation.cutoff import SHARE, choose_cutoff, measure_cutoff
from zscmr.retrieval import Filter
from zscmr.retrieval.encoder import DEFAULT
from zscmr.utils import cli
from zscmr.utils.console import say
from zscmr.utils.errors import BadInput
from zscmr.utils.options import Options, setting

SIDE = 256  # pixels of a rendered drawing
SHARES = (0.02, 0.05, 0.1, 0.2)  # of the table


@dataclass(frozen=True)
class Settings(Options):
    photos: Path = setting(help="class folders of photos", metavar="DIR")
    drawings: Path = setting(help="CLASS.ndjson files, or class folders of pictures", metavar="DIR")
    encoder: str = setting(DEFAULT, "encoder that comes with the project, or a folder of exported encoders")
    first: int = setting(10, "drawings of each class", least=1)
    skip: int = setting(0, "drawings of each class to skip, such as those trained on", least=0)
    classes: int = setting(10, "classes of photos in a gallery; 0: all of them", least=0)
    galleries: int = setting(20, "random galleries", least=1)
    seed: int = setting(0, "of the galleries", least=0)
    share: float = setting(SHARE, "of the drawings with photos that may lie beyond the cut-off", least=0, below=1)
    same: tuple[str, ...] = setting((), "DRAWING=PHOTO: classes of two names for one thing", metavar="NAME=NAME")
    each: tuple[str, ...] = setting((), "classes to print by themselves, such as face squiggle", metavar="NAME")


def main(settings):
    encoder = zscmr.Encoder.load(settings.encoder)
    same = dict(pair.split("=", 1) for pair in settings.same)
    with tempfile.TemporaryDirectory() as folder:
        gallery = zscmr.Gallery(folder, encoder)
        gallery.add(settings.photos)
        names, vectors = embedded_drawings(gallery, settings)
        keys = np.array([class_key(same.get(name, name)) for name in names])
        present, distances = nearest_distances(gallery, keys, vectors, settings)
    names = np.tile(names, len(present) // len(names))
    if not present.any() or present.all():
        raise BadInput("--drawings: expected drawings of classes with photos and of classes without")
    chosen = report(settings, distances[present], distances[~present])
    for name in settings.each:
        if (rows := (names == name) & ~present).any():
            rates = measure_cutoff(chosen.distance, distances[present], distances[rows])
            say(f"  {name}: {rates.absent:.1%} beyond the cut-off, separation {rates.separation:.2f}")


def embedded_drawings(gallery, settings):
    """(class names (n,), embeddings (n, dim)) of the drawings."""
    names, vectors = [], []
    for name, pictures in drawings_of(settings):
        vectors.append(gallery.embed(pictures, "sketch"))
        names += [name] * len(pictures)
    if not names:
        raise BadInput(f"--drawings {settings.drawings}: no drawings in it")
    return np.array(names), np.concatenate(vectors)


def nearest_distances(gallery, keys, vectors, settings):
    """(whether the class has photos (m,), distance of the nearest photo (m,)) of all drawings in each gallery.

    Args:
        gallery: a `Gallery` of all photos.
        keys: `class_key` of each drawing (n,).
        vectors: their embeddings (n, dim).
        settings: `classes`, `galleries` and `seed` are used.
    """
    classes = np.array(sorted(gallery.counts("photo").classes))
    count = min(settings.classes or len(classes), len(classes))
    random = np.random.default_rng(settings.seed)
    present, distances = [], []
    for _ in range(settings.galleries if count < len(classes) else 1):
        chosen = random.choice(classes, count, replace=False)
        answers = gallery.search_vectors(vectors, "photo", 1, Filter(tuple(chosen)))
        present.append(np.isin(keys, [class_key(name) for name in chosen]))
        distances += [answer[0].distance for answer in answers]
    return np.concatenate(present), np.array(distances)


def drawings_of(settings):
    """Yield (class name, list of pictures) of each class."""
    part = slice(settings.skip, settings.skip + settings.first)
    for entry in sorted(settings.drawings.iterdir()):
        if entry.suffix == ".ndjson":
            rows = itertools.islice(read_drawings(entry), part.start, part.stop)
            pictures = [draw(strokes, SIDE) for _, strokes in rows]
        else:
            pictures = sorted(entry.iterdir())[part] if entry.is_dir() else []
        if pictures:
            yield entry.stem if entry.is_file() else entry.name, pictures


def report(settings, present, absent):
    """Print the rates at several shares; return the `Cutoff` of `share`."""
    say(f"{len(present):,} searches with drawings of classes with photos, {len(absent):,} of classes without")
    say("share allowed   cut-off   present beyond   absent beyond")
    for share in SHARES:
        row = choose_cutoff(present, absent, share)
        say(f"{share:13.2f}  {row.distance:8.3f}  {row.present:15.1%}  {row.absent:14.1%}")
    chosen = choose_cutoff(present, absent, settings.share)
    say(f"an absent class is farther than a present one with probability {chosen.separation:.3f} (0.5: chance)")
    verdict = "" if chosen.useful else "; not useful: it hits drawings with photos nearly as often as those without"
    say(f'"cutoff": {chosen.distance:.3f}{verdict}')
    return chosen


if __name__ == "__main__":
    cli.run(main, Settings, __doc__)
