"""The miniature dataset, made ready for stage II: drawn, its CNNs trained, its class vectors joined."""

from pathlib import Path

from zscmr.datasets.classes import UNSEEN
from zscmr.datasets.miniature import MiniatureOptions, draw_miniature
from zscmr.datasets.word_vectors import WordVectorOptions, join_vectors
from zscmr.formats.dataset_directory import PICTURES
from zscmr.training.stage1.options import Stage1Options
from zscmr.utils.console import say
from zscmr.utils.files import lock
from zscmr.utils.options import command
from zscmr.utils.processes import import_tensorflow, run_alone

MINIATURE = Path("data/miniature")


def prepare_miniature(folder=MINIATURE):
    """Draw the embedded dataset and run stage I on it; skip each step whose result exists.

    Processes take turns. Stage I runs in a process of its own, since it needs other thread settings of TensorFlow than
    stage II.
    """
    drawn = MiniatureOptions(out=folder)
    unseen, vectors = folder / UNSEEN, (folder / "class_vectors.npz",)
    pictures = {"photos": folder / "photo", "sketches": folder / "sketch", "unseen": unseen}
    stage1 = Stage1Options(**pictures, backbone="small", out=folder)
    joined = WordVectorOptions(data=folder, vectors=vectors)
    with lock(folder.with_name(f".{folder.name}.lock")):
        if not folder.exists():
            say("no --data given: the embedded miniature dataset is drawn and stage I run on it, as if by")
        say(f"$ {command('data/make_miniature.py', drawn)}")
        draw_miniature(drawn)
        say(f"$ {command('pretrain/finetune.py', stage1)}")
        if (folder / PICTURES).exists():
            run_stage1(stage1)  # prints that the features exist, or raises
        else:
            run_alone(run_stage1, stage1)
        say(f"$ {command('pretrain/word_vectors.py', joined)}")
        join_vectors(joined)


def run_stage1(options):
    """`make_dataset`, with TensorFlow imported first, quietly."""
    import_tensorflow()
    from zscmr.training.stage1.dataset import make_dataset

    make_dataset(options)
