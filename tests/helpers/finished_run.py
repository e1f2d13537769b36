"""A run of stage I and II whose CNNs were trained, and searches with it."""

import json
import shutil

import numpy as np

from helpers.project import draw_pictures, picture_flags, trainer_settings
from zscmr.commands import search
from zscmr.commands import train as trainer
from zscmr.datasets.word_vectors import WordVectorOptions, join_vectors
from zscmr.training.stage1.dataset import make_dataset
from zscmr.training.stage1.options import Stage1Options

NAMES = ("ant", "bee", "cow", "dog", "elk", "fox")


def make_run(folder, **flags):
    """Pictures, features and a finished run in `folder`."""
    make_small_dataset(folder, np.random.default_rng(0), per_class=4, size=(40, 52), **flags)
    choices = {"epochs": 3, "batch_size": 8, "dim": 5}
    trainer.main(trainer_settings(data=folder / "data", path=folder / "run", **choices))
    return folder


def make_small_dataset(folder, random, per_class, size, **flags):
    """Pictures of `size` in `folder`, and the dataset folder/data of them, ready for stage II."""
    draw_pictures(folder, random, NAMES, per_class=per_class, size=size, unseen=("dog", "fox"))
    make_dataset(Stage1Options(**picture_flags(folder), out=folder / "data", batch_size=8, **flags))
    np.savez(folder / "words.npz", classes=NAMES, words=random.normal(size=(len(NAMES), 5)))
    join_vectors(WordVectorOptions(data=folder / "data", vectors=(folder / "words.npz",)))


def find(folder, *queries, **more):
    """The answers as --json gives them."""
    search.main(search.Settings(run=folder / "run", query=queries, json=folder / "found.json", **more))
    return json.loads((folder / "found.json").read_text())


def forget_encoders(folder, *others):
    for name in ("encoders", *others):
        shutil.rmtree(folder / "run" / name)


def rewrite(folder, change):
    config = json.loads((folder / "run/config.json").read_text())
    change(config)
    (folder / "run/config.json").write_text(json.dumps(config))
