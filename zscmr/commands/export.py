"""Write a finished run's encoders: TensorFlow Lite graphs for search, SavedModels for TensorFlow Serving.

    python export.py --run runs/mine [--saved-models DIR] [--shared DIR]

Either takes uint8 RGB pictures (n, size, size, 3), with preprocessing, CNN and encoder inside, and gives float32
embeddings (n, t). The batch size of a SavedModel is free; its versions are numbered as TensorFlow Serving expects. If
features are averages of the last maps, the graph of photos takes weights of the maps' cells as a second input, for
windows (`search.py --windows`).
"""

from dataclasses import dataclass
from pathlib import Path

from zscmr.formats import runs
from zscmr.utils.console import say
from zscmr.utils.errors import BadInput
from zscmr.utils.files import alone, existing_folder
from zscmr.utils.options import Options, setting
from zscmr.utils.processes import import_tensorflow


@dataclass(frozen=True)
class Settings(Options):
    run: Path = setting(help="finished run directory", metavar="DIR")
    saved_models: Path | None = setting(None, "write DIR/photo/1 and DIR/sketch/1 too", metavar="DIR")
    shared: Path | None = setting(
        None,
        "write DIR/encoder.tflite and DIR/about.json too: one graph of half the size for both modalities, for a run "
        "on features of finetune.py --train joint",
        metavar="DIR",
    )
    sketch_shrink: int | None = setting(
        None,
        "of --shared: scale sketches to N × N pixels first, the size of the sketches that the run learnt from",
        metavar="N",
        least=16,
    )
    weights: Path | None = setting(
        None,
        "CNN weights that have moved: of a frozen backbone the file, of trained CNNs the dataset directory with them",
        metavar="FILE",
    )


def main(settings):
    import_tensorflow()
    if not (settings.run / runs.RESULTS).is_file():
        raise BadInput(f"--run {settings.run}: no finished run (it has no {runs.RESULTS})")
    with alone("--run", settings.run):
        export(settings)


def export(settings):
    """Write what the settings ask for."""
    from zscmr.training.export import write_encoders, write_saved_models, write_shared_encoder

    if settings.saved_models:
        existing_folder("--saved-models", settings.saved_models)
    if settings.shared:
        existing_folder("--shared", settings.shared)
        say(f"wrote {write_shared_encoder(settings.run, settings.shared, settings.weights, settings.sketch_shrink)}")
    say(f"{settings.run}: writing its encoders")
    say(f"wrote {write_encoders(settings.run, settings.weights)}")
    if settings.saved_models:
        for folder in write_saved_models(settings.run, settings.saved_models, settings.weights):
            say(f"wrote {folder}")


def ensure_encoders(run, weights=None):
    """Write the encoders of a run that has none, or anew where `weights` says where its CNNs are; else do nothing."""
    if weights is None and runs.Run(run).has_encoders:
        return
    say(f"{run}: exporting its encoders once, with TensorFlow")
    from zscmr.training.export import write_encoders

    with alone("--run", run):
        write_encoders(run, weights)
