"""The units of work: a training run, a measurement of its embeddings, the baselines. Each leaves one JSON file.

A cell whose file is there, made with the same settings from the same features, is never computed again. Changes of
the code are not noticed: another --runs folder begins anew.
"""

import dataclasses
import hashlib
import json
import os
import platform
import shutil
import time
from dataclasses import dataclass
from functools import cached_property

import knn_eval
import runs
import Unified_XY_triads as trainer
from benchmarks import baselines
from cli import BadInput
from paper.ground import Ground

#: how the same embeddings are measured besides protocol `standard`: settings of knn_eval, sketch→image
MEASURES = {
    "knncode": {"protocol": "knncode"},
    "sempcyc": {"protocol": "sempcyc"},
    "sake": {"protocol": "sake"},
    "zse": {"protocol": "zse"},
    "itq": {"bits": 64},
    "sign": {"bits": 64, "codes": "sign"},
    "generalised-sempcyc": {"generalised": "sempcyc"},
    "generalised-pcmsn": {"generalised": "pcmsn"},
}

# Seconds on two CPU cores without a GPU, preset paper on 512-d features; finished cells correct them (`Rates`).
RUN_SECONDS = 2.0  # building, compiling, export, figures
EPOCH_SECONDS = 0.05  # checkpoint, held-out score
PICTURE_SECONDS = 2e-5 / 512  # of an epoch, per picture of the larger modality (of fixed steps: drawn) and feature
PCMSN_PICTURE_SECONDS = 1.5e-4 / 512  # the same, of its wider networks and their adversary
PAIR_SECONDS = 3e-8  # ranking and scoring, per query and gallery item


@dataclass(frozen=True)
class Method:
    """What is trained: a preset of a model, and the trainer's settings that differ from it."""

    model: str
    preset: str
    changes: tuple[tuple[str, object], ...] = ()

    @property
    def name(self):
        words = [self.model, self.preset]
        for setting, value in self.changes:
            words += [setting, *map(str, value)] if isinstance(value, tuple) else [setting, str(value)]
        return "-".join(words).replace("_", "-")

    def with_changes(self, changes):
        """The method with other settings of the trainer, its preset among them."""
        changes = dict(changes)
        preset = changes.pop("preset", self.preset)
        return dataclasses.replace(self, preset=preset, changes=(*self.changes, *changes.items()))


class Cell:
    """One JSON file at `path`. A subclass says what it holds (`identity`, `measure`) and how long it may take."""

    def stored(self):
        """Contents of the finished cell; {} if there is none, or one of other settings or features."""
        if not self.path.exists():
            return {}
        content = runs.read_json(self.path)
        return content if content.get("cell") == self.identity else {}

    def make(self, worker):
        """Computes the cell and returns its contents; `worker` trains."""
        began = time.monotonic()
        results, whole = self.measure(worker)
        seconds = time.monotonic() - began if whole else None
        content = {"cell": self.identity, "seconds": seconds, "machine": machine(), **results}
        runs.write_json(self.path, content)
        return content


@dataclass(frozen=True)
class Training(Cell):
    """One run of the trainer; the cell holds its scores, protocol `standard`."""

    ground: Ground
    method: Method
    seed: int

    @property
    def folder(self):
        # a run goes on with the graph it was started with, so that one of another graph needs a place of its own
        mark = f"-{hashlib.sha256(str(self.edges).encode()).hexdigest()[:8]}" if self.edges else ""
        return self.ground.folder / f"{self.method.name}-seed{self.seed}{mark}"

    @property
    def path(self):
        return self.folder / "measured" / "standard.json"

    @property
    def kind(self):
        return self.method.name

    @property
    def title(self):
        return f"{self.method.name}, {self.ground.list_name}, seed {self.seed}"

    @cached_property
    def asked(self):
        return trainer.Settings(
            data=self.ground.dataset.directory,
            unseen=self.ground.unseen_file,
            model=self.method.model,
            preset=self.method.preset,
            seed=self.seed,
            **dict(self.method.changes),
        )

    @cached_property
    def filled_in(self):
        """(settings, preset) as the trainer fills them in."""
        return trainer.filled_in(self.asked)

    @cached_property
    def edges(self):
        """Of the class graph, as the run has them; none for a system that wants no graph."""
        settings, preset = self.filled_in
        if not trainer.wants_graph(preset):
            return []
        dataset = self.ground.dataset
        return trainer.class_graph(preset, dataset, trainer.read_split(settings, dataset)).tolist()

    @cached_property
    def identity(self):
        settings, preset = self.filled_in
        graph = {"edges": self.edges} if self.edges else {}
        return plain({"model": settings.model, "seed": settings.seed, "preset": dataclasses.asdict(preset), **graph})

    @property
    def seconds(self):
        settings, preset = self.filled_in
        data = self.ground.dataset
        pictures = preset.steps * preset.batch_size or max(len(items.labels) for items in (data.photo, data.sketch))
        rate = PCMSN_PICTURE_SECONDS if settings.model == "pcmsn" else PICTURE_SECONDS
        epoch = EPOCH_SECONDS + rate * pictures * max(self.ground.widths)
        return RUN_SECONDS + settings.epochs * epoch + 2 * PAIR_SECONDS * sum(self.ground.unseen_pictures) ** 2

    def measure(self, worker):
        """(scores, whether this call trained from the first epoch to the last)."""
        whole = False
        if not (runs.read_results(self.folder) and self.is_ours()):
            whole = self.train(worker)
        # the embeddings stay, for the other cells; a table's hundred runs would fill the disk with the rest
        shutil.rmtree(self.folder / "checkpoints", ignore_errors=True)
        return runs.read_results(self.folder)["shared space"], whole

    def is_ours(self):
        """Whether the run directory was made with the settings of this cell."""
        config = self.folder / runs.CONFIG
        if not config.exists():
            return False
        settings = dataclasses.replace(self.filled_in[0], path=self.folder)
        wanted = plain({field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)})
        ways = dict.fromkeys(("resume", "overwrite"))
        return runs.read_json(config)["settings"] | ways == wanted | ways

    def train(self, worker):
        """Runs the trainer, its account going to a file beside the run; returns whether it began at the beginning."""
        settings, fresh = dataclasses.replace(self.asked, path=self.folder), not self.is_ours()
        if fresh:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            settings = trainer.Settings(path=self.folder, resume=True)
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        worker.train(settings, self.folder.with_name(f"{self.folder.name}.log"), append=not fresh)
        return fresh


@dataclass(frozen=True)
class Measurement(Cell):
    """The embeddings of a run measured in another way, sketch→image."""

    training: Training
    measured: str  # a key of MEASURES

    kind = "measurement"

    @property
    def ground(self):
        return self.training.ground

    @property
    def path(self):
        return self.training.folder / "measured" / f"{self.measured}.json"

    @property
    def title(self):
        return f"{self.training.title}, measured: {self.measured}"

    @property
    def identity(self):
        return plain({"run": self.training.identity, "measured": MEASURES[self.measured]})

    @property
    def applicable(self):
        """Sign codes have as many bits as the embedding has dimensions, ITQ at most as many. Embeddings that are codes
        are measured as they are."""
        settings, bits = self.training.filled_in[0], MEASURES[self.measured].get("bits")
        if settings.bits:
            return False
        return not bits or settings.dim == bits or (settings.dim > bits and self.measured == "itq")

    @property
    def seconds(self):
        photos, sketches = self.ground.unseen_pictures
        if self.measured == "generalised-pcmsn":
            photos, sketches = len(self.ground.dataset.photo.labels), len(self.ground.dataset.sketch.labels)
        return 0.1 + PAIR_SECONDS * photos * sketches

    def measure(self, worker):
        file = self.training.folder / "unified_features.mat"
        if not file.exists():
            raise BadInput(
                f"{file}: no such file, and {self.title} needs it; delete {self.training.path} to train anew"
            )
        asked = knn_eval.Settings(features=file, directions=("sketch->image",), **MEASURES[self.measured])
        features = knn_eval.chosen_rows(file, asked)
        setup = dataclasses.replace(knn_eval.Setup.of(asked, features.distance), progress=False)
        scores = knn_eval.score_features(file, features, setup, asked.directions)
        return knn_eval.summary(scores, setup, features), True


@dataclass(frozen=True)
class Baselines(Cell):
    """What the features reach without gradients."""

    ground: Ground

    kind = "baselines"

    @property
    def path(self):
        return self.ground.folder / "baselines.json"

    @property
    def title(self):
        return f"features alone and LDA map, {self.ground.list_name}"

    @property
    def asked(self):
        return baselines.Settings(data=self.ground.dataset.directory, unseen=self.ground.unseen_file)

    @property
    def identity(self):
        return plain({"dim": self.asked.dim, "shrinkage": self.asked.shrinkage})

    @property
    def applicable(self):
        return len(self.ground.widths) == 1

    @property
    def seconds(self):
        return 0.5 + 2 * PAIR_SECONDS * sum(self.ground.unseen_pictures) ** 2

    def measure(self, worker):
        return {"baselines": baselines.measure(self.asked)}, True


class Rates:
    """How long cells take: the documented rates, corrected by the cells that were finished on this machine."""

    def __init__(self):
        self.spent = {}  # kind -> [seconds measured, seconds by the documented rates]

    def note(self, cell, content):
        if content.get("seconds") and content["machine"] == machine():
            for kind in (cell.kind, type(cell)):
                pair = self.spent.setdefault(kind, [0.0, 0.0])
                pair[0] += content["seconds"]
                pair[1] += cell.seconds

    @property
    def source(self):
        return "by the cells finished here" if self.spent else "by documented rates of two CPU cores"

    def expected(self, cell):
        for kind in (cell.kind, type(cell)):
            if kind in self.spent:
                measured, documented = self.spent[kind]
                return cell.seconds * measured / documented
        return cell.seconds


def machine():
    return f"{platform.node()}, {os.cpu_count()} cores"


def plain(content):
    """As JSON gives it back."""
    return json.loads(json.dumps(content, default=str))
