"""Train an encoder for drawings of everyday things.

    python pretrain/encoder.py --photos DIR [DIR ...] --sketches DIR [DIR ...] --work DIR --out DIR

Runs stage I end to end on all classes (finetune.py), stage II with preset aligned and similarities to the trained
classes (Unified_XY_triads.py), and the export of one graph for both modalities (export.py). --unseen leaves classes out
of training; WORK/run then has scores on them. If it is stopped, the same command continues. Use the encoder by
`search.py --run OUT` or `zscmr.Encoder.load("OUT")`.
"""

from dataclasses import dataclass
from pathlib import Path

from zscmr.backbones import backbone
from zscmr.commands import train
from zscmr.datasets.layouts import PictureOptions
from zscmr.training.stage1.miniature import run_stage1
from zscmr.training.stage1.options import NONE, Stage1Options
from zscmr.utils.console import say
from zscmr.utils.files import alone, existing_folder
from zscmr.utils.options import setting
from zscmr.utils.processes import import_tensorflow, run_alone
from zscmr.utils.seeds import SEEDS

TRAINED = 2.0  # weight of the similarities to the trained classes, chosen on held-out classes and drawings
SOUP = 2  # networks; four gained little more


@dataclass(frozen=True)
class Settings(PictureOptions):
    work: Path = setting(help="folder for the features and the run; the encoder does not need it", metavar="DIR")
    out: Path = setting(help="folder to write encoder.tflite and about.json to", metavar="DIR")
    unseen: Path = setting(
        Path(NONE), "text file of class names to leave out of training, or the name of a list", metavar="FILE"
    )
    backbone: str = setting("efficientnet_lite0", "CNN, as of finetune.py")
    weights: Path | None = setting(None, "weights of the CNN, as of finetune.py", metavar="FILE")
    epochs: int = setting(5, "passes over the larger modality", least=1)
    trained: float = setting(TRAINED, "weight of the similarities to the trained classes", least=0)
    first: int | None = setting(None, "pictures to take of each class and modality", metavar="N", least=1)
    seed: int = setting(0, "of batches and augmentation", least=0, below=SEEDS)
    soup: int | None = setting(
        None, "networks whose weights are averaged, as of finetune.py (default: 2; of random weights 1)", least=1
    )
    overwrite: bool = setting(False, "replace features in --work that were made with other settings")


def main(settings):
    import_tensorflow()
    for name in ("work", "out"):
        existing_folder(f"--{name}", getattr(settings, name))
    with alone("--work", settings.work):
        train_encoder(settings)


def train_encoder(settings):
    """Write features, run and encoder. Finished features are kept; the run, a minute's work, is replaced."""
    features, run = settings.work / "features", settings.work / "run"
    features.mkdir(parents=True, exist_ok=True)
    common = {name: getattr(settings, name) for name in ("photos", "sketches", "duplicates", "unseen", "backbone")}
    common |= {name: getattr(settings, name) for name in ("weights", "epochs", "first", "seed", "soup", "overwrite")}
    if not settings.soup:
        common["soup"] = 1 if backbone(settings.backbone).starts_at_random(settings.weights) else SOUP
    run_alone(run_stage1, Stage1Options(**common, train="joint", unpaired=True, out=features))
    choices = {"preset": "aligned", "constants": {"trained": settings.trained}}
    train.main(train.Settings(data=features, path=run, overwrite=True, no_encoders=True, **choices))
    from zscmr.training.export import write_shared_encoder

    say(f"wrote {write_shared_encoder(run, settings.out)}")
