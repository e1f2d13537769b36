"""The units of work: a training run, a measurement of its embeddings, the baselines. Each leaves one JSON file.

A cell whose file was made with the same settings from the same features is never computed again. Changes of the code
are not noticed: another --runs folder begins anew.
"""

import dataclasses
import hashlib
import os
import platform
import shutil
import time
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from zscmr import models
from zscmr.datasets.batches import trained_pictures
from zscmr.datasets.class_graph import class_graph
from zscmr.datasets.classes import read_split
from zscmr.evaluation import scoring
from zscmr.evaluation.embedding_files import read_embeddings
from zscmr.evaluation.instances import score_instances
from zscmr.evaluation.options import EvaluationOptions
from zscmr.evaluation.protocols import PROTOCOLS
from zscmr.evaluation.selection import chosen_rows, unseen_only
from zscmr.evaluation.summaries import summary
from zscmr.formats import runs
from zscmr.models.presets import Tables
from zscmr.paper.baselines import DIM, SHRINKAGE, measure_baselines
from zscmr.paper.ground import Elsewhere, Ground
from zscmr.training.stage2.options import TrainingOptions, with_fitting_batch, with_preset
from zscmr.utils.errors import BadInput
from zscmr.utils.files import file_hash, json_round_trip, read_json, write_json

#: how embeddings are measured besides protocol `standard`, sketch→image: fields of `EvaluationOptions`
MEASURES = {
    "knncode": {"protocol": "knncode"},
    "sempcyc": {"protocol": "sempcyc"},
    "sake": {"protocol": "sake"},
    "zse": {"protocol": "zse"},
    "itq": {"bits": 64},
    "sign": {"bits": 64, "codes": "sign"},
    "generalised-sempcyc": {"generalised": "sempcyc"},
    "generalised-pcmsn": {"generalised": "pcmsn"},
    "reranked": {"rerank": True},
    "instances": {"instances": True},
}

# Seconds on two CPU cores without a GPU, on 1280-d features; finished cells correct them (`rates.Rates`).
RUN_SECONDS = 3.0  # building, compiling, export, figures
EPOCH_SECONDS = 0.05  # checkpoint, held-out score
PICTURE_SECONDS = 3e-8  # an epoch, per picture and feature
PAIR_SECONDS = 3e-8  # ranking and scoring, per query and gallery item
RERANKING_TIMES = 8  # time of re-ranking in times of ranking (`benchmarks/bench_eval.py`)


@dataclass(frozen=True)
class Method:
    """A preset of a model, and the trainer's settings that differ from it."""

    model: str
    preset: str
    changes: tuple[tuple[str, object], ...] = ()

    @property
    def name(self):
        parts = [self.model, self.preset]
        for setting, value in self.changes:
            parts += [setting, *map(str, value)] if isinstance(value, tuple) else [setting, str(value)]
        return "-".join(parts).replace("_", "-")

    def with_changes(self, changes):
        """The method with other settings of the trainer, its preset among them."""
        changes = dict(changes)
        preset = changes.pop("preset", self.preset)
        return dataclasses.replace(self, preset=preset, changes=(*self.changes, *changes.items()))


class Cell:
    """One JSON file at `path`. A subclass defines its content (`identity`, `measure`) and expected `seconds`."""

    def stored(self):
        """Contents of the finished cell; {} if there is none, or one of other settings or features."""
        if not self.path.exists():
            return {}
        content = read_json(self.path)
        return content if content.get("cell") == self.identity else {}

    def make(self, worker):
        """Compute the cell, write it, and return its contents; `worker` trains."""
        began = time.monotonic()
        results, complete = self.measure(worker)
        seconds = time.monotonic() - began if complete else None
        content = {"cell": self.identity, "seconds": seconds, "machine": machine(), **results}
        write_json(self.path, content)
        return content


@dataclass(frozen=True)
class Training(Cell):
    """One run of the trainer; the cell holds its scores, protocol `standard`."""

    ground: Ground
    method: Method
    seed: int

    @property
    def folder(self):
        # a resumed run keeps its graph, so a run with another graph needs another folder
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
    def options(self):
        """`TrainingOptions` of the run."""
        fields = {field.name for field in dataclasses.fields(TrainingOptions)}
        chosen = {name: value for name, value in self.method.changes if name in fields}
        constants = {name: value for name, value in self.method.changes if name not in fields}
        method = self.method
        return TrainingOptions(model=method.model, preset=method.preset, seed=self.seed, constants=constants, **chosen)

    @cached_property
    def resolved(self):
        """(options, preset) as the trainer fills them in."""
        options, preset = with_preset(self.options)
        if self.options.batch_size is not None:
            return options, preset
        return with_fitting_batch(options, preset, _trained_pictures(self.ground, options.held_out, options.seed))

    @property
    def usual_batch(self):
        """The batch of a dataset that is large enough."""
        return with_preset(self.options)[1].batch_size

    @cached_property
    def edges(self):
        """Edges of the run's class graph; none if the system needs no graph."""
        options, preset = self.resolved
        if not preset.constants.wants_graph:
            return []
        dataset = self.ground.dataset
        split = read_split(dataset, self.ground.unseen_file, options.held_out, options.seed)
        return class_graph(dataset, split).tolist()

    @cached_property
    def identity(self):
        settings, preset = self.resolved
        identity = {"model": settings.model, "seed": settings.seed, "preset": dataclasses.asdict(preset)}
        for part, values in preset.constants.retired.items():
            identity["preset"][part] |= values
        return json_round_trip(identity | ({"edges": self.edges} if self.edges else {}))

    @property
    def seconds(self):
        options, preset = self.resolved
        data = self.ground.dataset
        pictures = preset.steps * preset.batch_size or max(len(items.labels) for items in (data.photo, data.sketch))
        rate = tables_of(options.model).picture_seconds.get(self.method.preset, PICTURE_SECONDS)
        epoch = EPOCH_SECONDS + rate * pictures * max(self.ground.widths)
        return RUN_SECONDS + preset.epochs * epoch + 2 * PAIR_SECONDS * sum(self.ground.unseen_pictures) ** 2

    def measure(self, worker):
        """(scores, whether this call trained from the first epoch to the last)."""
        complete = False
        if not (runs.Run(self.folder).results() and self.has_same_settings()):
            complete = self.train(worker)
        # other cells need the embeddings only; checkpoints of a hundred runs would fill the disk
        shutil.rmtree(self.folder / "checkpoints", ignore_errors=True)
        return runs.Run(self.folder).results()["shared space"], complete

    def has_same_settings(self):
        """Whether the run directory was made with the settings of this cell."""
        config = self.folder / runs.CONFIG
        if not config.exists():
            return False
        paths = {"data": self.ground.dataset.directory, "unseen": self.ground.unseen_file}
        expected = json_round_trip({**runs.config_settings(self.resolved[0]), **paths})
        stored = runs.Run(config.parent).config()["settings"]
        return {name: value for name, value in stored.items() if name not in runs.OF_RUN} == expected

    def train(self, worker):
        """Run the trainer, its output going to a log file. Return whether it trained from the first epoch."""
        fresh = not self.has_same_settings()
        if fresh:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        log = self.folder.with_name(f"{self.folder.name}.log")
        paths = self.folder, self.ground.dataset.directory, self.ground.unseen_file
        worker.train(log, not fresh, self.options if fresh else None, *paths)
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
        options = MEASURES[self.measured]
        identity = {"run": self.training.identity, "measured": options}
        if "protocol" in options:  # measured anew where its conventions were corrected
            identity["conventions"] = PROTOCOLS[options["protocol"]].conventions()
        return json_round_trip(identity)

    @property
    def applicable(self):
        """Sign codes have as many bits as the embedding has dimensions, ITQ at most as many. Embeddings that are codes
        are measured as they are."""
        constants, bits = self.training.resolved[1].constants, MEASURES[self.measured].get("bits")
        if constants.binary or (self.measured == "instances" and not self.ground.paired):
            return False
        return not bits or constants.size == bits or (constants.size > bits and self.measured == "itq")

    @property
    def seconds(self):
        photos, sketches = self.ground.unseen_pictures
        if self.measured == "generalised-pcmsn":
            photos, sketches = len(self.ground.dataset.photo.labels), len(self.ground.dataset.sketch.labels)
        return 0.1 + PAIR_SECONDS * photos * sketches * (RERANKING_TIMES if self.measured == "reranked" else 1)

    def measure(self, worker):
        file = self.training.folder / runs.EMBEDDINGS
        if not file.exists():
            raise BadInput(
                f"{file}: no such file, and {self.title} needs it; delete {self.training.path} to train anew"
            )
        options = EvaluationOptions(**MEASURES[self.measured])
        features = chosen_rows(file, options)
        setup = dataclasses.replace(scoring.Setup.of(options, features.distance), progress=False)
        if options.instances:
            return {"protocol": "own photo", "ties": setup.ties, **score_instances(file, features, setup)}, True
        scores = scoring.score_features(file, features, setup, ("sketch->image",))
        return summary(scores, setup, features), True


@dataclass(frozen=True)
class Baselines(Cell):
    """Scores of the features without training."""

    ground: Ground

    kind = "baselines"

    @property
    def path(self):
        return self.ground.folder / "baselines.json"

    @property
    def title(self):
        return f"features alone and LDA map, {self.ground.list_name}"

    @property
    def identity(self):
        return {"dim": DIM, "shrinkage": SHRINKAGE}

    @property
    def applicable(self):
        return len(self.ground.widths) == 1

    @property
    def seconds(self):
        return 0.5 + 2 * PAIR_SECONDS * sum(self.ground.unseen_pictures) ** 2

    def measure(self, worker):
        return {"baselines": measure_baselines(self.ground.dataset, self.ground.split)}, True


@dataclass(frozen=True)
class Across(Cell):
    """A run's embeddings of another dataset's pictures, as embed.py writes them, ranked and re-ranked."""

    file: Path
    digest: str  # of the file
    ground: Elsewhere
    pictures: tuple[int, int]  # photos and sketches evaluated
    folder: Path  # of the cells

    kind = "across"

    @staticmethod
    def of(file, runs_folder):
        """The cell of an embeddings file. Raises BadInput if embed.py did not write it."""
        features = unseen_only(read_embeddings(file))
        if not features.across:
            raise BadInput(f"--across {file}: no variable 'across', which embed.py writes")
        which = f"{len(features.unseen)} classes"
        ground = Elsewhere(features.across, which, "of the run's encoders", features.leaked)
        pictures = len(features.photo.labels), len(features.sketch.labels)
        return Across(Path(file), file_hash(file), ground, pictures, runs_folder / "across")

    @property
    def path(self):
        return self.folder / f"{self.file.stem}-{self.digest[:8]}.json"

    @property
    def title(self):
        return f"{self.file}, {self.ground.name}"

    @property
    def identity(self):
        return {"sha256": self.digest}

    @property
    def seconds(self):
        return 0.5 + 2 * (1 + RERANKING_TIMES) * PAIR_SECONDS * self.pictures[0] * self.pictures[1]

    def measure(self, worker):
        results = {}
        for how in ({}, MEASURES["reranked"]):
            options = EvaluationOptions(**how)
            features = chosen_rows(self.file, options)
            setup = dataclasses.replace(scoring.Setup.of(options, features.distance), progress=False)
            scores = scoring.score_features(self.file, features, setup, scoring.ACROSS)
            results["reranked" if how else "ranked"] = summary(scores, setup, features)
        return results, True


@cache
def _trained_pictures(ground, held_out, seed):
    """`trained_pictures` of a ground; kept, because every cell of a plan needs it several times."""
    return trained_pictures(ground.dataset, read_split(ground.dataset, ground.unseen_file, held_out, seed))


def tables_of(model, preset=None):
    """A system's part in the paper's tables, `models.presets.Tables`."""
    return getattr(models.system(model, preset), "TABLES", Tables())


def machine():
    return f"{platform.node()}, {os.cpu_count()} cores"
