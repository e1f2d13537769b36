"""Embeds any pictures with a run's exported encoders: a unified_features.mat that knn_eval.py reads.

    python embed.py --run runs/mine --photos photos --sketches sketches --unseen unseen.txt --out other.mat
    python knn_eval.py other.mat

So a run trained on one dataset is measured on another. Stopped, the same command goes on.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zscmr import cli, matfiles, runs
from zscmr.classes import leak, read_class_list, split_classes
from zscmr.console import say, warn
from zscmr.dataset_files import MODALITIES
from zscmr.errors import BadInput
from zscmr.files import existing_folder, read_json
from zscmr.layouts import PictureOptions, class_folder, listing_hash, matched_trees
from zscmr.options import setting
from zscmr.retrieval import Encoder


@dataclass(frozen=True)
class Settings(PictureOptions):
    run: Path = setting(help="run directory with encoders/", metavar="DIR")
    unseen: Path = setting(help="text file of the class names to evaluate", metavar="FILE")
    out: Path = setting(help=".mat file to write", metavar="FILE")


def main(settings):
    if settings.out.suffix != ".mat" or settings.out.is_dir():
        raise BadInput(f"--out: expected a .mat file, received {settings.out}")
    existing_folder("--out", settings.out.parent)
    trees = matched_trees(settings.photos, settings.sketches, settings.duplicates)
    classes = trees["photo"].classes
    split = split_classes(classes, read_class_list(settings.unseen), settings.unseen, held_out_share=0, fewest_seen=0)
    config, distance = read_json(settings.run / runs.CONFIG), run_distance(settings.run)
    leaked = run_leak(config, [classes[label] for label in split.unseen])
    if leaked:
        warn(leaked)
    work = settings.out.with_name(f".part-{settings.out.stem}")
    sides = {modality: embedded(settings.run, modality, trees[modality], work / modality) for modality in MODALITIES}
    write(settings.out, distance, sides, classes, split.unseen, leaked)
    shutil.rmtree(work, ignore_errors=True)
    counts = " and ".join(f"{len(tree.files):,} of {modality}" for modality, (tree, _) in sides.items())
    say(f"wrote embeddings, {counts}, to {settings.out}")


def run_leak(config, unseen):
    """A sentence on the evaluated classes that the run, or its CNNs, were trained on; empty if there are none."""
    trained = [name for part in ("seen", "held_out") for name in config["classes"][part]]
    return leak("the run was", [*trained, *config["features"].get("trained_on", ())], unseen)


def embedded(run, modality, tree, folder):
    """(the tree without unreadable pictures, their embeddings (n, t)); what is finished is kept in `folder`."""
    encoder = Encoder.open(run, modality)
    identity = [str(run.resolve()), modality, listing_hash(tree)]
    vectors, readable = encoder.embed_kept(tree.paths(), folder, identity, modality)
    for why in encoder.faults(tree.paths(), readable):
        warn(f"{why}, skipped")
    if not readable.any():
        raise BadInput(f"{tree.root}: none of its pictures can be read")
    return tree.take(readable), vectors[readable]


def run_distance(run):
    """What the embeddings of a finished run are ranked by, as its encoders, or its own embeddings, record it."""
    about, own = run / runs.ENCODERS / runs.ABOUT, run / runs.EMBEDDINGS
    if own.is_file():
        return matfiles.read(own, "distance")
    if about.is_file() and "distance" in (recorded := read_json(about)):
        return recorded["distance"]
    raise BadInput(f"--run {run}: no finished run (it has neither {runs.EMBEDDINGS} nor {runs.ENCODERS}/)")


def write(out, distance, sides, classes, unseen, leaked):
    """Write the .mat file, to be ranked by `distance`."""
    variables = {"classes": list(classes), "unseen": np.reshape(unseen, (-1, 1)), "leaked": leaked}
    variables["distance"] = distance
    for letter, (tree, vectors) in zip("xy", sides.values(), strict=True):
        root = class_folder(tree)
        names = [Path(file).relative_to(Path(file).parent.parent).as_posix() for file in tree.files]
        variables |= {f"features{letter}": vectors, f"labels{letter}": tree.labels[:, None]}
        variables |= {f"names{letter}": names, f"pictures{letter}": str(root)}
    matfiles.write(out, variables)


if __name__ == "__main__":
    cli.run(main, Settings, __doc__)
