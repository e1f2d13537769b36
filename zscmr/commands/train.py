"""Stage II: CNN features and class vectors -> one embedding space -> unified_features.mat and the retrieval table.

Without --data it draws the embedded miniature dataset and runs stage I on it first. Selection of the epoch uses seen
classes held out from training; unseen classes are touched once, at the end, to evaluate.
"""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from zscmr.datasets import loader
from zscmr.datasets.class_graph import graph_source
from zscmr.datasets.classes import read_split
from zscmr.formats import runs
from zscmr.formats.dataset_directory import CLASSIFIER
from zscmr.reports import training_curves
from zscmr.reports.text_tables import format_scores
from zscmr.training import export as encoders
from zscmr.training import strategies
from zscmr.training.stage1.miniature import MINIATURE, prepare_miniature
from zscmr.training.stage2 import train as stage2
from zscmr.training.stage2.options import TrainingOptions, constants_class, resolve
from zscmr.training.stage2.outcome import score_run
from zscmr.utils.console import say, warn
from zscmr.utils.errors import BadInput
from zscmr.utils.files import alone
from zscmr.utils.options import command, setting

__all__ = ["Settings", "constants_class", "main"]


@dataclass(frozen=True)
class Settings(TrainingOptions):
    data: Path = setting(MINIATURE, "dataset directory; the default is made when it is missing", metavar="DIR")
    unseen: Path | None = setting(
        None,
        "list of unseen classes: a file, or a name such as sketchy-25-sake (default: unseen.txt of --data)",
        metavar="FILE",
    )
    path: Path | None = setting(None, "run directory; left out: the next number under runs/", metavar="DIR")
    resume: bool = setting(False, "go on with the run in --path (left out: the newest run)")
    overwrite: bool = setting(False, "replace the run in --path")
    no_encoders: bool = setting(False, "write no encoders/, through which search needs no TensorFlow")


def main(settings):
    strategies.keep_small_products_whole()  # before anything starts TensorFlow, as a look at the miniature does
    chief = strategies.is_chief()
    settings, folder = open_run(settings, chief)
    with alone("--path", folder) if chief and folder else nullcontext():  # a numbered directory is the process's own
        run(settings, folder, chief)


def run(settings, folder, chief):
    """Start the run of `settings`, or go on with the one in `folder`."""
    if settings.resume and (results := runs.Run(folder).results()):
        if chief:
            say(f"{folder} is complete")
            print_tables(results)
            export_encoders(folder, settings)
        return
    settings, preset = resolve(settings)
    if settings.data == MINIATURE:
        prepare_miniature()
    dataset = loader.load_dataset(settings.data, needs_vectors=preset.epochs > 0)
    split = read_split(dataset, settings.unseen, settings.held_out, settings.seed)
    about = stage2.describe_dataset(dataset)
    if settings.resume:
        runs.Run(folder).check_same_data(split.names(dataset.classes), about)
    if chief:
        describe(dataset, split, preset)
    with strategies.choose_strategy(preset.batch_size, settings.jit).scope():
        state = stage2.build_state(settings, preset, dataset, split)
        if chief and not settings.resume:  # what cannot be trained was refused above and leaves no directory
            if preset.constants.wants_graph:
                about["class_graph"] = graph_source(dataset, split)
            run = runs.Run.create(folder, settings, split.names(dataset.classes), dataset.provenance, about)
            folder = run.folder
        try:
            stage2.train(state, settings, preset, folder, dataset, split, chief)
        except KeyboardInterrupt as stop:
            again = command(
                "Unified_XY_triads.py", Settings(path=folder, resume=True, no_encoders=settings.no_encoders)
            )
            raise KeyboardInterrupt(f"stopped after epoch {int(state.epoch.numpy())}; {again} goes on") from stop
    if chief:
        finish(folder, preset, dataset, split, state)
        export_encoders(folder, settings)
        for file in sorted(folder.iterdir()):
            say(f"wrote {file}")


def open_run(settings, chief):
    """(settings, run directory); the directory is the chief's to make, a worker goes where --path says."""
    if settings.path is None and strategies.several_workers():
        raise BadInput("--path is needed where TF_CONFIG names several workers")
    if chief or settings.resume:
        return runs.open_run(settings)
    return settings, settings.path


def describe(dataset, split, preset):
    """Print what is trained on what, and what a reader of the numbers has to know."""
    photo, sketch = dataset.photo, dataset.sketch
    widths = [array.shape[1] for array in (photo.features, sketch.features, dataset.class_vectors)]
    vectors = f"class vectors {widths[2]}-d" if widths[2] else "no class vectors"
    say(
        f"{dataset.directory}: {len(dataset.classes)} classes, {len(photo.labels)} photos {widths[0]}-d, "
        f"{len(sketch.labels)} sketches {widths[1]}-d, {vectors}"
    )
    if len(split.unseen) == 1:
        warn("a single unseen class: whatever is retrieved is right")
    say(f"{len(split.seen)} classes to train on, {len(split.unseen)} unseen")
    if preset.epochs:
        held_out = ", ".join(dataset.classes[label] for label in split.held_out)
        say(f"held out to choose the epoch: {held_out or 'none, the last is kept'}")
    if leaked := stage2.cnn_leak(dataset, split):
        warn(leaked)
    if preset.constants.wants_graph:
        say(f"class graph: {graph_source(dataset, split)}")
    if preset.constants.wants_classifier:
        file, kernel = dataset.directory / CLASSIFIER[0], dataset.classifier
        likeness = f"features alone, no {file}" if kernel is None else f"{kernel.shape[1]:,} classes of {file} too"
        say(f"pictures are described by {likeness}")
    unused = [name for name, weight in preset.weights.items() if not weight and name in preset.constants.terms]
    if unused:
        say(f"recorded, but of weight 0 in the objective: {', '.join(unused)}")


def finish(folder, preset, dataset, split, state):
    """Export the embeddings of the best epoch, score them, draw, and print the tables."""
    chosen = int(state.best_epoch.numpy())
    if len(split.held_out):
        score, count = float(state.best_score.numpy()), len(split.held_out)
        say(f"epoch {chosen} of {preset.epochs} chosen, mAP@all {score:.3f} on the {count} held-out seen classes")
    curves = folder / "curves.png"
    training_curves.draw_training(folder / "metrics.jsonl", curves, chosen if len(split.held_out) else None)
    stage2.export_embeddings(folder, preset, dataset, split, state.model)
    print_tables(score_run(folder, dataset, split))


def export_encoders(folder, settings):
    """Write the run's encoders/ if they are missing and its CNNs are known."""
    if settings.no_encoders or (folder / runs.ENCODERS / runs.ABOUT).exists():
        return
    say(f"writing {folder / runs.ENCODERS}, for search without TensorFlow; --no-encoders leaves it out")
    try:
        encoders.write_encoders(folder)
    except BadInput as error:
        say(f"no {runs.ENCODERS}/: {error}")


def print_tables(results):
    for space, scores in results.items():
        say(format_scores(scores, f"{space}, unseen classes", caption=space == list(results)[-1]))
