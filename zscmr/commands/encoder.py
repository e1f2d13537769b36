"""Train an encoder for drawings of everyday things, as the ones that come with the project were trained.

    python pretrain/encoder.py --photos DIR [DIR ...] --sketches DIR [DIR ...] --work DIR --out DIR

Stage I end to end on all classes, preset aligned with similarities to them, one graph for both modalities: what
finetune.py, Unified_XY_triads.py and export.py do one after the other. --unseen leaves classes out, by which the run in
WORK/run is measured. Stopped at any point, the same command goes on. The encoder is used by
`search.py --run OUT`, `zscmr.Encoder.load("OUT")`.
"""

from dataclasses import dataclass
from pathlib import Path

from zscmr.commands import train
from zscmr.datasets.layouts import PictureOptions
from zscmr.formats import runs
from zscmr.training.stage1.miniature import run_stage1
from zscmr.training.stage1.options import NONE, Stage1Options
from zscmr.utils.console import say
from zscmr.utils.files import alone, existing_folder
from zscmr.utils.options import setting
from zscmr.utils.processes import import_tensorflow, run_alone
from zscmr.utils.seeds import SEEDS

TRAINED = 1.5  # weight of the similarities to the trained classes, chosen on held-out classes and drawings


@dataclass(frozen=True)
class Settings(PictureOptions):
    work: Path = setting(help="folder for the features and the run, which --out does not need", metavar="DIR")
    out: Path = setting(help="folder to write encoder.tflite and about.json to", metavar="DIR")
    unseen: Path = setting(
        Path(NONE), "text file of class names that are not trained on, or the name of a list", metavar="FILE"
    )
    backbone: str = setting("efficientnet_lite0", "an EfficientNet-Lite, or another network of pooled maps")
    weights: Path | None = setting(None, "its ImageNet weights, as of finetune.py", metavar="FILE")
    epochs: int = setting(7, "passes over the larger modality", least=1)
    trained: float = setting(TRAINED, "weight of the similarities to the trained classes", least=0)
    first: int | None = setting(None, "pictures to take of each class and modality", metavar="N", least=1)
    seed: int = setting(0, "of batches and augmentation", least=0, below=SEEDS)


def main(settings):
    import_tensorflow()
    for name in ("work", "out"):
        existing_folder(f"--{name}", getattr(settings, name))
    with alone("--work", settings.work):
        train_encoder(settings)


def train_encoder(settings):
    """Write what the settings ask for, step by step; each step skips what is done."""
    features, run = settings.work / "features", settings.work / "run"
    features.mkdir(parents=True, exist_ok=True)
    common = {name: getattr(settings, name) for name in ("photos", "sketches", "duplicates", "unseen", "backbone")}
    common |= {name: getattr(settings, name) for name in ("weights", "epochs", "first", "seed")}
    run_alone(run_stage1, Stage1Options(**common, train="joint", out=features))
    if not (run / runs.RESULTS).exists():
        constants = {"trained": settings.trained}
        train.main(
            train.Settings(
                data=features, path=run, preset="aligned", constants=constants, overwrite=True, no_encoders=True
            )
        )
    from zscmr.training.export import write_shared_encoder

    say(f"wrote {write_shared_encoder(run, settings.out)}")
