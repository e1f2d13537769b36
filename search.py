"""Searches a run's gallery with one's own pictures, through the run's own CNNs and encoders.

    python search.py --run runs/0001 --query my.png drawings --top 10
    python search.py --run runs/0001 --add holiday

Prints name, class and distance of the nearest pictures and draws them. The gallery is all photos of the run, of seen
and of unseen classes, and what --add brought in, in RUN/search; --gallery names one of added pictures alone.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zscmr import cli, runs
from zscmr.console import say, warn
from zscmr.dataset_files import MODALITIES
from zscmr.errors import BadInput
from zscmr.evaluation import embeddings
from zscmr.evaluation.distances import MEMORY
from zscmr.evaluation.vectors import check_vectors
from zscmr.options import Options, flag, setting
from zscmr.retrieval import Encoder, Index
from zscmr.retrieval.answers import answers_of, draw_answers, listing, write_answers
from zscmr.retrieval.gallery import pictures_in
from zscmr.retrieval.run_gallery import leaked, open_gallery

NEWEST_RUN = Path("runs/*")


@dataclass(frozen=True)
class Settings(Options):
    run: Path = setting(NEWEST_RUN, "run directory; left out: of these, the one that ended last", metavar="DIR")
    query: tuple[Path, ...] = setting((), "pictures to search with, or folders of pictures", metavar="PICTURE")
    query_kind: str = setting("sketch", "what the queries are", choices=MODALITIES)
    gallery: str | None = setting(
        None, "folder or URI (s3://…) of the gallery, made by --add (default: RUN/search)", metavar="DIR|URI"
    )
    gallery_kind: str = setting("photo", "what is searched, and what --add adds", choices=MODALITIES)
    unseen_only: bool = setting(False, "leave pictures of the classes that the run was trained on out of the gallery")
    top: int = setting(10, "nearest pictures to show for each query", metavar="K", least=1)
    add: Path | None = setting(None, "bring the gallery up to date with this folder of pictures", metavar="DIR")
    weights: Path | None = setting(
        None,
        "CNN weights that have moved: of a frozen backbone the file, of trained CNNs the dataset directory with them",
        metavar="FILE",
    )
    json: Path | None = setting(None, "write the answers to this file too", metavar="FILE")
    grid: Path | None = setting(None, "picture of the answers (default: RUN/search.png)", metavar="PNG")
    memory: float = setting(MEMORY / 1e9, "GB that ranking may take beyond the index", above=0)


def main(settings):
    check(settings)
    run = run_directory(settings.run)
    queries, faults = listed(settings.query)
    if settings.query and not queries:
        raise BadInput(several(faults))
    gallery = open_gallery(run, settings.gallery, make=settings.add is not None)
    if settings.add:
        add(settings, gallery, Encoder.open(run, settings.gallery_kind, settings.weights))
    if queries:
        search(settings, run, gallery, queries, faults)


def check(settings):
    if not settings.query and not settings.add:
        raise BadInput("--query: expected pictures to search with, or --add with a folder to add, received neither")
    for name in ("json", "grid"):
        if (file := getattr(settings, name)) and file.is_dir():
            raise BadInput(f"{flag(name)}: expected a file, received the folder {file}")
    if settings.add and settings.add.exists() and not settings.add.is_dir():
        raise BadInput(f"--add {settings.add}: expected a folder, received a file")


def run_directory(run):
    if run == NEWEST_RUN:
        run = embeddings.newest(NEWEST_RUN / runs.EMBEDDINGS).parent
        say(f"--run {run}, the one that ended last")
    if not (run / runs.CONFIG).is_file():
        raise BadInput(f"--run {run}: no run directory (it has no {runs.CONFIG})")
    return run


def listed(queries):
    """(picture files of the queries, [what is wrong with a query]); a folder stands for the pictures in it."""
    files, faults = [], []
    for query in queries:
        if query.is_dir():
            inside = pictures_in(query)
            files += inside
            faults += [] if inside else [f"{query}: no pictures in this folder"]
        elif query.exists():
            files.append(query)
        else:
            faults.append(f"{query}: no such file")
    return files, faults


def several(faults):
    """One line for several faults."""
    others = f" (and {len(faults) - 1} more that cannot be used)" if len(faults) > 1 else ""
    return f"{faults[0]}{others}"


def add(settings, gallery, encoder):
    done = gallery.update(settings.gallery_kind, settings.add, encoder)
    say(
        f"{settings.add}: {done.added} pictures added, {done.kept} were there, {done.removed} replaced or gone; "
        f"{gallery.count(settings.gallery_kind)} in the gallery"
    )


def search(settings, run, gallery, queries, faults):
    """Embed the queries, find their nearest in the gallery, print and draw what is found."""
    began = time.perf_counter()
    encoder = Encoder.open(run, settings.query_kind, settings.weights)
    loaded = time.perf_counter()
    vectors, readable = encoder.embed(queries)
    faults = faults + encoder.faults(queries, readable)
    if not readable.any():
        raise BadInput(several(faults))
    for why in faults:
        warn(f"{why}, skipped")
    queries = [file for file, good in zip(queries, readable, strict=True) if good]
    pictures = gallery.pictures(settings.gallery_kind)
    keep = pictures.unseen if settings.unseen_only else np.ones(len(pictures.ids), bool)
    if not keep.any():
        raise BadInput(f"{gallery.where}: no {settings.gallery_kind} to search in the gallery")
    distance = gallery.identity.distance
    check_vectors(vectors[readable], "--query: the embedding of picture", distance)
    index = Index(pictures.vectors, distance, memory=int(settings.memory * 1e9))
    found = index.search(vectors[readable], settings.top, keep if settings.unseen_only else None)
    answers = answers_of(queries, *found, pictures, np.unique(pictures.classes[keep]))
    for answer in answers:
        say(listing(answer))
    show(settings, run, gallery, int(keep.sum()), answers)
    seconds = time.perf_counter() - loaded
    count = f"{len(queries)} {'query' if len(queries) == 1 else 'queries'}"
    say(f"{count} answered in {seconds:.2f} s, after {loaded - began:.1f} s to load the encoder")


def show(settings, run, gallery, searched, answers):
    """Write the files of the answers; `searched`: the number of pictures that could be found."""
    kind, distance = settings.gallery_kind, gallery.identity.distance
    if note := leaked(run):
        warn(note)
    if settings.json:
        about = {"modality": kind, "pictures": searched, "unseen_only": settings.unseen_only}
        about = {"run": str(run), "query_kind": settings.query_kind, "gallery": about, "distance": distance}
        write_answers(settings.json, about, answers)
        say(f"wrote {settings.json}")
    grid = settings.grid or run / "search.png"
    title = f"{settings.query_kind.capitalize()} → {kind}"
    where = f"{searched} in the gallery {settings.gallery or f'of {run}'}, {distance} distance"
    draw_answers(grid, title, where, answers, note)
    say(f"wrote {grid}")


if __name__ == "__main__":
    cli.run(main, Settings, __doc__)
