"""Run directories: config.json, metrics.jsonl, checkpoints/, unified_features.mat, results.json, figures."""

import dataclasses
import json
import shutil
from pathlib import Path

from cli import BadInput, flag, whole_file

ROOT = Path("runs")
CONFIG, RESULTS = "config.json", "results.json"


def open_run(settings):
    """(settings to run with, run directory) for settings with `path`, `resume` and `overwrite`; creates nothing.

    Raises BadInput for an existing directory without --resume or --overwrite, or --resume with changed settings.
    """
    if settings.resume and settings.overwrite:
        raise BadInput("--resume and --overwrite exclude each other")
    if settings.resume:
        path = settings.path or newest().parent
        return _resumed(settings, path), path
    path = settings.path
    if path is None:
        return settings, ROOT / f"{max(_numbers(), default=0) + 1:04d}"
    if path.exists() and not path.is_dir():
        raise BadInput(f"{path}: is a file, --path wants a directory")
    if path.exists() and any(path.iterdir()):
        if not settings.overwrite:
            raise BadInput(f"{path}: exists already; --resume goes on with it, --overwrite replaces it")
        if not (path / CONFIG).exists():
            raise BadInput(f"{path}: is not a run directory (no {CONFIG}), so --overwrite leaves it alone")
    return settings, path


def newest():
    """The config.json of the run started last under runs/. Raises BadInput if there is none."""
    configs = sorted(ROOT.glob(f"*/{CONFIG}"), key=lambda file: file.stat().st_mtime)
    if not configs:
        raise BadInput(f"{ROOT}: no run to go on with; --resume wants --path or a run under {ROOT}")
    return configs[-1]


def _numbers():
    return [int(run.name) for run in ROOT.glob("[0-9]*") if run.name.isdigit()]


def _resumed(settings, path):
    """The stored settings of the run in `path`; one given on the command line has to agree with them."""
    stored = read_json(path / CONFIG)["settings"]
    values = {}
    for field in dataclasses.fields(settings):
        given = getattr(settings, field.name)
        if field.name in ("path", "resume", "overwrite"):
            values[field.name] = given
            continue
        kept = stored.get(field.name, field.default)
        if given != field.default and _plain(given) != kept:
            raise BadInput(f"{flag(field.name)} {given}: {path} was started with {kept}, and --resume keeps it")
        if isinstance(kept, list):
            kept = tuple(kept)
        values[field.name] = Path(kept) if "Path" in str(field.type) and kept is not None else kept
    return type(settings)(**values)


def create(folder, settings, classes, features, dataset):
    """Makes the run directory with its config.json, with --overwrite in place of the run that was there."""
    if settings.overwrite and folder.exists():
        shutil.rmtree(folder)
    if (folder / CONFIG).exists():
        raise BadInput(f"{folder}: another run was started there at the same time")
    values = {name: _plain(value) for name, value in dataclasses.asdict(settings).items()}
    write_json(folder / CONFIG, {"settings": values, "classes": classes, "features": features, "dataset": dataset})


def _plain(value):
    return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value


def read_results(folder):
    """Contents of results.json of a complete run, else {}."""
    path = folder / RESULTS
    return read_json(path) if path.exists() else {}


def read_json(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadInput(f"{path}: no such file") from error
    except ValueError as error:
        raise BadInput(f"{path}: not readable as JSON ({error})") from error


def write_json(path, content):
    with whole_file(path) as part:
        part.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
