"""Run directories: config.json, metrics.jsonl, checkpoints/, unified_features.mat, results.json, encoders/, figures."""

import contextlib
import dataclasses
import itertools
import shutil
from dataclasses import dataclass
from pathlib import Path

from zscmr.formats.dataset_directory import PROVENANCE
from zscmr.utils.errors import BadInput
from zscmr.utils.files import read_json, write_json
from zscmr.utils.options import flag, plain

ROOT = Path("runs")
CONFIG, RESULTS, EMBEDDINGS = "config.json", "results.json", "unified_features.mat"
ENCODERS, ABOUT = "encoders", "about.json"  # a folder, and the file in it that marks its graphs as complete
OF_RUN = ("path", "resume", "overwrite", "no_encoders")  # settings that say where a run is and how it is opened
OF_COMMAND = ("data", "unseen", *OF_RUN)  # settings of the trainer that are no constants of a system
_WIDTH = range(2**24)  # numbers of a vector
#: form of config.json; earlier versions wrote less of the dataset
_FORM = {
    "settings": {"data?": str},
    "classes": {"seen": [str], "held_out": [str], "unseen": [str]},
    "features?": PROVENANCE,
    "dataset?": {
        "directory?": str,
        "photo?": _WIDTH,
        "sketch?": _WIDTH,
        "class_vectors?": _WIDTH,
        "classifier?": _WIDTH,
        "features_sha256?": str | None,
    },
}


@dataclass(frozen=True)
class Run:
    """The run in a directory, which need not exist yet."""

    folder: Path

    @classmethod
    def newest(cls):
        """The run started last under runs/. Raises BadInput if there is none."""
        configs = sorted(ROOT.glob(f"*/{CONFIG}"), key=lambda file: file.stat().st_mtime)
        if not configs:
            raise BadInput(f"{ROOT}: no run to go on with; --resume needs --path or a run under {ROOT}")
        return cls(configs[-1].parent)

    @classmethod
    def create(cls, folder, settings, classes, features, dataset):
        """Write the run directory with its config.json; under --overwrite delete the run that is there.

        Args:
          folder: the directory; None: the next number under runs/.
          settings: the trainer's, with `overwrite`.
          classes: {"seen", "held_out", "unseen": names}.
          features: provenance of the features.
          dataset: where it is, its widths and the digest of its features.
        """
        run = cls(folder or _next_folder())
        if settings.overwrite and run.folder.exists():
            shutil.rmtree(run.folder)
        if run.config_file.exists():
            raise BadInput(f"{run.folder}: another run was started there at the same time")
        content = {"settings": config_settings(settings), "classes": classes, "features": features, "dataset": dataset}
        write_json(run.config_file, content)
        return run

    @property
    def config_file(self):
        return Path(self.folder) / CONFIG

    @property
    def has_encoders(self):
        return (Path(self.folder) / ENCODERS / ABOUT).is_file()

    def config(self):
        """Contents of config.json. Raises BadInput."""
        return {"features": {}} | read_json(self.config_file, _FORM)

    def results(self):
        """Contents of results.json of a complete run, else {}."""
        path = Path(self.folder) / RESULTS
        return read_json(path) if path.exists() else {}

    def trained_classes(self):
        """Names of the classes that the run or its CNNs were trained on."""
        config = self.config()
        seen = [name for part in ("seen", "held_out") for name in config["classes"][part]]
        return [*seen, *config["features"].get("trained_on", ())]

    def settings(self, settings_class):
        """The settings that the run was started with: {field: value}, constants of the system apart."""
        stored = self.config()["settings"]
        try:
            values = settings_class.parsed(stored)
        except BadInput as error:
            raise BadInput(f"{self.config_file}: {error}") from error
        fields = {field.name for field in dataclasses.fields(settings_class)} | {*OF_COMMAND}
        constants = {name: value for name, value in stored.items() if name not in fields and value is not None}
        return values | {"constants": constants | values.get("constants", {})}

    def resumed(self, settings):
        """Return `settings` with the stored values, path and opening mode apart; raise BadInput if it chose others."""
        stored = self.settings(type(settings))
        for name in settings.given - {*OF_RUN, "constants"}:
            self._refuse_other(name, getattr(settings, name), stored.get(name))
        for name, value in settings.constants.items():
            self._refuse_other(name, value, stored["constants"].get(name))
        return dataclasses.replace(settings, **{name: value for name, value in stored.items() if name not in OF_RUN})

    def _refuse_other(self, name, value, stored):
        if value != stored:
            reason = f"{self.folder} was started with {plain(stored)}, and --resume keeps it"
            raise BadInput(f"{flag(name)} {plain(value)}: {reason}")

    def check_same_data(self, classes, dataset):
        """Raise BadInput unless the run was started with these classes and these features."""
        config = self.config()
        for part, names in classes.items():
            if list(config["classes"][part]) != list(names):
                first = (sorted(set(config["classes"][part]) ^ set(names)) or names)[0]
                raise BadInput(
                    f"{self.folder}: was started with other {part.replace('_', '-')} classes ('{first}' differs); "
                    "--unseen with its own list resumes it, another --path starts anew"
                )
        if config.get("dataset", {}).get("features_sha256") not in (None, dataset["features_sha256"]):
            raise BadInput(
                f"{self.folder}: was started with other features than {dataset['directory']} now holds; "
                "another --path starts anew"
            )


def open_run(settings):
    """(settings to run with, run directory or None) for settings with `path`, `resume` and `overwrite`.

    Creates nothing; `training/state.py` restores weights. Without a path the directory is None; `create` numbers it.

    Raises BadInput for an existing directory without --resume or --overwrite, or --resume with changed settings.
    """
    if settings.resume and settings.overwrite:
        raise BadInput("--resume and --overwrite exclude each other")
    if settings.resume:
        run = Run(settings.path) if settings.path else Run.newest()
        return run.resumed(settings), run.folder
    path = settings.path
    if path is None:
        return settings, None  # `create` takes the next number
    if path.exists() and not path.is_dir():
        raise BadInput(f"{path}: is a file, --path needs a directory")
    if path.exists() and any(path.iterdir()):
        if not settings.overwrite:
            raise BadInput(f"{path}: exists already; --resume goes on with it, --overwrite replaces it")
        if not (path / CONFIG).exists():
            raise BadInput(f"{path}: is not a run directory (no {CONFIG}), so --overwrite leaves it alone")
    return settings, path


def _next_folder():
    """Make and return the directory of the next number under runs/; two processes never get the same."""
    ROOT.mkdir(exist_ok=True)
    numbers = [int(run.name) for run in ROOT.glob("[0-9]*") if run.name.isdigit()]
    for number in itertools.count(max(numbers, default=0) + 1):
        with contextlib.suppress(FileExistsError):
            folder = ROOT / f"{number:04d}"
            folder.mkdir()
            return folder


def config_settings(settings):
    """The settings as config.json holds them: one flat dict, the system's constants among them."""
    stored = settings.stored()
    del stored["constants"]
    return stored | settings.constants
