"""Pictures, the dataset directory of them and a run on it, small enough to start many processes on."""

import numpy as np

from helpers.project import picture_flags, trainer_settings


def make_project(folder):
    """Write photo/, sketch/ and unseen.txt, the dataset `data`, and the run `run`, which has no encoders yet."""
    from helpers.finished_run import make_small_dataset
    from zscmr.commands import train

    make_small_dataset(folder, np.random.default_rng(0), per_class=3, size=(48, 48), backbone="small", epochs=1)
    choices = {"epochs": 1, "batch_size": 6, "dim": 5, "no_encoders": True}
    train.main(trainer_settings(data=folder / "data", path=folder / "run", **choices))
    return folder


def pictures(folder):
    """The flags of a command line that name the pictures of `folder`."""
    return [word for name, path in picture_flags(folder).items() for word in (f"--{name}", path)]
