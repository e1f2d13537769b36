"""Export of a finished run: its network from pictures to embeddings as TensorFlow Lite graphs or SavedModels."""

from pathlib import Path

import keras

from zscmr.formats import runs
from zscmr.formats.dataset_directory import FILE_KEYS, MODALITIES, of_modality
from zscmr.inference.export_graph import write_tflite
from zscmr.training.cnn_weights import find_weights
from zscmr.training.stage1 import cnn
from zscmr.training.stage1.precision import computing_in
from zscmr.training.stage1.spec import CnnSpec
from zscmr.training.stage2.restore import load_model, stored_preset
from zscmr.utils.errors import BadInput
from zscmr.utils.files import check_form, whole_folder, write_json
from zscmr.utils.processes import stderr_held_back

SHARED = "encoder.tflite"  # graph of both modalities
_DATASET = {"directory": str, "photo": int, "sketch": int, "class_vectors": int}  # entries of a run's dataset


class Embedding(keras.layers.Layer):
    """CNN features (n, F) of one modality -> embeddings (n, t), by a trained system."""

    def __init__(self, system, modality):
        super().__init__(name=f"{modality}_embedding", dtype="float32")
        self.system, self.modality = system, modality

    def call(self, features):
        return self.system.embed(features, self.modality)


def open_network(run, modality, weights=None):
    """(Keras model from pictures (n, size, size, 3) uint8 to embeddings (n, t), their preprocessing, shrink).

    Arguments and errors as of `open_cnn`.
    """
    network, preprocessing, shrink = open_cnn(run, modality, weights)
    embedding = Embedding(load_model(run), modality)
    return keras.Model(network.input, embedding(network.output)), preprocessing, shrink


def open_cnn(run, modality, weights=None):
    """(Keras model from pictures (n, size, size, 3) uint8 to features (n, F), their preprocessing, shrink).

    Raises BadInput for a run whose CNN is unknown, missing or another.

    Args:
        run: run directory.
        modality: "photo" or "sketch".
        weights: path of CNN weights that have moved: the file of a frozen backbone, else the dataset directory.
    """
    run = Path(run)
    config = runs.Run(run).config()
    if "dataset" not in config:
        raise BadInput(f"{run / runs.CONFIG}: no 'dataset'; the run was made before there was a search, train again")
    check_form(run / runs.CONFIG, config["dataset"], _DATASET, "dataset")
    provenance, widths = of_modality(config["features"], modality), config["dataset"]
    # relative to the project, which may have moved as a whole, or absolute
    folders = Path(config["settings"]["data"]), Path(config["dataset"]["directory"])
    file = find_weights(provenance, folders, modality, weights, run)
    spec = CnnSpec.read(config["features"], modality)
    with computing_in("float32"):  # whatever this process trained in
        network = cnn.restored(spec, modality, file)
    if network.output_shape[1] != widths[modality]:
        raise BadInput(
            f"{run}: was trained on {modality} features {widths[modality]}-d, and the CNN that it names gives "
            f"{network.output_shape[1]}-d; the features are of another origin"
        )
    return network, spec.preprocessing(modality), spec.shrink


def write_encoders(run, weights=None):
    """Write photo.tflite, sketch.tflite and about.json to encoders/ of a run directory; return that folder.

    Raises BadInput as `open_network` does.
    """
    run = Path(run)
    folder, config = run / runs.ENCODERS, runs.Run(run).config()
    folder.mkdir(exist_ok=True)
    (folder / runs.ABOUT).unlink(missing_ok=True)
    about = {"classes": config["classes"], "settings": config["settings"], "features": config["features"]}
    about["distance"] = stored_preset(run)[1].distance
    for modality in MODALITIES:
        model, preprocessing, shrink = open_network(run, modality, weights)
        digest = write_tflite(model, folder / f"{modality}.tflite")
        about[modality] = _entry(digest, preprocessing, shrink, model.output_shape[1])
    write_json(folder / runs.ABOUT, about)  # last: its presence marks the graphs as complete
    return folder


def write_shared_encoder(run, folder, weights=None, sketch_shrink=None):
    """Write encoder.tflite and about.json to `folder`: one graph for both modalities, its weights in half precision.

    The graph gives the embedding of a picture as a photo, then as a sketch, in one row (2t). about.json names no path
    of this machine. Raises BadInput as `open_network` does, and for a run whose modalities have a CNN each.

    Args:
        run: run directory.
        folder: to write to.
        weights: as of `open_cnn`.
        sketch_shrink: longer side in pixels to which the strokes are scaled first, for a network that learnt from small
                ones.
    """
    run, folder = Path(run), Path(folder)
    config = runs.Run(run).config()
    features = config["features"]
    if len(set(features.get("cnn_sha256", {"photo": 0, "sketch": 1}).values())) > 1:
        raise BadInput(f"{run}: each modality has a CNN of its own; finetune.py --train joint makes one for both")
    network, photo, shrink = open_cnn(run, "photo", weights)
    sketch = CnnSpec.read(features, "sketch").preprocessing("sketch")
    shrinks = {"photo": shrink, "sketch": sketch_shrink or shrink}
    system = load_model(run)
    both = [Embedding(system, modality)(network.output) for modality in MODALITIES]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / runs.ABOUT).unlink(missing_ok=True)
    model = keras.Model(network.input, keras.layers.Concatenate()(both))
    digest = write_tflite(model, folder / SHARED, float16=True)
    about = {
        "classes": {"seen": sorted({*runs.Run(run).trained_classes()}), "held_out": []},
        "distance": stored_preset(run)[1].distance,
    }
    about["features"] = {key: value for key, value in features.items() if key not in (*FILE_KEYS, "classes", "skipped")}
    dim = both[0].shape[1]
    for start, modality, preprocessing in zip((0, dim), MODALITIES, (photo, sketch), strict=True):
        entry = _entry(digest, preprocessing, shrinks[modality], dim)
        about[modality] = entry | {"file": SHARED, "columns": [start, start + dim]}
    write_json(folder / runs.ABOUT, about)
    return folder


def _entry(digest, preprocessing, shrink, dim):
    """The entry on a modality in about.json."""
    return {
        "sha256": digest,
        "size": preprocessing.size,
        "resample": int(preprocessing.resample),
        "crop": preprocessing.crop,
        "fraction": preprocessing.fraction,
        "ink": preprocessing.ink,
        "shrink": shrink,
        "dim": dim,
    }


def write_saved_models(run, out, weights=None):
    """Write a SavedModel for each modality, OUT/photo/N and OUT/sketch/N, N the next version; return their folders.

    The signature `serve` takes uint8 pictures (n, size, size, 3), n free, and gives float32 embeddings (n, t).
    """
    folders = []
    for modality in MODALITIES:
        model, _, _ = open_network(run, modality, weights)
        versions = [int(folder.name) for folder in (Path(out) / modality).glob("[0-9]*") if folder.name.isdigit()]
        folder = Path(out) / modality / str(max(versions, default=0) + 1)
        with whole_folder(folder) as part, stderr_held_back():
            model.export(str(part), format="tf_saved_model", verbose=False)
        folders.append(folder)
    return folders
