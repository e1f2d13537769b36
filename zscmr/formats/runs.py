"""Run directories: config.json, metrics.jsonl, checkpoints/, unified_features.mat, results.json, figures."""

import contextlib
import dataclasses
import itertools
import shutil
from pathlib import Path

from zscmr.utils.errors import BadInput
from zscmr.utils.files import read_json, write_json
from zscmr.utils.options import flag

ROOT = Path("runs")
CONFIG, RESULTS, EMBEDDINGS = "config.json", "results.json", "unified_features.mat"
ENCODERS, ABOUT = "encoders", "about.json"  # a folder, and the file in it that marks its graphs as complete
PLACES = ("path", "resume", "overwrite", "no_encoders")  # settings that say where a run is and how it is opened
OF_COMMAND = ("data", "unseen", *PLACES)  # settings of the trainer that are no constants of a system


def open_run(settings):
    """(settings to run with, run directory or None) for settings with `path`, `resume` and `overwrite`.

    Creates nothing; `training/state.py` restores weights. Without a path the directory is None; `create` numbers it.

    Raises BadInput for an existing directory without --resume or --overwrite, or --resume with changed settings.
    """
    if settings.resume and settings.overwrite:
        raise BadInput("--resume and --overwrite exclude each other")
    if settings.resume:
        path = settings.path or newest().parent
        return _settings_of_resumed(settings, path), path
    path = settings.path
    if path is None:
        return settings, None  # `create` takes the next number
    if path.exists() and not path.is_dir():
        raise BadInput(f"{path}: is a file, --path wants a directory")
    if path.exists() and any(path.iterdir()):
        if not settings.overwrite:
            raise BadInput(f"{path}: exists already; --resume goes on with it, --overwrite replaces it")
        if not (path / CONFIG).exists():
            raise BadInput(f"{path}: is not a run directory (no {CONFIG}), so --overwrite leaves it alone")
    return settings, path


def trained_classes(config):
    """Names of the classes that a run, whose config.json holds `config`, or its CNNs were trained on."""
    seen = [name for part in ("seen", "held_out") for name in config["classes"][part]]
    return [*seen, *config["features"].get("trained_on", ())]


def newest():
    """The config.json of the run started last under runs/. Raises BadInput if there is none."""
    configs = sorted(ROOT.glob(f"*/{CONFIG}"), key=lambda file: file.stat().st_mtime)
    if not configs:
        raise BadInput(f"{ROOT}: no run to go on with; --resume wants --path or a run under {ROOT}")
    return configs[-1]


def _next_folder():
    """Make and return the directory of the next number under runs/; two processes never get the same."""
    ROOT.mkdir(exist_ok=True)
    numbers = [int(run.name) for run in ROOT.glob("[0-9]*") if run.name.isdigit()]
    for number in itertools.count(max(numbers, default=0) + 1):
        with contextlib.suppress(FileExistsError):
            folder = ROOT / f"{number:04d}"
            folder.mkdir()
            return folder


def stored_settings(path, settings_class):
    """The settings that the run in `path` was started with; {field: value}, constants of the system apart."""
    stored = read_json(path / CONFIG).get("settings")
    if not isinstance(stored, dict):
        raise BadInput(f"{path / CONFIG}: no 'settings' in it")
    fields = {field.name: field for field in dataclasses.fields(settings_class)}
    values = {}
    for name in fields.keys() & stored.keys():
        kept = tuple(stored[name]) if isinstance(stored[name], list) else stored[name]
        values[name] = Path(kept) if "Path" in str(fields[name].type) and kept is not None else kept
    others = {name: value for name, value in stored.items() if name not in {*fields, *OF_COMMAND} and value is not None}
    return values | {"constants": others | values.get("constants", {})}


def _settings_of_resumed(settings, path):
    """The stored settings of the run in `path`; those chosen for this call have to agree with them."""
    stored = stored_settings(path, type(settings))
    for name in settings.given - {*PLACES, "constants"}:
        _refuse_other(path, name, getattr(settings, name), stored.get(name))
    for name, value in settings.constants.items():
        _refuse_other(path, name, value, stored["constants"].get(name))
    return dataclasses.replace(settings, **{name: value for name, value in stored.items() if name not in PLACES})


def _refuse_other(path, name, value, kept):
    if value != kept:
        raise BadInput(f"{flag(name)} {_plain(value)}: {path} was started with {_plain(kept)}, and --resume keeps it")


def create(folder, settings, classes, features, dataset):
    """Make the run directory with its config.json and return it; under --overwrite delete the run that is there.

    `folder` None: the next number under runs/.
    `classes`: {"seen", "held_out", "unseen": names}; `features`: provenance of the features; `dataset`: where it is,
    its widths and the digest of its features.
    """
    folder = folder or _next_folder()
    if settings.overwrite and folder.exists():
        shutil.rmtree(folder)
    if (folder / CONFIG).exists():
        raise BadInput(f"{folder}: another run was started there at the same time")
    content = {"settings": config_settings(settings), "classes": classes, "features": features, "dataset": dataset}
    write_json(folder / CONFIG, content)
    return folder


def config_settings(settings):
    """The settings as config.json holds them: one flat dict, the system's constants among them."""
    values = {field.name: _plain(getattr(settings, field.name)) for field in dataclasses.fields(settings)}
    return {name: value for name, value in values.items() if name != "constants"} | dict(settings.constants)


def check_same_data(folder, classes, dataset):
    """Raise BadInput unless the run in `folder` was started with these classes and these features."""
    config = read_json(folder / CONFIG)
    for part, names in classes.items():
        if list(config["classes"][part]) != list(names):
            other = sorted(set(config["classes"][part]) ^ set(names)) or names
            raise BadInput(
                f"{folder}: was started with other {part.replace('_', '-')} classes ('{other[0]}' differs); "
                "--unseen with its own list resumes it, another --path starts anew"
            )
    kept = config.get("dataset", {}).get("features_sha256")
    if kept not in (None, dataset["features_sha256"]):
        raise BadInput(
            f"{folder}: was started with other features than {dataset['directory']} now holds; "
            "another --path starts anew"
        )


def _plain(value):
    return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value


def read_results(folder):
    """Contents of results.json of a complete run, else {}."""
    path = folder / RESULTS
    return read_json(path) if path.exists() else {}
