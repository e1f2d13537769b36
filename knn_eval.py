"""Ranks photos and sketches of unseen classes against each other and scores the rankings.

    python knn_eval.py [FEATURES] [--protocol sake] [--directions 'sketch->image' 'image->sketch'] [--compare]

FEATURES is the `unified_features.mat` of a run, a file with the variables KNNcode.m reads, an .npz file or a folder of
.npy files with either set of variables. The mathematics is NumPy on plain arrays (`rank`, `average_precision`,
`precision_at`, `evaluate` and the rest of evaluation/) and can be called without any file.
"""

import dataclasses
import json
import os
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from cli import BadInput, command, existing_folder, flag, run, say, setting, track, warn, whole_file
from evaluation import codes, embeddings, figures, protocols, report, statistics, tables
from evaluation.embeddings import DIRECTIONS, check_vectors, load, newest, unseen_only
from evaluation.figures import retrieval_grid  # noqa: F401
from evaluation.metrics import (  # noqa: F401  part of what this module offers
    Hits,
    average_precision,
    hits_at,
    ndcg_at,
    nmrr,
    precision_at,
    recall_at,
)
from evaluation.protocols import PROTOCOLS
from evaluation.ranking import (  # noqa: F401
    MEMORY,
    REAL_METRICS,
    distances,
    hit_blocks,
    nearest,
    query_block,
    rank,
    rank_blocks,
)
from evaluation.tables import scores as table

NEWEST_RUN = Path("runs/*/unified_features.mat")


@dataclass(frozen=True)
class Settings:
    features: Path = setting(NEWEST_RUN, "embeddings to evaluate; left out: of these, the newest", positional=True)
    protocol: str = setting("standard", "conventions of ranking and scoring", choices=tuple(PROTOCOLS))
    compare: bool = setting(False, "print every convention side by side, under three distances")
    distance: str | None = setting(
        None, "distance to rank by; left out: the protocol's, else the one recorded in the file", REAL_METRICS
    )
    directions: tuple[str, ...] = setting(
        (),
        f"any of {', '.join(DIRECTIONS)}, in quotes since the shell reads > itself; left out: all",
        metavar="QUERY->GALLERY",
    )
    queries: int | None = setting(None, "score this many randomly drawn queries per direction; left out: all")
    top: int | None = setting(None, "score the nearest K items only, found without a full sort", metavar="K")
    ties: str | None = setting(
        None, "how equal distances count; left out: expected for codes, else gallery", tuple(protocols.TIES)
    )
    bits: int | None = setting(None, "rank by Hamming distance of binary codes of this length", choices=(32, 64, 128))
    codes: str | None = setting(
        None, "how --bits are made: itq, fitted on the file's seen classes (left out), or sign", ("itq", "sign")
    )
    generalised: str | None = setting(
        None, "seen classes join: sempcyc, 20 % as many in queries and gallery; pcmsn, all", ("sempcyc", "pcmsn")
    )
    drop_paired: bool = setting(False, "photos that one of the sketches was drawn from leave the file")
    dedupe: bool = setting(False, "photos listed twice are kept once")
    bootstrap: int = setting(1000, "resamplings of the queries for the 95 % intervals; 0: none")
    per_class: bool = setting(False, "print the first metric for each class")
    against: Path | None = setting(None, "test the difference to these embeddings of the same pictures", metavar="FILE")
    memory: float = setting(MEMORY / 1e9, "GB that ranking may take beyond the embeddings")
    seed: int = setting(0, "seed of every draw: queries, seen rows, codes, resampling, pictures in figures")
    json: Path | None = setting(None, "write the results to this file", metavar="FILE")
    figures: Path | None = setting(None, "draw the figures and report.html, which holds them all, here", metavar="DIR")


def main(settings):
    check_settings(settings)
    path = newest(NEWEST_RUN) if settings.features == NEWEST_RUN else settings.features
    if (path / NEWEST_RUN.name).exists():  # a run directory
        path = path / NEWEST_RUN.name
    check_outputs(path, settings)
    features = chosen_rows(path, settings)
    other = paired_rows(path, features, settings) if settings.against else None
    setup = Setup.of(settings, features.distance)
    scores = score_features(path, features, setup, settings.directions)
    results = {"features": str(path), **summary(scores, setup, features, settings.bootstrap)}
    title = f"{path}, {described(features, settings)}"
    say(table(results, title))
    if settings.per_class:
        say(tables.classes(results))
    if settings.against:
        results["against"] = test_against(scores, other, setup, settings)
        say(tables.differences(results))
    if settings.compare:
        results["compare"] = compare(path, features, setup, settings.directions)
        say(tables.comparison(results))
    if settings.json:
        with whole_file(settings.json) as part:
            part.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        say(f"wrote {settings.json}")
    if settings.figures:
        singly = dataclasses.replace(setup, ties="gallery", top=None)
        points = score_features(path, features, singly, settings.directions, figures.curve_points)
        made = provenance(path, features, settings)
        for file in report.write(settings.figures, features, results, title, setup, points, made):
            say(f"wrote {file}")


def check_settings(settings):
    check_directions(settings.directions)
    for name, least in (("queries", 1), ("top", 1), ("bootstrap", 0), ("seed", 0)):
        value = getattr(settings, name)
        if value is not None and value < least:
            raise BadInput(f"{flag(name)}: expected {f'at least {least}' if least else '0 or more'}, received {value}")
    if not settings.memory > 0:
        raise BadInput(f"--memory: expected GB above 0, received {settings.memory}")
    if settings.codes and not settings.bits:
        raise BadInput(f"--codes {settings.codes} wants the number of --bits")
    if settings.bits and settings.distance:
        raise BadInput(f"--bits ranks by Hamming distance; --distance {settings.distance} has no part in it")
    if settings.top and (settings.protocol == "knncode" or settings.compare or settings.ties not in (None, "gallery")):
        raise BadInput("--top: goes with neither --protocol knncode, --compare nor --ties other than gallery")


def check_outputs(path, settings):
    """Refuses before the work, not after it, what --json and --figures cannot write. `path`: the embeddings."""
    if settings.json:
        if settings.json.is_dir():
            raise BadInput(f"--json: expected a file, received the folder {settings.json}")
        if settings.json.resolve() in {file.resolve() for file in (path, settings.against or path)}:
            raise BadInput(f"--json: {settings.json} holds the embeddings, expected another file")
    for option, folder in (("--json", settings.json and settings.json.parent), ("--figures", settings.figures)):
        if folder and not os.access(there := existing_folder(option, folder), os.W_OK):
            raise BadInput(f"{option}: no permission to write to {there}")


def chosen_rows(path, settings):
    """`Features` of the file with the rows, and the codes, that the settings ask for; says what is left out."""
    loaded = load(path)
    features = unseen_only(loaded)
    pictured = np.union1d(features.photo.labels, features.sketch.labels)
    if len(bare := np.setdiff1d(features.unseen, pictured)):
        warn(f"{path}: unseen: no picture of {', '.join(map(features.class_name, bare))}")
    if settings.generalised:
        if len(features.photo.labels) == len(loaded.photo.labels):
            raise BadInput(f"{path}: --generalised needs photos of seen classes, the file has none")
        features = embeddings.generalised(loaded, settings.generalised, settings.seed)
    for wanted, drop, what in (
        (settings.drop_paired, embeddings.drop_paired, "a sketch was drawn from"),
        (settings.dedupe, embeddings.dedupe, "listed before"),
    ):
        if wanted:
            before = len(features.photo.labels)
            features, dropped = drop(features)
            say(f"{path}: {dropped} of {before} photos {what} left out")
    if features.distance == "hamming":
        for option in ("bits", "distance"):
            if value := getattr(settings, option):
                raise BadInput(f"{flag(option)} {value}: {path} holds binary codes, ranked by Hamming distance as is")
    if not settings.bits:
        return features
    if settings.codes == "sign":
        encode = partial(codes.sign_codes, bits=settings.bits)
    else:
        encode = codes.fit_itq(embeddings.seen_vectors(loaded), settings.bits, settings.seed).encode
    photo, sketch = (
        dataclasses.replace(items, vectors=encode(items.vectors)) for items in (features.photo, features.sketch)
    )
    return dataclasses.replace(features, photo=photo, sketch=sketch, distance="hamming")


def provenance(path, features, settings):
    """Lines that say what a report was made from and how: the shell line, the file, the run that wrote it."""
    files = sorted(path.glob("*.npy")) if path.is_dir() else [path]
    written = time.strftime("%Y-%m-%d %H:%M", time.localtime(max(file.stat().st_mtime for file in files)))
    lines = [
        f"$ {command('knn_eval.py', dataclasses.replace(settings, features=path))}",
        f"{path.resolve()}: {sum(file.stat().st_size for file in files):,} bytes, written {written}; evaluated here: "
        f"{len(features.photo.labels)} photos and {len(features.sketch.labels)} sketches, "
        f"{features.photo.vectors.shape[1]}-d {features.photo.vectors.dtype}",
    ]
    config = path.parent / "config.json"
    try:
        stored = json.loads(config.read_text(encoding="utf-8"))
        for part in ("settings", "features"):  # without lists of classes and counts
            plain = [f"{key} {value}" for key, value in stored[part].items() if isinstance(value, str | int | float)]
            lines.append(f"{config}, {part}: {', '.join(plain)}")
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        pass  # no file of a run
    return lines


def described(features, settings):
    words = [f"{len(features.unseen)} {'unseen ' if features.zero_shot else ''}classes"]
    if settings.generalised:
        words.append(f"generalised as {settings.generalised}")
    if settings.bits:
        words.append(f"{settings.bits}-bit {settings.codes or 'itq'} codes")
    return ", ".join(words)


@dataclass(frozen=True)
class Setup:
    """How to rank and to score."""

    protocol: str = "standard"
    distance: str = "euclidean"
    ties: str = "gallery"
    queries: int | None = None  # so many, drawn; None: all
    top: int | None = None  # ranks scored; None: all
    memory: int = MEMORY  # bytes
    seed: int = 0
    progress: bool = False

    @staticmethod
    def of(settings, recorded):
        """From the command line and the distance recorded with the embeddings."""
        hamming = recorded == "hamming"
        distance = recorded if hamming else settings.distance or PROTOCOLS[settings.protocol].distance or recorded
        return Setup(
            settings.protocol,
            distance,
            tie_rule(settings.ties, distance, settings.top, settings.protocol),
            settings.queries,
            settings.top,
            int(settings.memory * 1e9),
            settings.seed,
            progress=True,
        )


def tie_rule(ties, distance, top, protocol):
    """How equal distances count; `ties` None: of codes, many of which tie, in the mean of their orders."""
    ties = ties or ("expected" if distance == "hamming" and not top else "gallery")
    if ties == "expected" and PROTOCOLS[protocol].interpolated:
        raise BadInput(
            f"--protocol {protocol}: interpolated AP has no expected value over ties; "
            "--ties gallery, optimistic or pessimistic, or --protocol standard or sempcyc"
        )
    return ties


@dataclass(frozen=True)
class Scores:
    """One direction, query by query."""

    values: dict[str, np.ndarray]  # metric -> (queries,)
    labels: np.ndarray  # (queries,)
    rows: np.ndarray  # (queries,) row of each query among its modality's
    relevant: np.ndarray  # (queries,) R, the items of the query's class among those it is ranked against
    gallery: int  # items each query is ranked against

    def take(self, chosen):
        values = {name: column[chosen] for name, column in self.values.items()}
        return Scores(values, self.labels[chosen], self.rows[chosen], self.relevant[chosen], self.gallery)


def evaluate(
    photos,
    sketches,
    photo_labels,
    sketch_labels,
    *,
    distance=None,
    protocol="standard",
    directions=tuple(DIRECTIONS),
    queries=None,
    seed=0,
    ties=None,
    top=None,
    memory=MEMORY,
    progress=False,
):
    """Scores retrieval between photos (photos, dim) and sketches (sketches, dim) with one label per row.

    Returns {"protocol", "distance", "ties", "directions": {direction: {metric: mean, "queries", "gallery"}},
    "without_relevant": {"directions": {direction: queries with R = 0}}}. "gallery" counts the items each query is
    ranked against: within one modality all but itself. `distance`: left out, the protocol's, else euclidean.
    `queries`: draw that many queries per direction, a function of `seed`; the gallery stays whole. `ties`: as in
    `hit_blocks`; left out, expected for Hamming distance, else gallery. `top`: score the first ranks
    only. `memory`: bytes.
    """
    check_directions(directions)
    distance = distance or PROTOCOLS[protocol].distance or "euclidean"
    ties = tie_rule(ties, distance, top, protocol)
    setup = Setup(protocol, distance, ties, queries, top, memory, seed, progress)
    vectors = {"photo": np.asarray(photos), "sketch": np.asarray(sketches)}
    labels = {"photo": np.ravel(photo_labels), "sketch": np.ravel(sketch_labels)}
    for modality, rows in vectors.items():
        if rows.ndim != 2 or len(rows) != len(labels[modality]):
            expected = f"expected ({len(labels[modality])}, dim) for the labels, received {rows.shape}"
            raise BadInput(f"{modality} embeddings: {expected}")
        check_vectors(rows, f"{modality} embeddings", distance)
    return summary({direction: score(vectors, labels, direction, setup) for direction in directions}, setup)


def score_features(path, features, setup, directions=(), scorer=None):
    """{direction: Scores} of a file's rows, see `score`; what cannot be ranked is told with the name of the file."""
    sides = {"photo": features.photo, "sketch": features.sketch}
    if setup.distance != "hamming":
        for items in sides.values():
            check_vectors(items.vectors, f"{path}: {items.key}", setup.distance, items.rows)
    vectors = {modality: items.vectors for modality, items in sides.items()}
    labels = {modality: items.labels for modality, items in sides.items()}
    try:
        return {direction: score(vectors, labels, direction, setup, scorer) for direction in directions or DIRECTIONS}
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from error


def score(vectors, labels, direction, setup, scorer=None):
    """`Scores` of every query of one direction. `vectors` and `labels` are keyed by modality, "photo" and "sketch".

    `scorer`: Hits -> {metric: (queries, …)}; left out, the protocol's.
    """
    asking, answering = DIRECTIONS[direction]
    rows = draw_queries(len(vectors[asking]), setup.queries, setup.seed)
    own_rows = rows if asking == answering else None
    ranked = len(vectors[answering]) - (own_rows is not None)
    if len(rows) == 0:
        raise BadInput(f"{direction}: expected at least 1 {asking} to query with, received 0")
    if ranked < 1:
        raise BadInput(f"{direction}: the gallery is empty, expected at least 1 {answering} to retrieve")

    scorer = scorer or (lambda hits: PROTOCOLS[setup.protocol].score(hits, setup.top))
    asked = labels[asking][rows]
    blocks = hit_blocks(
        vectors[asking] if len(rows) == len(vectors[asking]) else vectors[asking][rows],
        vectors[answering],
        setup.distance,
        asked,
        labels[answering],
        own_rows,
        setup.ties,
        setup.top,
        memory=setup.memory,
    )
    if setup.progress:
        size = query_block(len(vectors[answering]), setup.memory)
        blocks = track(blocks, direction, total=-(-len(rows) // size))
    scored, relevant = [], []
    for _, parts in blocks:
        scored += [scorer(hits) for hits in parts]
        relevant += [hits.relevant for hits in parts]
    values = {name: np.concatenate([part[name] for part in scored]) for name in scored[0]}
    return Scores(values, asked, rows, np.concatenate(relevant), ranked)


def draw_queries(available, wanted, seed):
    """Row numbers of the queries, ascending: all, or `wanted` of them drawn without replacement."""
    if wanted is None or wanted >= available:
        return np.arange(available)
    return np.sort(np.random.default_rng(seed).choice(available, wanted, replace=False))


def summary(scores, setup, features=None, draws=0):
    """The results of `evaluate`, from {direction: Scores}.

    With `features` also, by direction: "classes", the first metric class by class; "intervals", 95 % over `draws`
    resamplings of the queries; and where they hold seen rows, "seen" and "harmonic" beside the unseen numbers.
    """
    class_means = PROTOCOLS[setup.protocol].class_means
    results = {"protocol": setup.protocol, "distance": setup.distance, "ties": setup.ties}

    def numbers(part):
        values = {name: statistics.mean(column, part.labels, class_means) for name, column in part.values.items()}
        return values | {"queries": len(part.labels), "gallery": part.gallery}

    def without_relevant(parts):
        return {direction: int(np.count_nonzero(part.relevant == 0)) for direction, part in parts.items()}

    if features is None:
        results["directions"] = {direction: numbers(part) for direction, part in scores.items()}
        return results | {"without_relevant": {"directions": without_relevant(scores)}}
    if features.leaked:
        results["leaked"] = features.leaked
    unseen = {direction: part.take(np.isin(part.labels, features.unseen)) for direction, part in scores.items()}
    results["directions"] = {direction: numbers(part) for direction, part in unseen.items()}
    results["without_relevant"] = {"directions": without_relevant(unseen)}
    seen = {direction: part.take(~np.isin(part.labels, features.unseen)) for direction, part in scores.items()}
    if seen and all(len(part.labels) for part in seen.values()):
        results["seen"] = {direction: numbers(part) for direction, part in seen.items()}
        results["without_relevant"]["seen"] = without_relevant(seen)
        results["harmonic"] = {}
        for direction, values in results["directions"].items():
            others = results["seen"][direction]
            results["harmonic"][direction] = {
                name: harmonic_mean(values[name], others[name]) for name in scores[direction].values
            }
    if draws:
        results["intervals"] = {
            direction: statistics.intervals(part.values, part.labels, class_means, draws, setup.seed)
            for direction, part in unseen.items()
        }
    results["classes"] = {}
    for direction, part in unseen.items():
        means = statistics.per_class(next(iter(part.values.values())), part.labels)
        results["classes"][direction] = {features.class_name(label): value for label, value in means.items()}
    return results


def harmonic_mean(one, other):
    return 2 * one * other / (one + other) if one + other else 0.0


def paired_rows(path, features, settings):
    """`Features` of --against. Raises BadInput unless they are of the same pictures in the same order."""
    other = chosen_rows(settings.against, settings)
    for one, two in ((features.photo, other.photo), (features.sketch, other.sketch)):
        if not np.array_equal(one.labels, two.labels) or (one.names and two.names and one.names != two.names):
            raise BadInput(f"--against {settings.against}: {two.key} are not the pictures of {path} in the same order")
    return other


def test_against(scores, other, setup, settings):
    """Paired tests, this file minus --against: {"features", "distance", "directions": {direction: {metric:
    {"difference", "interval", "p"}}}}. `other`: its `paired_rows`."""
    theirs_by = Setup.of(settings, other.distance)
    theirs = score_features(settings.against, other, theirs_by, settings.directions)
    class_means = PROTOCOLS[setup.protocol].class_means
    directions = {}
    for direction, part in scores.items():
        directions[direction] = {}
        for name, values in part.values.items():
            difference, p = statistics.paired_test(
                values, theirs[direction].values[name], part.labels, class_means, seed=setup.seed
            )
            gap = {name: values - theirs[direction].values[name]}
            interval = statistics.intervals(gap, part.labels, class_means, seed=setup.seed)[name]
            directions[direction][name] = {"difference": difference, "interval": interval, "p": p}
    return {"features": str(settings.against), "distance": theirs_by.distance, "directions": directions}


def compare(path, features, setup, directions=()):
    """{direction: {convention: {distance: mean}}}: what each convention of the field makes of the same embeddings."""
    found = {}
    for distance in ("hamming",) if setup.distance == "hamming" else ("euclidean", "normalised", "l1"):
        ranked = dataclasses.replace(setup, distance=distance)
        parts = score_features(path, features, ranked, directions, protocols.compared)
        for direction, part in parts.items():
            part = part.take(np.isin(part.labels, features.unseen))
            rows = found.setdefault(direction, {})
            for name, values in part.values.items():
                rows.setdefault(name, {})[distance] = statistics.mean(values, part.labels)
                if name.startswith("mAP@all"):
                    of_classes = statistics.mean(values, part.labels, class_means=True)
                    rows.setdefault(f"{name}, class means", {})[distance] = of_classes
    return found


def check_directions(directions):
    for direction in directions:
        if direction not in DIRECTIONS:
            # 'sketch-' is what is left of an unquoted sketch->image
            hint = " (put quotes around it, the shell reads > itself)" if direction.endswith("-") else ""
            raise BadInput(f"--directions: expected any of {', '.join(DIRECTIONS)}, received {direction}{hint}")


if __name__ == "__main__":
    run(main, Settings, __doc__)
