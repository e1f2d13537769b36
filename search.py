"""Searches a run's gallery with one's own pictures, through the run's own CNNs and encoders.

    python search.py --run runs/0001 --query my.png drawings --top 10
    python search.py --run runs/0001 --add holiday

Prints name, class and distance of the nearest pictures and draws them. The gallery is all photos of the run, of seen
and of unseen classes, and what --add brought in; the index of all that is kept in RUN/search.
"""

import json
import os
import shutil
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

import cli
import runs
from cli import BadInput, flag, say, setting, warn, whole_file
from evaluation import embeddings, figures
from evaluation.gallery import EMBEDDINGS, FOLDER, MODALITIES, UNKNOWN, Added, changed, open_gallery
from evaluation.ranking import MEMORY, distances, nearest
from pretrain import pictures, recipes
from pretrain.found import find_weights
from UxUyLoader import class_indices, class_key

NEWEST_RUN = Path("runs/*")
GRID = 20  # queries, and pictures found of each, that the grid shows at most


@dataclass(frozen=True)
class Settings:
    run: Path = setting(NEWEST_RUN, "run directory; left out: of these, the one that ended last", metavar="DIR")
    query: tuple[Path, ...] = setting((), "pictures to search with, or folders of pictures", metavar="PICTURE")
    query_kind: str = setting("sketch", "what the queries are", choices=MODALITIES)
    gallery: str = setting("photo", "what is searched, and what --add adds", choices=MODALITIES)
    unseen_only: bool = setting(False, "leave pictures of the classes that the run was trained on out of the gallery")
    top: int = setting(10, "nearest pictures to show for each query", metavar="K")
    add: Path | None = setting(None, "bring the gallery up to date with this folder of pictures", metavar="DIR")
    weights: Path | None = setting(
        None,
        "CNN weights that have moved: of a frozen backbone the file, of trained CNNs the dataset directory with them",
        metavar="FILE",
    )
    json: Path | None = setting(None, "write the answers to this file too", metavar="FILE")
    grid: Path | None = setting(None, "picture of the answers (default: RUN/search.png)", metavar="PNG")
    memory: float = setting(MEMORY / 1e9, "GB that ranking may take beyond the index")


def main(settings):
    check(settings)
    run = settings.run
    if run == NEWEST_RUN:
        run = embeddings.newest(NEWEST_RUN / EMBEDDINGS).parent
        say(f"--run {run}, the one that ended last")
    if not (run / runs.CONFIG).is_file():
        raise BadInput(f"--run {run}: no run directory (it has no {runs.CONFIG})")
    queries, faults = listed(settings.query)
    if settings.query and not queries:
        raise BadInput(told(faults))
    clock = Clock()
    gallery = open_gallery(run)
    encoder = Encoder(run, settings.weights, clock)
    clock.lap("index")
    if settings.add:
        gallery = add(settings.add, settings.gallery, gallery, encoder)
    if settings.query:
        vectors = encoder.embed(settings.query_kind, queries, faults)
        if not queries:
            raise BadInput(told(faults))
        for why in faults:
            warn(f"{why}, skipped")
        show(settings, run, gallery, queries, vectors, clock)
        say(f"{len(queries)} {'query' if len(queries) == 1 else 'queries'} answered {clock}")


def check(settings):
    if not settings.query and not settings.add:
        raise BadInput("--query: expected pictures to search with, or --add with a folder to add, received neither")
    if settings.top < 1:
        raise BadInput(f"--top: expected at least 1, received {settings.top}")
    if not settings.memory > 0:
        raise BadInput(f"--memory: expected GB above 0, received {settings.memory}")
    for name in ("json", "grid"):
        if (file := getattr(settings, name)) and file.is_dir():
            raise BadInput(f"{flag(name)}: expected a file, received the folder {file}")
    if settings.add and settings.add.exists() and not settings.add.is_dir():
        raise BadInput(f"--add {settings.add}: expected a folder, received a file")


class Clock:
    """Seconds that parts of the work took; says how long the answer took, without the start of the libraries."""

    def __init__(self):
        self.parts, self.last = {}, time.perf_counter()

    def lap(self, part):
        now = time.perf_counter()
        self.parts[part] = self.parts.get(part, 0.0) + now - self.last
        self.last = now

    def __str__(self):
        own = {part: seconds for part, seconds in self.parts.items() if part != "libraries"}
        listed = ", ".join(f"{part} {seconds:.2f}" for part, seconds in own.items())
        return f"in {sum(own.values()):.2f} s ({listed}), after {self.parts['libraries']:.1f} s to load the libraries"


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


def pictures_in(folder):
    """Picture files of a folder and the folders in it, hidden ones apart, sorted."""
    inside = sorted(path for path in folder.rglob("*") if path.suffix.lower() in pictures.SUFFIXES and path.is_file())
    return [path for path in inside if not any(part.startswith(".") for part in path.relative_to(folder).parts)]


def told(faults):
    """One line for several faults."""
    others = f" (and {len(faults) - 1} more that cannot be used)" if len(faults) > 1 else ""
    return f"{faults[0]}{others}"


class Encoder:
    """The CNNs and the encoders of a run, each made when it is first needed."""

    def __init__(self, run, weights, clock):
        config = runs.read_json(run / runs.CONFIG)
        if "dataset" not in config:
            raise BadInput(
                f"{run / runs.CONFIG}: no 'dataset'; the run was made before there was a search, train again"
            )
        self.run, self.made, self.weights, self.clock = run, config["features"], weights, clock
        self.widths = config["dataset"]  # of the features that the run was trained on, by modality
        # where the run's command saw the dataset, so that a project that has moved as a whole finds it, or where it was
        self.places = Path(config["settings"]["data"]), Path(config["dataset"]["directory"])
        self.cnns, self.model = {}, None

    def embed(self, modality, paths, faults):
        """Embeddings (n, dim) of the pictures `paths`; those that cannot be read leave the list and join `faults`."""
        model = self.cnn(modality)
        from pretrain import cnn

        vectors, readable = cnn.outputs_now(
            model, self.size, list(map(str, paths)), self.batch, modality, self.made.get("shrink")
        )
        faults += [fault(path, self.size) for path, good in zip(paths, readable, strict=True) if not good]
        paths[:] = [path for path, good in zip(paths, readable, strict=True) if good]
        return self.encoded(modality, vectors[readable])

    def embed_kept(self, modality, new, folder):
        """(embeddings (n, dim), n pictures `Added`) of those among `new` that can be read. What the CNN makes of them
        is kept in `folder`, from which a call that was killed goes on."""
        libraries(self.clock)
        from pretrain import cnn

        paths = [one.path for one in new]
        identity = [modality, [[one.path, one.size, one.modified] for one in new]]
        make = partial(self.cnn, modality)
        vectors, readable = cnn.outputs(
            folder, identity, make, self.size, paths, self.batch, modality, self.made.get("shrink")
        )
        for path in (path for path, good in zip(paths, readable, strict=True) if not good):
            warn(f"{fault(path, self.size)}, skipped")
        return self.encoded(modality, vectors[readable]), [one for one, good in zip(new, readable, strict=True) if good]

    def encoded(self, modality, vectors):
        """CNN features (n, F) -> embeddings (n, dim), as the run exported them."""
        if self.model is None:
            import Unified_XY_triads

            self.model = Unified_XY_triads.load_model(self.run)
        from models import training

        function = self.model.embed_photos if modality == "photo" else self.model.embed_sketches
        embedded = training.embed(function, vectors) if len(vectors) else np.empty((0, 0), np.float32)
        self.clock.lap("embedding")
        return embedded

    def cnn(self, modality):
        """The CNN of a modality, pictures -> features."""
        if modality not in self.cnns:
            file = find_weights(self.made, self.places, modality, self.weights, self.run)
            libraries(self.clock)
            from pretrain import cnn, stages

            with cnn.half_precision_on_gpu():
                model = stages.restored(self.made, file)
            if model.output_shape[1] != self.widths[modality]:
                raise BadInput(
                    f"{self.run}: was trained on {modality} features {self.widths[modality]}-d, and the CNN that it "
                    f"names gives {model.output_shape[1]}-d; the features are of another origin"
                )
            self.cnns[modality] = model
            self.clock.lap("CNN")
        return self.cnns[modality]

    @property
    def size(self):
        return recipes.BACKBONES[self.made["backbone"]].size

    @property
    def batch(self):
        return recipes.BACKBONES[self.made["backbone"]].recipe.batch_size


def libraries(clock):
    """Imports what takes seconds to import."""
    clock.lap("index")
    cli.import_tensorflow()
    import keras  # noqa: F401
    import matplotlib.backends.backend_agg  # noqa: F401

    clock.lap("libraries")


def fault(path, size):
    """Why a picture cannot be read."""
    try:
        pictures.read_picture(path, size)
    except OSError as error:
        return str(error).splitlines()[0]
    return f"{path}: not a readable picture"


def add(folder, modality, gallery, encoder):
    """The gallery brought up to date with a folder: new and changed pictures are embedded, those gone leave it, with a
    folder that is gone all of them.

    A call that was killed is continued by the next.
    """
    root, items, there = folder.resolve(), gallery.items(modality), gallery.added[modality]
    classes = class_indices(gallery.features.classes[: gallery.own["classes"]])
    found = {str(path): described(path, root, classes) for path in pictures_in(root)}
    inside = np.array([Path(one.path).is_relative_to(root) for one in there], bool)
    if not found and not inside.any():
        raise BadInput(f"--add {folder}: {'no pictures in this folder' if root.exists() else 'no such folder'}")
    if not root.exists():
        warn(f"--add {folder}: no such folder; the {inside.sum()} pictures added from there leave the gallery")
    for row in range(gallery.own[modality] if items.folder else 0):  # the run's own are there already
        found.pop(os.path.abspath(items.path(row)), None)
    kept = ~inside | np.array([found.get(one.path) == one for one in there], bool)
    old = {one.path for one, keep in zip(there, kept, strict=True) if keep}
    new, vectors = [one for path, one in found.items() if path not in old], items.vectors[:0]
    work = gallery.run / FOLDER / ".part-added"
    if new:
        vectors, new = encoder.embed_kept(modality, new, work)
        if not new and not (inside & kept).any():
            raise BadInput(f"--add {folder}: none of its pictures can be read")
    if new or not kept.all():
        gallery = changed(gallery, modality, kept, new, vectors if new else items.vectors[:0])
    shutil.rmtree(work, ignore_errors=True)
    say(
        f"{folder}: {len(new)} pictures added, {int((inside & kept).sum())} were there, {int((~kept).sum())} replaced "
        f"or gone; {len(gallery.items(modality).labels)} in the gallery"
    )
    return gallery


def described(path, root, classes):
    """A picture as the index lists it; its class is the folder it lies in, if that lies in `root` or names a class."""
    state, name = path.stat(), path.parent.name
    named = path.parent != root or class_key(name) in classes
    return Added(str(path), name if named else UNKNOWN, state.st_size, state.st_mtime_ns)


def show(settings, run, gallery, queries, vectors, clock):
    """Ranks the gallery for each query's embedding (n, dim), prints the answers and writes their files."""
    features = embeddings.unseen_only(gallery.features) if settings.unseen_only else gallery.features
    items, metric = getattr(features, settings.gallery), features.distance
    if not len(items.labels):
        raise BadInput(f"{run}: no {settings.gallery} in the gallery")
    embeddings.check_vectors(items.vectors, f"{run / EMBEDDINGS}: {items.key}", metric, items.rows)
    embeddings.check_vectors(vectors, "--query: the embedding of picture", metric)
    order = nearest(vectors, items.vectors, metric, settings.top, memory=int(settings.memory * 1e9))
    present = set(np.unique(items.labels))
    answers, classes = [], {key: label for key, label in class_indices(features.classes).items() if label in present}
    for query, vector, rows in zip(queries, vectors, order, strict=True):
        label = classes.get(class_key(query.resolve().parent.name))
        answers.append(Answer(query, label, rows, distances(vector[None], items.vectors[rows], metric)[0]))
    clock.lap("ranking")
    if features.leaked:
        warn(features.leaked)
    for answer in answers:
        say(listing(answer, features, items))
    if settings.json:
        write_json(settings.json, run, settings, features, items, answers)
        say(f"wrote {settings.json}")
    grid = settings.grid or run / "search.png"
    draw(grid, settings, run, features, items, answers)
    say(f"wrote {grid}")
    clock.lap("grid")


@dataclass(frozen=True)
class Answer:
    """What was found for a query: gallery rows, nearest first, and their distances. `label`: the query's class index,
    known where it lies in a folder of that name and the gallery has pictures of the class."""

    query: Path
    label: int | None
    rows: np.ndarray
    distances: np.ndarray


def listing(answer, features, items):
    names = [features.class_name(items.labels[row]) for row in answer.rows]
    width = max(map(len, names))
    lines = [
        f"  {place:>3}  {distance:9.4f}  {name:<{width}}  {items.names[row]}"
        for place, (row, name, distance) in enumerate(zip(answer.rows, names, answer.distances, strict=True), start=1)
    ]
    return "\n".join([str(answer.query), *lines])


def write_json(file, run, settings, features, items, answers):
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
    searched = {"modality": settings.gallery, "pictures": len(items.labels), "unseen_only": settings.unseen_only}
    about = {"run": str(run), "query_kind": settings.query_kind, "gallery": searched, "distance": features.distance}
    with whole_file(file) as part:
        part.write_text(json.dumps({**about, "queries": found}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def draw(path, settings, run, features, items, answers):
    """The picture grid; where a query's class is known, right classes are framed green, wrong ones red."""
    lines = []
    for answer in answers[:GRID]:
        rows, file = answer.rows[:GRID], answer.query.name
        right = None if answer.label is None else items.labels[rows] == answer.label
        notes = [f"{distance:.3f}" for distance in answer.distances]
        words = answer.query.stem if answer.label is None else features.class_name(answer.label)
        query = figures.Cell(answer.query, answer.query.stem, "" if answer.label is None else figures.short(file))
        lines.append(figures.Line(words, query, figures.found_cells(features, items, rows, right, notes)))
    told = f"{len(items.labels)} in the gallery of {run}, {features.distance} distance"
    if any(answer.label is not None for answer in answers[:GRID]):
        told += "; class of the query's folder green, other classes red"
    if len(answers) > GRID:
        told += f"; the first {GRID} of {len(answers)} queries"
    if (found := len(answers[0].rows)) > GRID:
        told += f"; the nearest {GRID} of {found} found"
    title = f"{settings.query_kind.capitalize()} → {settings.gallery}"
    lost = sum(figures.picture_grid(path, title, told, lines, features.leaked))
    if lost:
        warn(
            f"{path}: class names in place of {lost} pictures, {figures.lost_because(items)}; back there they are drawn"
        )


if __name__ == "__main__":
    cli.run(main, Settings, __doc__)
