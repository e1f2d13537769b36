"""Pictures, the dataset directory of them and a run on it, small enough to start many processes on."""

import numpy as np

from helpers.project import draw_pictures, picture_flags, trainer_settings

NAMES = ("ant", "bee", "cow", "dog", "elk", "fox")


def make_project(folder):
    """Write photo/, sketch/ and unseen.txt, the dataset `data`, and the run `run`, which has no encoders yet."""
    from zscmr.commands import train
    from zscmr.datasets.word_vectors import WordVectorOptions, join_vectors
    from zscmr.training.stage1.dataset import make_dataset
    from zscmr.training.stage1.options import Stage1Options

    random = np.random.default_rng(0)
    draw_pictures(folder, random, NAMES, per_class=3, size=(48, 48), unseen=("dog", "fox"))
    make_dataset(Stage1Options(**picture_flags(folder), out=folder / "data", backbone="small", epochs=1, batch_size=8))
    np.savez(folder / "words.npz", classes=NAMES, words=random.normal(size=(len(NAMES), 5)))
    join_vectors(WordVectorOptions(data=folder / "data", vectors=(folder / "words.npz",)))
    choices = {"epochs": 1, "batch_size": 6, "dim": 5, "no_encoders": True}
    train.main(trainer_settings(data=folder / "data", path=folder / "run", **choices))
    return folder


def pictures(folder):
    """The flags of a command line that name the pictures of `folder`."""
    return [word for name, path in picture_flags(folder).items() for word in (f"--{name}", path)]
