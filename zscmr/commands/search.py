"""Searches photos with a drawing, or pictures with pictures, through the encoder of the project or of a run.

    python search.py --add ~/Pictures --draw
    python search.py --query my.png drawings --top 10
    python search.py --watch ~/Pictures --draw
    python search.py --class-name zebra
    python search.py --run runs/0001 --query my.png

Prints distance, class and name of the nearest pictures, and draws them where --grid names a file; --draw serves a page
to draw queries on. Without --run the encoder that comes with the project is used, and the gallery is what --add brought
in. That of a run, in RUN/search, holds the run's own photos too, of seen and of unseen classes.
"""

import itertools
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from zscmr import server
from zscmr.commands.export import ensure_encoders
from zscmr.datasets.cleaning import DrawingNotes
from zscmr.evaluation.distances import MEMORY, check_vectors
from zscmr.formats import runs
from zscmr.formats.dataset_directory import MODALITIES
from zscmr.inference import engines
from zscmr.inference.windows import MODES
from zscmr.retrieval import AddRules, Filter, Searcher, watching
from zscmr.retrieval.answers import draw_answers, lines, query_labels, write_answers
from zscmr.retrieval.cluster import Cluster, PackedEncoder
from zscmr.retrieval.default_gallery import default_gallery
from zscmr.retrieval.encoder import SHIPPED, exported, several
from zscmr.retrieval.run_gallery import identity_of, is_encoder, leaked
from zscmr.retrieval.searcher import Queries
from zscmr.retrieval.sources import queries_in
from zscmr.retrieval.updates import check_source
from zscmr.server.address import Address, choose_token
from zscmr.utils.console import Once, say, warn
from zscmr.utils.errors import BadInput
from zscmr.utils.folders import expanded
from zscmr.utils.options import Options, setting


@dataclass(frozen=True)
class Settings(Options):
    run: Path | None = setting(
        None, "run directory, or folder of an encoder; left out: the encoder that comes with the project", metavar="DIR"
    )
    query: tuple[Path, ...] = setting((), "pictures to search with, or folders of pictures", metavar="PICTURE")
    query_kind: str = setting("sketch", "what the queries are", choices=MODALITIES)
    class_name: str | None = setting(
        None, "class that the encoder knows, to search with; weighed with each query if there are any", metavar="NAME"
    )
    gallery: str | None = setting(
        None,
        "folder or URI (s3://…) of the gallery, made by --add (default: RUN/search, or one in the user's data folder, "
        "which zscmr gallery info names)",
        metavar="DIR|URI",
    )
    gallery_kind: str = setting("photo", "what is searched, and what --add adds", choices=MODALITIES)
    unseen_only: bool = setting(False, "leave pictures of the classes that the run was trained on out of the gallery")
    seen_only: bool = setting(False, "search only pictures of the classes that the run was trained on")
    classes: tuple[str, ...] = setting((), "search only pictures of these classes", metavar="NAME")
    below: Path | None = setting(None, "search only pictures in this folder, of those added from it", metavar="DIR")
    top: int = setting(10, "nearest pictures to show for each query", metavar="K", least=1)
    add: str | None = setting(
        None, "bring the gallery up to date with the pictures in this folder, or below this URI", metavar="DIR|URI"
    )
    watch: Path | None = setting(
        None, "add this folder and go on following it until Ctrl-C: new, changed and removed pictures", metavar="DIR"
    )
    forget: bool = setting(
        False,
        "with --add or --watch: drop pictures from the gallery even if the folder is gone, or most of its pictures are",
    )
    follow_links: bool = setting(False, "with --add or --watch: take what links that lead out of the folder point to")
    windows: str | None = setting(
        None,
        "windows of photos in a new gallery, which find things that fill a part of a photo: 0 for none, fast, or "
        "thorough (default: fast, if the encoder has it); a gallery keeps its own",
        choices=MODES,
    )
    engine: str = setting(
        engines.LITERT,
        "library that runs the encoder; openvino is faster on some processors, and less exact",
        choices=engines.NAMES,
    )
    ray: str | None = setting(
        None, "embed what --add brings on this Ray cluster: HOST:PORT, auto, or local", metavar="ADDRESS"
    )
    weights: Path | None = setting(
        None,
        "CNN weights that have moved: of a frozen backbone the file, of trained CNNs the dataset directory with them",
        metavar="FILE",
    )
    json: Path | None = setting(None, "write the answers to this file too", metavar="FILE")
    grid: Path | None = setting(None, "draw the answers in this file, such as search.png", metavar="PNG")
    draw: bool = setting(False, "serve a page to draw queries on, and its HTTP interface, until Ctrl-C")
    port: int = setting(8000, "port of the page; 0: any that is free", least=0, below=2**16)
    host: str = setting("127.0.0.1", "address of the page", metavar="NAME")
    token: str | None = setting(
        None,
        "token that whoever uses the page has to know (default: a random one); other users can read it in the list of "
        "processes, but not in the environment variable ZSCMR_TOKEN",
        metavar="TOKEN",
    )
    no_token: bool = setting(False, "let every user of this machine use the page")
    allow_add: bool = setting(False, "let the page and its interface add folders to the gallery")
    no_browser: bool = setting(False, "do not open a browser on the page")
    memory: float = setting(
        MEMORY / 1e9,
        "GB of embeddings to search in memory, and to rank them in; above it the table's index answers",
        above=0,
    )
    exact: bool = setting(False, "above --memory, compare every picture instead of asking the table's index")


def main(settings):
    gallery, folder = (path and expanded(path) for path in (settings.gallery, settings.add))
    settings = replace(settings, gallery=gallery, add=folder)
    check(settings)
    queries, faults = queries_in(settings.query)
    if settings.query and not queries:
        raise BadInput(several(faults))
    searcher = open_searcher(settings)
    if settings.draw:
        draw(settings, searcher)
    elif settings.watch:
        follow(settings, searcher)
    elif settings.add:
        add(settings, searcher)
    if queries or settings.class_name:
        search(settings, searcher, queries, faults)


def check(settings):
    if not (settings.query or settings.class_name or settings.add or settings.watch or settings.draw):
        raise BadInput("--query: expected pictures to search with, a folder to --add, or --draw, received none of them")
    if (settings.query or settings.class_name) and settings.draw:
        given = "--query" if settings.query else "--class-name"
        raise BadInput(f"--draw: expected without {given}; pictures can be dropped on the page, and names typed")
    if settings.grid and settings.class_name and not settings.query:
        raise BadInput("--grid: draws queries and their answers, expected with --query")
    if settings.unseen_only and settings.seen_only:
        raise BadInput("--unseen-only and --seen-only exclude each other")
    for name, file in (("--json", settings.json), ("--grid", settings.grid)):
        if file and file.is_dir():
            raise BadInput(f"{name}: expected a file, received the folder {file}")
    if settings.add and Path(settings.add).is_file():
        raise BadInput(f"--add {settings.add}: expected a folder, received a file")
    if settings.watch and (settings.add or settings.query):
        raise BadInput("--watch: expected without --add, which it does first, and without --query")
    if settings.watch and not settings.watch.is_dir():
        raise BadInput(f"--watch {settings.watch}: no such folder")
    if settings.watch:
        watching.library()
    if settings.ray and (settings.draw or not settings.add):
        raise BadInput("--ray: embeds what --add names, expected --add without --draw")
    if (settings.forget or settings.follow_links) and not (settings.add or settings.watch):
        raise BadInput(f"{'--forget' if settings.forget else '--follow-links'}: expected with --add or --watch")
    if settings.run and not (is_encoder(settings.run) or (settings.run / runs.CONFIG).is_file()):
        raise BadInput(f"--run {settings.run}: no run directory (it has no {runs.CONFIG}) and no encoder")
    if settings.weights and (not settings.run or is_encoder(settings.run)):
        raise BadInput("--weights belongs to --run with a run directory")


def open_searcher(settings):
    memory, adds = int(settings.memory * 1e9), settings.add is not None or settings.watch is not None
    make = adds or (settings.draw and (settings.allow_add or not settings.gallery))  # the page adds to an empty one
    options = make, memory, settings.windows, settings.engine
    if not settings.run:
        return Searcher.shipped(settings.gallery or default_gallery(), *options)
    if not is_encoder(settings.run):
        identity_of(settings.run)  # refuses a run that has not ended
        ensure_encoders(settings.run, settings.weights)
    return Searcher.open(settings.run, settings.gallery, *options)


def draw(settings, searcher):
    """Serve the page; pictures of --add or --watch come into the gallery meanwhile."""
    serving = server.library()
    token = choose_token(settings.token, settings.no_token)
    address = Address(settings.host, settings.port, token)
    adding, folder = None, settings.add or settings.watch
    if folder:
        if settings.add:
            check_source(searcher.table, settings.gallery_kind, folder)
        adding = settings.gallery_kind, folder, AddRules(settings.follow_links, settings.forget, Once())
    may_add = settings.allow_add
    if not folder and not any(map(searcher.table.count, MODALITIES)):
        may_add |= address.token is not None and not address.is_open  # whoever started it, and nobody else
        say(f"{searcher.table.location}: no pictures yet; {'the page adds' if may_add else '--add DIR adds'} them")
    serving.serve(searcher, address, adding, may_add, not settings.no_browser, settings.watch is not None)


def add(settings, searcher):
    """Bring the gallery up to date with the folder of --add."""
    kind, rules = settings.gallery_kind, AddRules(settings.follow_links, settings.forget)
    cluster = None
    if settings.ray:
        folder = exported(settings.run) if settings.run else SHIPPED
        cluster = Cluster(settings.ray, PackedEncoder(folder, kind, settings.engine))
    done = searcher.table.update(kind, settings.add, searcher.encoder(kind), cluster=cluster, rules=rules)
    say(
        f"{settings.add}: {done.added} pictures added, {done.kept} were there, {done.removed} replaced or gone; "
        f"{searcher.table.count(kind)} in the gallery"
    )


def follow(settings, searcher):
    """Keep the gallery up to date with the folder of --watch until Ctrl-C."""
    kind, rules, again = settings.gallery_kind, AddRules(settings.follow_links, settings.forget, Once()), False
    encoder, folder = searcher.encoder(kind), settings.watch
    with suppress(KeyboardInterrupt):
        for _ in watching.changes(folder, threading.Event()):
            try:
                done = searcher.table.update(kind, folder, encoder, rules=rules)
            except BadInput as fault:  # no picture yet, or one that is being copied
                rules.once.warn(fault)
                continue
            if done.added or done.removed or not again:
                say(f"{folder}: {done.counts}")
            again = True
    say("stopped")


def search(settings, searcher, queries, faults):
    """Find the nearest of the queries and the class name in the gallery, print and draw them."""
    began = time.perf_counter()
    searcher.encoder(settings.query_kind)
    loaded = time.perf_counter()
    sent, files = Queries(None, settings.class_name), [settings.class_name]
    if queries:
        sent, files = embedded(settings, searcher, queries, faults)
    unseen = True if settings.unseen_only else False if settings.seen_only else None
    filters = Filter(settings.classes, settings.below, unseen)
    choices = settings.gallery_kind, settings.top, filters, settings.exact
    unnamed = searcher.search_embedded(sent, settings.query_kind if settings.query else "sketch", *choices)
    if not unnamed[0].searched:
        raise BadInput(
            f"{searcher.table.location}: no {settings.gallery_kind} to search in the gallery; --add DIR adds some"
        )
    answers = [replace(answer, query=str(query)) for answer, query in zip(unnamed, files, strict=True)]
    classes = searcher.knows_classes(settings.gallery_kind)
    for line in itertools.chain.from_iterable(lines(answer, classes) for answer in answers):
        say(line)
    if answers[0].how:
        say(f"{answers[0].searched:,} pictures, {answers[0].how}")
    for note in dict.fromkeys(answer.colours for answer in answers if answer.colours):
        say(note)
    labels = query_labels(files, searcher.classes(settings.gallery_kind, filters)) if settings.query else [None]
    show(settings, searcher, answers, labels)
    seconds = time.perf_counter() - loaded
    count = f"{len(files)} {'query' if len(files) == 1 else 'queries'}"
    say(f"{count} answered in {seconds:.2f} s, after {loaded - began:.1f} s to load the encoder")


def embedded(settings, searcher, queries, faults):
    """(`Queries`, the files that can be read); warn of the others and of photos given as drawings."""
    encoder, notes = searcher.encoder(settings.query_kind), DrawingNotes(settings.query_kind)
    vectors, readable = encoder.embed(queries, notice=notes)
    faults = faults + encoder.faults(queries, readable)
    if not readable.any():
        raise BadInput(several(faults))
    for why in faults:
        warn(f"{why}, skipped")
    queries = [file for file, good in zip(queries, readable, strict=True) if good]
    warn_of_photos([file for file in queries if str(file) in notes.photos])
    check_vectors(vectors[readable], "--query: the embedding of picture", searcher.distance)
    colours = [notes.colours.get(str(file)) for file in queries]
    return Queries(vectors[readable], settings.class_name, colours), queries


def warn_of_photos(photos):
    """Warn of files given as drawings that look like photos, in one line."""
    if photos:
        rest = f" and {len(photos) - 1} more look like photos" if len(photos) > 1 else " looks like a photo"
        warn(f"{photos[0]}{rest}, not drawn; --query-kind photo searches with photos")


def show(settings, searcher, answers, labels):
    """Write the files of the answers."""
    kind, searched, how = settings.gallery_kind, answers[0].searched, answers[0].how
    if note := leaked(settings.run) if settings.run and not is_encoder(settings.run) else "":
        warn(note)
    if settings.json:
        gallery = {"modality": kind, "pictures": searched, "unseen_only": settings.unseen_only}
        gallery |= {"search": how or "exact"}
        run = str(settings.run or SHIPPED)
        about = {"run": run, "query_kind": settings.query_kind, "gallery": gallery, "distance": searcher.distance}
        about |= {"class_name": settings.class_name} if settings.class_name else {}
        write_answers(settings.json, about, answers)
        say(f"wrote {settings.json}")
    if settings.grid:
        draw_grid(settings, searcher, answers, labels, note)


def draw_grid(settings, searcher, answers, labels, note):
    """Draw the answers in the file of --grid."""
    kind, searched, how = settings.gallery_kind, answers[0].searched, answers[0].how
    title = f"{settings.query_kind.capitalize()} → {kind}"
    subtitle = f"{searched} pictures in {searcher.table.location}, {searcher.distance} distance"
    draw_answers(settings.grid, title, subtitle + (f", {how}" if how else ""), answers, labels, note)
    say(f"wrote {settings.grid}")
