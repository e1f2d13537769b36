"""Embed another dataset with a run's exported encoders and measure the run on it: train on one, test on another.

    python embed.py --run runs/mine --photos photos --sketches sketches --out other.mat

Evaluated are the classes that both datasets have and the run left unseen; with --unseen FILE those of the file, with
--drop-trained only those among them that the run was not trained on. The table names which. The file is one that
knn_eval.py, and paper_tables.py --across, read. Stopped, the same command goes on.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zscmr.commands.export import ensure_encoders
from zscmr.datasets import literature
from zscmr.datasets.classes import class_indices, class_key, leak, read_class_list, split_classes
from zscmr.datasets.layouts import PictureOptions, class_folder, folders_of, listing_hash, matched_trees
from zscmr.evaluation import scoring
from zscmr.evaluation.embedding_files import recorded_distance
from zscmr.evaluation.options import EvaluationOptions
from zscmr.evaluation.selection import chosen_rows
from zscmr.evaluation.summaries import summary
from zscmr.formats import matfiles, runs
from zscmr.formats.dataset_directory import MODALITIES
from zscmr.reports import text_tables
from zscmr.retrieval import Encoder
from zscmr.retrieval.encoder import read_about
from zscmr.utils.console import say, warn
from zscmr.utils.errors import BadInput
from zscmr.utils.files import alone, existing_folder
from zscmr.utils.options import setting


@dataclass(frozen=True)
class Settings(PictureOptions):
    run: Path = setting(help="run directory with encoders/", metavar="DIR")
    out: Path = setting(help=".mat file to write", metavar="FILE")
    unseen: Path | None = setting(
        None,
        "text file of the class names to evaluate; left out: those of both that the run left unseen",
        metavar="FILE",
    )
    drop_trained: bool = setting(False, "leave out classes of --unseen that the run was trained on")


def main(settings):
    if settings.out.suffix != ".mat" or settings.out.is_dir():
        raise BadInput(f"--out: expected a .mat file, received {settings.out}")
    existing_folder("--out", settings.out.parent)
    with alone("--out", settings.out):
        embed(settings)


def embed(settings):
    """Embed both trees and write, then measure, the .mat file."""
    trees = matched_trees(settings.photos, settings.sketches, settings.duplicates)
    classes = trees["photo"].classes
    config, distance = runs.Run(settings.run).config(), run_distance(settings.run)
    chosen, which = evaluated_classes(settings, config, classes)
    split = split_classes(classes, chosen, settings.unseen or settings.run, held_out_share=0, fewest_seen=0)
    trained, tested = dataset_names(config, trees["photo"])
    across = f"trained on {trained}, tested on {tested}: {len(chosen)} classes {which}"
    leaked = run_leak(settings.run, [classes[label] for label in split.unseen])
    if leaked:
        warn(leaked)
    work = settings.out.with_name(f".part-{settings.out.stem}")
    sides = {side: embedded(settings.run, side, trees[side], work / side) for side in MODALITIES}
    write(settings.out, distance, sides, classes, split.unseen, {"leaked": leaked, "across": across})
    shutil.rmtree(work, ignore_errors=True)
    counts = " and ".join(f"{len(tree.files):,} of {modality}" for modality, (tree, _) in sides.items())
    say(f"wrote embeddings, {counts}, to {settings.out}")
    measure(settings.out)


def evaluated_classes(settings, config, classes):
    """(names of the classes to evaluate, a phrase on which these are). Raises BadInput if there are none."""
    if settings.drop_trained and not settings.unseen:
        raise BadInput("--drop-trained: goes with --unseen, without which trained classes are left out anyway")
    if not settings.unseen:
        present = class_indices(classes)
        names = [name for name in config["classes"]["unseen"] if class_key(name) in present]
        which = "that both have and the run left unseen"
    else:
        names, which = read_class_list(settings.unseen), f"of {settings.unseen.name}"
        if settings.drop_trained:
            trained = class_indices(runs.Run(settings.run).trained_classes())
            names = [name for name in names if class_key(name) not in trained]
            which += " that the run was not trained on"
    if not names:
        of = "" if settings.unseen else f" of {', '.join(map(str, folders_of(settings.photos)))}"
        raise BadInput(f"--run {settings.run}: no class{of} {which}")
    return names, which


def run_leak(run, unseen):
    """A sentence on the evaluated classes that the run, or its CNNs, were trained on; empty if there are none."""
    return leak("the run was", runs.Run(run).trained_classes(), unseen)


def dataset_names(config, tree):
    """(name of the dataset that the run was trained on, name of the one in `tree`), by folder where unknown."""
    names = [name for part in config["classes"].values() for name in part]
    trained, embedded = literature.recognised(names), literature.recognised(tree.classes)
    directory = Path(config["settings"]["data"]).name
    pictures = Path(*class_folder(tree).parts[-2:]).as_posix()
    return f"{trained.name} ({directory})" if trained else directory, embedded.name if embedded else pictures


def measure(file):
    """Print how sketches and photos of the evaluated classes find each other, by protocol `standard`."""
    options = EvaluationOptions()
    features = chosen_rows(file, options)
    setup = scoring.Setup.of(options, features.distance)
    scores = scoring.score_features(file, features, setup, scoring.ACROSS)
    say(text_tables.format_scores(summary(scores, setup, features), str(file)))


def embedded(run, modality, tree, folder):
    """Embed a tree: (the tree without unreadable pictures, their embeddings (n, t)).

    Args:
        run: run directory.
        modality: photo or sketch.
        tree: pictures of the modality.
        folder: keeps what is finished; a stopped call goes on.
    """
    ensure_encoders(run)
    encoder = Encoder.open(run, modality)
    identity = [str(run.resolve()), modality, listing_hash(tree)]
    vectors, readable = encoder.embed_resumable(tree.paths(), folder, identity, modality)
    for why in encoder.faults(tree.paths(), readable):
        warn(f"{why}, skipped")
    if not readable.any():
        raise BadInput(f"{tree.root}: none of its pictures can be read")
    return tree.take(readable), vectors[readable]


def run_distance(run):
    """What the embeddings of a finished run are ranked by, as its encoders, or its own embeddings, record it."""
    about, embeddings = run / runs.ENCODERS / runs.ABOUT, run / runs.EMBEDDINGS
    if embeddings.is_file():
        return recorded_distance(embeddings)
    if about.is_file() and "distance" in (recorded := read_about(about.parent)):
        return recorded["distance"]
    raise BadInput(f"--run {run}: no finished run (it has neither {runs.EMBEDDINGS} nor {runs.ENCODERS}/)")


def write(out, distance, sides, classes, unseen, texts):
    """Write the .mat file.

    Args:
        out: the file.
        distance: what to rank it by.
        sides: {modality: (tree, embeddings)}.
        classes: class names.
        unseen: indices of the classes to evaluate.
        texts: {variable: text} of further ones.
    """
    variables = {"classes": list(classes), "unseen": np.reshape(unseen, (-1, 1)), "distance": distance, **texts}
    for letter, (tree, vectors) in zip("xy", sides.values(), strict=True):
        root = class_folder(tree)
        names = [Path(file).relative_to(Path(file).parent.parent).as_posix() for file in tree.files]
        variables |= {f"features{letter}": vectors, f"labels{letter}": tree.labels[:, None]}
        variables |= {f"names{letter}": names, f"pictures{letter}": str(root)}
    matfiles.write(out, variables)
