"""Stage II: CNN features and class vectors -> one embedding space -> unified_features.mat and the retrieval table.

Without --data it draws the embedded miniature dataset and runs stage I on it first. Selection of the epoch uses seen
classes held out from training; unseen classes are touched once, at the end, to evaluate.
"""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from zscmr.datasets import loader
from zscmr.datasets.batches import trained_pictures
from zscmr.datasets.class_graph import graph_source
from zscmr.datasets.classes import read_split
from zscmr.evaluation.scoring import ACROSS
from zscmr.formats import runs
from zscmr.formats.dataset_directory import CLASSIFIER
from zscmr.reports import training_curves
from zscmr.reports.text_tables import format_scores
from zscmr.training.stage1.miniature import MINIATURE, prepare_miniature
from zscmr.training.stage2.options import TrainingOptions, constants_class, defaults_of, with_fitting_batch, with_preset
from zscmr.training.stage2.records import cnn_leak, describe_dataset
from zscmr.utils.console import say, warn
from zscmr.utils.errors import BadInput
from zscmr.utils.files import alone
from zscmr.utils.options import command, setting
from zscmr.utils.processes import import_tensorflow

__all__ = ["Settings", "constants_class", "defaults_of", "main"]

FEW_CLASSES = 5  # unseen ones; scores among fewer say little


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
    import_tensorflow()
    from zscmr.training import strategies

    strategies.keep_small_products_whole()  # before anything starts TensorFlow, as a look at the miniature does
    chief = strategies.is_chief()
    if settings.path is None and strategies.several_workers():
        raise BadInput("--path is needed where TF_CONFIG names several workers")
    settings, folder = start_run(settings, chief)
    with alone("--path", folder) if chief and folder else nullcontext():  # a numbered directory is the process's own
        train_or_resume(settings, folder, chief)


def train_or_resume(settings, folder, chief):
    """Start the run of `settings`, or go on with the one in `folder`."""
    from zscmr.training import peers, strategies
    from zscmr.training.stage2.train import build_state, train_system

    if settings.resume and (results := runs.Run(folder).results()):
        if chief:
            say(f"{folder} is complete")
            print_tables(results)
            export_encoders(folder, settings)
        return
    chosen_batch = settings.batch_size
    settings, preset = with_preset(settings)
    if settings.data == MINIATURE:
        prepare_miniature()
    dataset = loader.load_dataset(settings.data, needs_vectors=preset.epochs > 0)
    split = read_split(dataset, settings.unseen, settings.held_out, settings.seed)
    if chosen_batch is None:
        usual, pictures = preset.batch_size, trained_pictures(dataset, split)
        settings, preset = with_fitting_batch(settings, preset, pictures)
        if chief and preset.batch_size != usual:
            say(f"{pictures} pictures to train on: {preset.batch_size} triads a batch in place of {usual}")
    about = describe_dataset(dataset)
    if settings.resume:
        runs.Run(folder).check_same_data(split.names(dataset.classes), about)
    if chief:
        print_dataset(dataset, split, preset)
    resume = f"start the command with --path {folder} --resume on all machines again"
    with peers.watched(resume), strategies.choose_strategy(preset.batch_size, settings.jit).scope() as strategy:
        state = build_state(settings, preset, dataset, split)
        if chief and not settings.resume:  # bad settings and data have raised before, so that they leave no directory
            if preset.constants.wants_graph:
                about["class_graph"] = graph_source(dataset, split)
            classes = split.names(dataset.classes)
            folder = runs.Run.create(folder, settings, classes, dataset.provenance, about).folder
        try:
            train_system(state, settings, preset, folder, dataset, split, chief)
        except KeyboardInterrupt as stop:
            again = command(
                "Unified_XY_triads.py", Settings(path=folder, resume=True, no_encoders=settings.no_encoders)
            )
            raise KeyboardInterrupt(f"stopped after epoch {int(state.epoch.numpy())}; {again} goes on") from stop
        strategies.meet(strategy)
    if chief:
        finish(folder, preset, dataset, split, state)
        export_encoders(folder, settings)
        for file in sorted(folder.iterdir()):
            say(f"wrote {file}")


def start_run(settings, chief):
    """(settings, run directory); the directory is checked by the chief, a worker takes that of --path as it is."""
    if chief or settings.resume:
        return runs.open_run(settings)
    return settings, settings.path


def print_dataset(dataset, split, preset):
    """Print sizes of the dataset and of its split, class graph, classifier, and warnings about the numbers."""
    photo, sketch = dataset.photo, dataset.sketch
    widths = [array.shape[1] for array in (photo.features, sketch.features, dataset.class_vectors)]
    vectors = f"class vectors {widths[2]}-d" if widths[2] else "no class vectors"
    say(
        f"{dataset.directory}: {len(dataset.classes)} classes, {len(photo.labels)} photos {widths[0]}-d, "
        f"{len(sketch.labels)} sketches {widths[1]}-d, {vectors}"
    )
    if note := few_unseen(split):
        warn(note)
    say(f"{len(split.seen)} classes to train on, {len(split.unseen)} unseen")
    if preset.epochs:
        held_out = ", ".join(dataset.classes[label] for label in split.held_out)
        say(f"held out to choose the epoch: {held_out or 'none, the last is kept'}")
    if leaked := cnn_leak(dataset, split):
        warn(leaked)
    if preset.constants.wants_graph:
        say(f"class graph: {graph_source(dataset, split)}")
    if preset.constants.wants_classifier:
        file, kernel = dataset.directory / CLASSIFIER[0], dataset.classifier
        described = f"features alone, no {file}" if kernel is None else f"{kernel.shape[1]:,} classes of {file} too"
        say(f"pictures are described by {described}")
    unweighted = [name for name, weight in preset.weights.items() if not weight and name in preset.constants.terms]
    if unweighted:
        say(f"recorded, but of weight 0 in the objective: {', '.join(unweighted)}")


def few_unseen(split):
    """Say what scores mean among so few unseen classes; empty if there are enough."""
    count = len(split.unseen)
    if not count:
        return "no unseen class: nothing is measured"
    if count == 1:
        return "a single unseen class: every retrieved picture is right"
    return f"only {count} unseen classes: among so few a random order scores high" if count < FEW_CLASSES else ""


def finish(folder, preset, dataset, split, state):
    """Write the embeddings of the best epoch, score them, draw, and print the tables."""
    from zscmr.training.stage2.outcome import export_embeddings, score_run

    chosen = int(state.best_epoch.numpy())
    if len(split.held_out):
        score, count = float(state.best_score.numpy()), len(split.held_out)
        say(f"epoch {chosen} of {preset.epochs} chosen, mAP@all {score:.3f} on the {count} held-out seen classes")
    curves = folder / "curves.png"
    training_curves.draw_training(folder / "metrics.jsonl", curves, chosen if len(split.held_out) else None)
    export_embeddings(folder, preset, dataset, split, state.model)
    print_tables(score_run(folder, dataset, split))


def export_encoders(folder, settings):
    """Write the run's encoders/ if they are missing and its CNNs are known."""
    from zscmr.training.export import write_encoders

    if settings.no_encoders or (folder / runs.ENCODERS / runs.ABOUT).exists():
        return
    say(f"writing {folder / runs.ENCODERS}, for search without TensorFlow; --no-encoders leaves it out")
    try:
        write_encoders(folder)
    except BadInput as error:
        say(f"no {runs.ENCODERS}/: {error}")


def print_tables(results):
    for space, scores in results.items():
        say(format_scores(scores, f"{space}, unseen classes", caption=space == list(results)[-1]))
    if lower := below_features(results):
        warn(f"the shared space is below the CNN features alone, by mAP@all: {lower}")


def below_features(results):
    """Name the directions across modalities in which the shared space scores less than the features, with scores."""
    features, shared = (
        results.get(space, {}).get("directions", {}) for space in ("CNN features alone", "shared space")
    )
    pairs = {
        direction: (shared[direction]["mAP@all"], features[direction]["mAP@all"])
        for direction in ACROSS
        if direction in features and direction in shared
    }
    return ", ".join(f"{name} {score:.3f} < {least:.3f}" for name, (score, least) in pairs.items() if score < least)
