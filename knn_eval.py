"""Ranks photos and sketches of unseen classes against each other and scores the rankings.

    python knn_eval.py [FEATURES.mat] [--distance cosine] [--directions 'sketch->image' 'image->sketch']

FEATURES.mat is the `unified_features.mat` of a run, or a file with the variables KNNcode.m reads. The mathematics is
NumPy on plain arrays (`rank`, `average_precision`, `precision_at`, `evaluate`) and can be called without any file.
"""

import dataclasses
import json
import textwrap
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import matfiles
from cli import BadInput, run, say, setting, track, warn, whole_file

# query modality -> gallery modality; "image" is a photo in the names the field prints.
DIRECTIONS = {
    "sketch->image": ("sketch", "photo"),
    "image->sketch": ("photo", "sketch"),
    "sketch->sketch": ("sketch", "sketch"),
    "image->image": ("photo", "photo"),
}
NEWEST_RUN = Path("runs/*/unified_features.mat")
BLOCK_ENTRIES = 2**21  # query-gallery pairs ranked at once: about 100 MB of float64 distances, ranks and hits


@dataclass(frozen=True)
class Settings:
    features: Path = setting(NEWEST_RUN, "embeddings to evaluate; left out: of these, the newest", positional=True)
    protocol: str = setting("standard", "conventions of ranking and scoring", choices=("standard",))
    distance: str | None = setting(
        None, "distance to rank by; left out: the one recorded in the file, or euclidean", ("euclidean", "cosine")
    )
    directions: tuple[str, ...] = setting(
        (),
        f"any of {', '.join(DIRECTIONS)}, in quotes since the shell reads > itself; left out: all",
        metavar="QUERY->GALLERY",
    )
    queries: int | None = setting(None, "score this many randomly drawn queries per direction; left out: all")
    seed: int = setting(0, "seed of the drawn queries and of the queries in the figure")
    json: Path | None = setting(None, "write the results to this file", metavar="FILE")
    figures: Path | None = setting(None, "draw retrieval.png, queries with their nearest photos, here", metavar="DIR")


def main(settings):
    check_settings(settings)
    path = newest(NEWEST_RUN) if settings.features == NEWEST_RUN else settings.features
    features = unseen_only(load(path))
    distance = settings.distance or features.distance
    check_vectors(features.photo.vectors, f"{path}: {features.photo.key}", distance, features.photo.rows)
    check_vectors(features.sketch.vectors, f"{path}: {features.sketch.key}", distance, features.sketch.rows)

    try:
        results = evaluate(
            features.photo.vectors,
            features.sketch.vectors,
            features.photo.labels,
            features.sketch.labels,
            distance=distance,
            protocol=settings.protocol,
            directions=settings.directions or tuple(DIRECTIONS),
            queries=settings.queries,
            seed=settings.seed,
            progress=True,
        )
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error
    results["features"] = str(path)
    if features.leaked:
        results["leaked"] = features.leaked

    say(table(results, f"{path}, {len(features.unseen)} {'unseen ' if features.zero_shot else ''}classes"))
    if settings.json:
        with _output(settings.json) as part:
            part.write_text(json.dumps(results, indent=2) + "\n")
        say(f"wrote {settings.json}")
    if settings.figures:
        figure = settings.figures / "retrieval.png"
        retrieval_grid(figure, features, distance, settings.seed)
        say(f"wrote {figure}")


def check_settings(settings):
    _check_directions(settings.directions)
    if settings.queries is not None and settings.queries < 1:
        raise BadInput(f"--queries: expected at least 1, received {settings.queries}")
    if settings.seed < 0:
        raise BadInput(f"--seed: expected 0 or more, received {settings.seed}")
    if settings.json and settings.json.is_dir():
        raise BadInput(f"--json: expected a file, received the folder {settings.json}")
    if settings.figures and settings.figures.is_file():
        raise BadInput(f"--figures: expected a folder, received the file {settings.figures}")


def distances(queries, gallery, metric):
    """Distances (queries, gallery), float64, of `queries` (queries, dim) to `gallery` (gallery, dim).

    euclidean: ‖q − g‖₂, from the matrix product ‖q‖² + ‖g‖² − 2 q·g: exact to about 1e-16 of ‖q‖² + ‖g‖², which
    resolves anything that embeddings stored as float32 can tell apart. cosine: 1 − q·g / ‖q‖‖g‖.
    """
    queries, gallery = np.asarray(queries, np.float64), np.asarray(gallery, np.float64)
    return METRICS[metric](queries, gallery)


def _euclidean(queries, gallery):
    squared = (queries**2).sum(1)[:, None] + (gallery**2).sum(1) - 2 * queries @ gallery.T
    return np.sqrt(np.maximum(squared, 0))  # rounding can leave a copy of the query at −1e-16


def _cosine(queries, gallery):
    queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    gallery = gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
    return 1 - queries @ gallery.T


METRICS = {"euclidean": _euclidean, "cosine": _cosine}


def rank_blocks(queries, gallery, metric, own_rows=None, block=None):
    """Yields (slice of queries, order) block by block: order (block, ranked) holds gallery rows, nearest first.

    Ties keep the order of the gallery; copies of a gallery row always tie. `own_rows` (queries,): the gallery row that
    is the query itself, which is left out of its order whatever its distance. `block`: queries per block; memory grows
    with block × gallery, and the default holds that constant.
    """
    gallery = np.asarray(gallery, np.float64)
    first_copy = _first_copies(gallery)
    block = block or max(1, BLOCK_ENTRIES // max(1, len(gallery)))
    for start in range(0, len(queries), block):
        rows = slice(start, min(start + block, len(queries)))
        distance = distances(queries[rows], gallery, metric)
        if first_copy is not None:
            distance = distance[:, first_copy]
        order = _stable_order(distance)
        if own_rows is not None:
            order = order[order != own_rows[rows, None]].reshape(len(order), -1)
        yield rows, order


def _stable_order(distance):
    """np.argsort(distance, axis=1, kind="stable"), several times faster as long as few rows hold equal distances."""
    order = np.argsort(distance, axis=1)  # not stable, but vectorised
    ascending = np.take_along_axis(distance, order, axis=1)
    tied = (ascending[:, 1:] == ascending[:, :-1]).any(axis=1)
    order[tied] = np.argsort(distance[tied], axis=1, kind="stable")
    return order


def _first_copies(gallery):
    """For each gallery row the first row equal to it, (gallery,), or None if all rows differ.

    A matrix product may round equal columns differently, depending on where they lie; that would decide ties by chance.
    """
    if gallery.size == 0:
        return None
    as_bytes = np.ascontiguousarray(gallery + 0.0).view(f"V{gallery.itemsize * gallery.shape[1]}").ravel()  # −0 is 0
    _, first, which = np.unique(as_bytes, return_index=True, return_inverse=True)
    return None if len(first) == len(gallery) else first[which]


def rank(queries, gallery, metric, own_rows=None):
    """Gallery rows nearest first, (queries, ranked); see `rank_blocks`, which spares holding all of it at once."""
    return np.concatenate([order for _, order in rank_blocks(queries, gallery, metric, own_rows)])


def average_precision(hits, k=None):
    """Raw average precision of each query, (queries,), over all ranks or, as AP@k, over the first k.

    hits (queries, ranked): whether the item at that rank is of the query's class, over the whole gallery.
    AP@k = (1 / R) Σ_{r ≤ k} hit(r) · (hits in the first r) / r. The denominator is R, the relevant items of the whole
    gallery, for every k: where R > k, AP@k stays below 1. Ties are as the ranking left them (`rank`: gallery order).
    A query with R = 0 counts 0.
    """
    queries, ranks = np.nonzero(hits)  # row by row, ranks ascending
    relevant = np.count_nonzero(hits, axis=1)
    nth_hit = np.arange(len(queries)) - np.repeat(np.cumsum(relevant) - relevant, relevant) + 1
    precision = nth_hit / (ranks + 1)
    if k is not None:
        precision[ranks >= k] = 0
    return np.bincount(queries, precision, minlength=len(hits)) / np.maximum(relevant, 1)


def precision_at(hits, k):
    """Precision of each query's first k items, (queries,): hits in the first k / k; `hits` as in `average_precision`.

    Where the gallery is smaller than k the denominator is its size. Ties are as the ranking left them. A query without
    relevant items counts 0.
    """
    return np.count_nonzero(hits[:, :k], axis=1) / min(k, hits.shape[1])


def standard_scores(hits):
    """The four numbers of the standard protocol for each query: name -> (queries,)."""
    return {
        "mAP@all": average_precision(hits),
        "P@100": precision_at(hits, 100),
        "mAP@200": average_precision(hits, 200),
        "P@200": precision_at(hits, 200),
    }


@dataclass(frozen=True)
class Protocol:
    scores: Callable  # hits (queries, ranked) -> name -> (queries,)
    conventions: str  # what a reader has to know before comparing the numbers with others


PROTOCOLS = {
    "standard": Protocol(
        standard_scores,
        "Raw (not interpolated) AP, mean over queries. AP divides by R, the relevant items in the whole gallery, for "
        "mAP@200 too; P@k divides by k, or by the gallery size where that is smaller; a query with R = 0 counts 0; "
        "equal distances keep gallery order; a query never retrieves itself.",
    )
}


def evaluate(
    photos,
    sketches,
    photo_labels,
    sketch_labels,
    *,
    distance="euclidean",
    protocol="standard",
    directions=tuple(DIRECTIONS),
    queries=None,
    seed=0,
    progress=False,
):
    """Scores retrieval between photos (photos, dim) and sketches (sketches, dim) with one label per row.

    Returns {"protocol", "distance", "directions": {direction: {metric: mean over queries, "queries", "gallery"}}}.
    "gallery" counts the items each query is ranked against: within one modality all but itself. `queries`: draw that
    many queries per direction, a function of `seed`; the gallery stays whole.
    """
    _check_directions(directions)
    vectors = {"photo": np.asarray(photos), "sketch": np.asarray(sketches)}
    labels = {"photo": np.ravel(photo_labels), "sketch": np.ravel(sketch_labels)}
    for modality in vectors:
        _check_arrays(vectors[modality], labels[modality], modality, distance)
    results = {}
    for direction in directions:
        per_query, ranked = score_queries(vectors, labels, direction, distance, protocol, queries, seed, progress)
        results[direction] = {name: float(values.mean()) for name, values in per_query.items()}
        results[direction].update(queries=len(next(iter(per_query.values()))), gallery=ranked)
    return {"protocol": protocol, "distance": distance, "directions": results}


def score_queries(vectors, labels, direction, distance, protocol="standard", queries=None, seed=0, progress=False):
    """Scores of every query of one direction: ({metric: (queries,)}, number of items each is ranked against).

    `vectors` and `labels` are keyed by modality, "photo" and "sketch".
    """
    asking, answering = DIRECTIONS[direction]
    rows = draw_queries(len(vectors[asking]), queries, seed)
    own_rows = rows if asking == answering else None
    ranked = len(vectors[answering]) - (own_rows is not None)
    if len(rows) == 0:
        raise BadInput(f"{direction}: expected at least 1 {asking} to query with, received 0")
    if ranked < 1:
        raise BadInput(f"{direction}: the gallery is empty, expected at least 1 {answering} to retrieve")

    query_labels, gallery_labels = labels[asking][rows], labels[answering]
    block = max(1, BLOCK_ENTRIES // len(gallery_labels))
    blocks = rank_blocks(vectors[asking][rows], vectors[answering], distance, own_rows, block)
    if progress:
        blocks = track(blocks, direction, total=-(-len(rows) // block))
    scores = [PROTOCOLS[protocol].scores(gallery_labels[order] == query_labels[part, None]) for part, order in blocks]
    return {name: np.concatenate([score[name] for score in scores]) for name in scores[0]}, ranked


def draw_queries(available, wanted, seed):
    """Row numbers of the queries, ascending: all, or `wanted` of them drawn without replacement."""
    if wanted is None or wanted >= available:
        return np.arange(available)
    return np.sort(np.random.default_rng(seed).choice(available, wanted, replace=False))


def check_vectors(vectors, source, distance=None, rows=None):
    """Raises BadInput that names the first row of `vectors` (n, dim) that cannot be ranked.

    NaN and infinity never can, a zero vector cannot under cosine. `rows` (n,): the rows' numbers in `source`.
    """
    faults = [("holds NaN or infinity", ~np.isfinite(vectors).all(axis=1))]
    if distance == "cosine":
        faults.append(("is a zero vector, which has no cosine", ~vectors.any(axis=1)))
    for fault, bad in faults:
        if bad.any():
            first = np.flatnonzero(bad)[0]
            row = first if rows is None else rows[first]
            raise BadInput(f"{source} row {row} (counted from 0) {fault}")


def _check_arrays(vectors, labels, modality, distance):
    if vectors.ndim != 2 or len(vectors) != len(labels):
        raise BadInput(f"{modality} embeddings: expected ({len(labels)}, dim) for the labels, received {vectors.shape}")
    check_vectors(vectors, f"{modality} embeddings", distance)


def _check_directions(directions):
    for direction in directions:
        if direction not in DIRECTIONS:
            # 'sketch-' is what is left of an unquoted sketch->image
            hint = " (put quotes around it, the shell reads > itself)" if direction.endswith("-") else ""
            raise BadInput(f"--directions: expected any of {', '.join(DIRECTIONS)}, received {direction}{hint}")


@dataclass(frozen=True)
class Items:
    """The pictures of one modality."""

    key: str  # the variable of the file that holds the vectors
    vectors: np.ndarray  # (n, dim)
    labels: np.ndarray  # (n,) int64, index into the file's classes
    rows: np.ndarray  # (n,) row numbers in the file
    names: tuple[str, ...]  # 'class/filename' each, or none at all
    folder: Path | None  # holds the class folders of the pictures

    def take(self, rows):
        names = tuple(self.names[row] for row in rows) if self.names else ()
        return dataclasses.replace(
            self, vectors=self.vectors[rows], labels=self.labels[rows], rows=self.rows[rows], names=names
        )


@dataclass(frozen=True)
class Features:
    """A features file."""

    photo: Items
    sketch: Items
    classes: tuple[str, ...]  # names by class index; empty if the file has none
    unseen: np.ndarray  # (classes to evaluate,) class indices
    zero_shot: bool  # whether the file itself names unseen classes
    distance: str  # recorded in the file, else euclidean
    leaked: str  # how unseen classes leaked into these embeddings; empty if they did not

    def class_name(self, label):
        return self.classes[label] if self.classes else f"class {label}"


# (vectors, labels, names, picture folder) of photos and of sketches: ours, and what KNNcode.m reads
RELEASED_KEYS = (("featuresx", "labelsx", "namesx", "picturesx"), ("featuresy", "labelsy", "namesy", "picturesy"))
KNNCODE_KEYS = (("photo_feat_un", "photo_lab", None, None), ("sketch_un", "sketch_lab", None, None))


def newest(pattern):
    """The most recently written file that matches the glob `pattern`, relative to the working directory."""
    found = sorted(Path().glob(str(pattern)), key=lambda path: path.stat().st_mtime)
    if not found:
        raise BadInput(f"{pattern}: no such file; python Unified_XY_triads.py makes one, or name a features file")
    return found[-1]


def load(path):
    """Reads and checks a features file: `Features` with all its rows, of seen and unseen classes alike."""
    present = set(matfiles.keys(path))
    foreign = not present & {"featuresx", "featuresy"} and bool(present & {"photo_feat_un", "sketch_un"})
    classes = tuple(matfiles.read_names(path, "classes")) if "classes" in present else ()
    photo, sketch = (_load_items(path, present, keys, classes) for keys in (KNNCODE_KEYS if foreign else RELEASED_KEYS))
    if len(photo.vectors) and len(sketch.vectors) and photo.vectors.shape[1] != sketch.vectors.shape[1]:
        raise BadInput(
            f"{path}: {photo.key} and {sketch.key}: expected rows of one length, "
            f"received {photo.vectors.shape} and {sketch.vectors.shape}"
        )
    unseen = np.union1d(photo.labels, sketch.labels)
    if "unseen" in present:
        unseen = np.unique(_class_indices(path, "unseen", classes))
        if len(unseen) == 0:
            raise BadInput(f"{path}: unseen: expected class indices, received none")
    distance = _text(path, present, "distance") or "euclidean"
    if distance not in METRICS:
        raise BadInput(f"{path}: distance: expected any of {', '.join(METRICS)}, received {distance}")
    return Features(photo, sketch, classes, unseen, "unseen" in present, distance, _text(path, present, "leaked"))


def unseen_only(features):
    """`features` with the rows of unseen classes alone."""
    photo, sketch = (
        items.take(np.flatnonzero(np.isin(items.labels, features.unseen)))
        for items in (features.photo, features.sketch)
    )
    return dataclasses.replace(features, photo=photo, sketch=sketch)


def _load_items(path, present, keys, classes):
    vectors_key, labels_key, names_key, folder_key = keys
    vectors = _numbers(path, vectors_key)
    if vectors.ndim != 2:
        raise BadInput(f"{path}: {vectors_key}: expected a matrix (rows, dim), received shape {vectors.shape}")
    check_vectors(vectors, f"{path}: {vectors_key}")
    labels = _class_indices(path, labels_key, classes)
    names = tuple(matfiles.read_names(path, names_key)) if names_key in present else ()
    for key, column in ((labels_key, labels), (names_key, names)):
        if len(column) != len(vectors) and key in present:
            raise BadInput(f"{path}: {key}: expected {len(vectors)} rows as in {vectors_key}, received {len(column)}")
    folder = _text(path, present, folder_key)
    return Items(vectors_key, vectors, labels, np.arange(len(vectors)), names, Path(folder) if folder else None)


def _numbers(path, key):
    value = matfiles.read(path, key)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "biuf":
        raise BadInput(f"{path}: {key}: expected an array of numbers, received {getattr(value, 'dtype', 'text')}")
    return value


def _class_indices(path, key, classes):
    """Class indices, (n,) int64, in range if the file names its classes."""
    values = _numbers(path, key).ravel()
    whole = np.isfinite(values) & (values == np.round(values))
    valid = whole & (values >= 0) & (values < len(classes)) if classes else whole
    if not valid.all():
        row = np.flatnonzero(~valid)[0]
        expected = f"class indices 0 to {len(classes) - 1}" if classes else "whole numbers"
        raise BadInput(f"{path}: {key} row {row} (counted from 0): expected {expected}, received {values[row]}")
    return values.astype(np.int64)


def _text(path, present, key):
    value = matfiles.read(path, key) if key in present else ""
    return value if isinstance(value, str) else ""  # an empty char array comes as an empty array


@contextmanager
def _output(path):
    """`whole_file` whose failure to write is one line."""
    try:
        with whole_file(path) as part:
            yield part
    except OSError as error:
        raise BadInput(f"{path}: cannot be written ({error.strerror or error})") from error


def table(results, title, caption=True):
    """One result of `evaluate` as text: title, a row per direction, and the conventions unless `caption` is False.

    Column widths are fixed: several tables can be printed one under another, the last with its caption. A `leaked`
    sentence in `results` is printed with every table.
    """
    directions = results["directions"]
    names = list(next(iter(directions.values())))  # the protocol's metrics, then the counts
    lines = [f"{title} ({results['distance']})", f"  {'':16}" + "".join(f"{name:>9}" for name in names)]
    for direction, values in directions.items():
        cells = (f"{values[name]:9.3f}" if isinstance(values[name], float) else f"{values[name]:9}" for name in names)
        lines.append(f"  {direction:16}" + "".join(cells))
    if results.get("leaked"):
        lines += textwrap.wrap(f"WARNING: {results['leaked']}", 100, initial_indent="  ", subsequent_indent="  ")
    if caption:
        conventions = f"{results['protocol']} protocol: {PROTOCOLS[results['protocol']].conventions}"
        lines += textwrap.wrap(conventions, 100, initial_indent="  ", subsequent_indent="  ")
    return "\n".join(lines)


RIGHT, WRONG = "#2a9d4a", "#d0342c"  # frames of the retrieved photos
INK, GREY, PALE = "#222222", "#777777", "#f1f1ee"
PICTURE_SIDE = 144  # pixels


def retrieval_grid(path, features, distance, seed=0, queries=8, top=10):
    """Draws random sketches, each of another class, with the `top` photos nearest to them; writes a PNG.

    Right classes are framed green, wrong ones red. Where a picture cannot be opened its class name stands in a box.
    """
    sketch, photo = features.sketch, features.photo
    if not len(sketch.vectors) or not len(photo.vectors):
        raise BadInput(f"{path}: the figure needs a sketch and a photo of an evaluated class")
    rows = _one_per_class(sketch.labels, queries, np.random.default_rng(seed))
    order = rank(sketch.vectors[rows], photo.vectors, distance)[:, :top]
    hits = photo.labels[order] == sketch.labels[rows, None]

    figure, cells = _empty_grid(lines=len(rows), columns=order.shape[1])
    told = (
        f"right class green ({hits.sum()} of {hits.size}), wrong red; {len(photo.vectors)} photos, {distance} distance"
    )
    inch = 1 / figure.get_figheight()
    figure.text(0.02, 1 - 0.22 * inch, "Sketch → image", fontsize=13, weight="bold", color=INK, va="center")
    figure.text(0.02, 1 - 0.45 * inch, told, fontsize=9, color=GREY, va="center")
    lost = {"sketch": 0, "photo": 0}
    for line, row in enumerate(rows):
        name = figure.add_subplot(cells[line, 0], frame_on=False, xticks=[], yticks=[])
        words = _wrapped(features.class_name(sketch.labels[row]), 14)
        name.text(0.95, 0.5, words, ha="right", va="center", fontsize=11, weight="bold", color=INK)
        lost["sketch"] += not _draw(figure.add_subplot(cells[line, 1]), features, sketch, row, "#999999")
        for place, found in enumerate(order[line]):
            axes = figure.add_subplot(cells[line, place + 3])
            lost["photo"] += not _draw(axes, features, photo, found, RIGHT if hits[line, place] else WRONG)
            if line == 0:
                axes.set_title(str(place + 1), fontsize=9, color=GREY, pad=5)
    for items, count in ((sketch, lost["sketch"]), (photo, lost["photo"])):
        if count:
            why = f"not found in {items.folder}" if items.folder else f"{items.key} comes without a picture folder"
            warn(f"{path} shows class names in place of {count} pictures: {why}")
    with _output(path) as part:
        figure.savefig(part, format="png")


def _empty_grid(lines, columns):
    """A figure and its cells (lines, 3 + columns): class name, query, a gap, photos; room for a title above."""
    from matplotlib.figure import Figure

    columns = max(columns, 5)  # narrower, the title would not fit
    widths = [1.5, 1, 0.25] + [1] * columns
    title, foot = 0.85, 0.2  # inches
    width, height = 0.95 * sum(widths) + 0.1, title + 1.12 * lines + foot
    figure = Figure(figsize=(width, height), dpi=130, facecolor="white")
    margins = {"left": 0.005, "right": 0.995, "bottom": foot / height, "top": 1 - title / height}
    return figure, figure.add_gridspec(lines, len(widths), width_ratios=widths, wspace=0.06, hspace=0.24, **margins)


def _one_per_class(labels, count, generator):
    """Rows of `count` items at most, each of another class, drawn at random."""
    classes = generator.permutation(np.unique(labels))[:count]
    return np.array([generator.choice(np.flatnonzero(labels == label)) for label in classes])


def _draw(axes, features, items, row, frame):
    """One framed picture, a photo with its class under it; False if a box with the class name had to stand in."""
    picture = _picture(items, row)
    name = features.class_name(items.labels[row]).replace("_", " ")
    axes.set(xticks=[], yticks=[], aspect="equal", xlim=(0, 1), ylim=(0, 1))
    if picture is None:
        axes.set_facecolor(PALE)
        axes.text(0.5, 0.5, _wrapped(name, 10), ha="center", va="center", fontsize=8, color=INK)
    else:
        axes.imshow(picture, extent=(0, 1, 0, 1), interpolation="antialiased")
    if picture is not None and items is features.photo:
        axes.set_xlabel(name if len(name) < 18 else name[:16] + "…", fontsize=7, labelpad=3, color=INK)
    for spine in axes.spines.values():
        spine.set(edgecolor=frame, linewidth=2.6 if items is features.photo else 0.8)
    return picture is not None


def _picture(items, row):
    """The picture of one item as an RGB square on white, or None if there is no such file."""
    from PIL import Image, ImageOps

    if items.folder is None or not items.names:
        return None
    try:
        with Image.open(items.folder / items.names[row]) as file:
            picture = file.convert("RGBA")
    except (OSError, SyntaxError):  # missing, no picture, or a broken PNG (Pillow raises SyntaxError for some)
        return None
    white = Image.new("RGBA", picture.size, "white")
    flat = Image.alpha_composite(white, picture).convert("RGB")
    return np.asarray(ImageOps.pad(flat, (PICTURE_SIDE, PICTURE_SIDE), color="white"))


def _wrapped(name, width):
    return textwrap.fill(name.replace("_", " "), width)


if __name__ == "__main__":
    run(main, Settings, __doc__)
