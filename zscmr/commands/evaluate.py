"""Rank photos and sketches of unseen classes against each other and score the rankings.

    python knn_eval.py [FEATURES] [--protocol sake] [--directions 'sketch->image' 'image->sketch'] [--compare]

FEATURES is the `unified_features.mat` of a run, a file with the variables KNNcode.m reads, an .npz file or a folder of
.npy files with either set of variables. The mathematics is NumPy on plain arrays (`rank`, `average_precision`,
`precision_at`, `evaluate` and the rest of zscmr/evaluation/) and can be called without any file.
"""

import dataclasses
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from zscmr.evaluation import instances, scoring
from zscmr.evaluation.comparisons import compare_conventions, paired_tests
from zscmr.evaluation.distances import distances
from zscmr.evaluation.embedding_files import newest
from zscmr.evaluation.embedding_files import read_embeddings as load  # its name for programs
from zscmr.evaluation.embeddings import DIRECTIONS
from zscmr.evaluation.metrics import Hits, average_precision, hits_at, ndcg_at, nmrr, precision_at, recall_at
from zscmr.evaluation.nearest import nearest
from zscmr.evaluation.options import EvaluationOptions
from zscmr.evaluation.protocols import PROTOCOLS
from zscmr.evaluation.ranking import hit_blocks, rank, rank_blocks
from zscmr.evaluation.scoring import Scores, Setup, evaluate
from zscmr.evaluation.selection import chosen_rows, unseen_only
from zscmr.evaluation.summaries import summary
from zscmr.formats import runs
from zscmr.reports import page as report
from zscmr.reports import plots, text_tables
from zscmr.reports.grid import retrieval_grid
from zscmr.reports.text_tables import format_scores as table
from zscmr.utils.console import say
from zscmr.utils.errors import BadInput
from zscmr.utils.files import existing_folder, whole_file
from zscmr.utils.options import command, setting

#: what other code may call
__all__ = [
    "DIRECTIONS",
    "PROTOCOLS",
    "Hits",
    "Scores",
    "average_precision",
    "distances",
    "evaluate",
    "hit_blocks",
    "hits_at",
    "load",
    "ndcg_at",
    "nearest",
    "nmrr",
    "precision_at",
    "rank",
    "rank_blocks",
    "recall_at",
    "retrieval_grid",
    "table",
    "unseen_only",
]
NEWEST_RUN = Path("runs/*") / runs.EMBEDDINGS


@dataclass(frozen=True)
class Settings(EvaluationOptions):
    features: Path = setting(NEWEST_RUN, "embeddings to evaluate; left out: of these, the newest", positional=True)
    directions: tuple[str, ...] = setting(
        (),
        f"any of {', '.join(DIRECTIONS)}, in quotes since the shell reads > itself; left out: all",
        metavar="QUERY->GALLERY",
    )
    compare: bool = setting(False, "print every convention side by side, under three distances")
    per_class: bool = setting(False, "print the first metric for each class")
    bootstrap: int = setting(1000, "resamplings of the queries for the 95 % intervals; 0: none", least=0)
    against: Path | None = setting(None, "test the difference to these embeddings of the same pictures", metavar="FILE")
    json: Path | None = setting(None, "write the results to this file", metavar="FILE")
    figures: Path | None = setting(None, "draw the figures and report.html, which holds them all, here", metavar="DIR")


def main(settings):
    scoring.check_directions(settings.directions)
    if settings.top and settings.compare:
        raise BadInput("--top: does not go with --compare")
    path = newest(NEWEST_RUN) if settings.features == NEWEST_RUN else settings.features
    if (path / NEWEST_RUN.name).exists():  # a run directory
        path = path / NEWEST_RUN.name
    check_outputs(path, settings)
    features = chosen_rows(path, settings)
    other = paired_rows(path, features, settings) if settings.against else None
    setup = Setup.of(settings, features.distance)
    scores = scoring.score_features(path, features, setup, settings.directions)
    results = {"features": str(path), **summary(scores, setup, features, settings.bootstrap)}
    title = f"{path}, {described(features, settings)}"
    say(table(results, title))
    if settings.instances:
        results["instances"] = instances.score_instances(path, features, setup, settings.bootstrap)
        say(text_tables.format_instances(results))
    if settings.per_class:
        say(text_tables.format_classes(results))
    if settings.against:
        second_setup = Setup.of(settings, other.distance)
        results["against"] = paired_tests(scores, setup, settings.against, other, second_setup, settings.directions)
        say(text_tables.format_differences(results))
    if settings.compare:
        results["compare"] = compare_conventions(path, features, setup, settings.directions)
        say(text_tables.format_conventions(results))
    if settings.json:
        with whole_file(settings.json) as part:
            part.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        say(f"wrote {settings.json}")
    if settings.figures:
        singly = dataclasses.replace(setup, ties="gallery", top=None)
        points = scoring.score_features(path, features, singly, settings.directions, plots.curve_points)
        provenance = provenance_of(path, features, settings)
        for file in report.write_report(settings.figures, features, results, title, setup, points, provenance):
            say(f"wrote {file}")


def check_outputs(path, settings):
    """Raise BadInput, before any work, for what --json and --figures cannot write. `path`: the embeddings."""
    if settings.json:
        if settings.json.is_dir():
            raise BadInput(f"--json: expected a file, received the folder {settings.json}")
        if settings.json.resolve() in {file.resolve() for file in (path, settings.against or path)}:
            raise BadInput(f"--json: {settings.json} holds the embeddings, expected another file")
    for option, folder in (("--json", settings.json and settings.json.parent), ("--figures", settings.figures)):
        if folder and not os.access(parent := existing_folder(option, folder), os.W_OK):
            raise BadInput(f"{option}: no permission to write to {parent}")


def paired_rows(path, features, settings):
    """`Features` of --against. Raises BadInput unless they are of the same pictures in the same order."""
    other = chosen_rows(settings.against, settings)
    for one, two in ((features.photo, other.photo), (features.sketch, other.sketch)):
        same = len(one.labels) == len(two.labels) and (one.labels == two.labels).all()
        if not same or (one.names and two.names and one.names != two.names):
            raise BadInput(f"--against {settings.against}: {two.key} are not the pictures of {path} in the same order")
    return other


def provenance_of(path, features, settings):
    """The origin of a report, {line: {name: value}}: the shell line, the file, the settings of the file's run."""
    files = sorted(path.glob("*.npy")) if path.is_dir() else [path]
    written = time.strftime("%Y-%m-%d %H:%M", time.localtime(max(file.stat().st_mtime for file in files)))
    evaluated = (
        f"{path.resolve()}: {sum(file.stat().st_size for file in files):,} bytes, written {written}; evaluated here: "
        f"{len(features.photo.labels)} photos and {len(features.sketch.labels)} sketches, "
        f"{features.photo.vectors.shape[1]}-d {features.photo.vectors.dtype}"
    )
    origin = {f"$ {command('knn_eval.py', dataclasses.replace(settings, features=path))}": {}, evaluated: {}}
    config = path.parent / "config.json"
    try:
        stored = json.loads(config.read_text(encoding="utf-8"))
        for part in ("settings", "features"):  # without lists of classes and counts
            plain = {key: value for key, value in stored[part].items() if isinstance(value, str | int | float)}
            origin[f"{config}, {part}"] = plain
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        pass  # no file of a run
    return origin


def described(features, settings):
    """The classes and the options that a title names."""
    parts = [f"{len(features.unseen)} {'unseen ' if features.zero_shot else ''}classes"]
    if settings.generalised:
        parts.append(f"generalised as {settings.generalised}")
    if settings.bits:
        parts.append(f"{settings.bits}-bit {settings.codes or 'itq'} codes")
    return ", ".join(parts)
