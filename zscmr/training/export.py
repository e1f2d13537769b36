"""A finished run's way from pictures to embeddings, as one TensorFlow Lite graph for each modality."""

from pathlib import Path

import keras

from zscmr.backbones import backbone
from zscmr.backbones import weights as weight_files
from zscmr.formats import runs
from zscmr.formats.dataset_directory import MODALITIES, PICTURES, PLACES, differing_keys, of_modality, read_provenance
from zscmr.inference.export_graph import write_tflite
from zscmr.training.stage1 import cnn
from zscmr.training.stage1.spec import CnnSpec
from zscmr.training.stage2 import train as stage2
from zscmr.utils.errors import BadInput
from zscmr.utils.files import file_hash, read_json, whole_folder, write_json
from zscmr.utils.processes import stderr_held_back

SHARED = "encoder.tflite"  # the graph of both modalities


class Embedding(keras.layers.Layer):
    """The map of a trained system from CNN features (n, F) of one modality to embeddings (n, t)."""

    def __init__(self, system, modality):
        super().__init__(name=f"{modality}_embedding", dtype="float32")
        self.system, self.modality = system, modality

    def call(self, features):
        return self.system.embed(features, self.modality)


def open_network(run, modality, weights=None):
    """(float32 Keras model of pictures (n, size, size, 3) uint8 -> embeddings (n, t), their preprocessing, shrink).

    Arguments and errors are those of `open_cnn`.
    """
    network, preprocessing, shrink = open_cnn(run, modality, weights)
    embedding = Embedding(stage2.load_model(run), modality)
    return keras.Model(network.input, embedding(network.output)), preprocessing, shrink


def open_cnn(run, modality, weights=None):
    """(float32 Keras model of pictures (n, size, size, 3) uint8 -> features (n, F), their preprocessing, shrink).

    `weights`: where the CNN's weights are if they have moved, a file for a frozen backbone, else the dataset directory.
    Raises BadInput for a run whose CNN is unknown, missing or another.
    """
    run = Path(run)
    config = read_json(run / runs.CONFIG)
    if "dataset" not in config:
        raise BadInput(f"{run / runs.CONFIG}: no 'dataset'; the run was made before there was a search, train again")
    provenance, widths = of_modality(config["features"], modality), config["dataset"]
    # where the run's command saw the dataset, so that a project that has moved as a whole finds it, or where it was
    places = Path(config["settings"]["data"]), Path(config["dataset"]["directory"])
    file = find_weights(provenance, places, modality, weights, run)
    spec = CnnSpec.read(config["features"], modality)
    network = cnn.restored(spec, modality, file)
    if network.output_shape[1] != widths[modality]:
        raise BadInput(
            f"{run}: was trained on {modality} features {widths[modality]}-d, and the CNN that it names gives "
            f"{network.output_shape[1]}-d; the features are of another origin"
        )
    return network, spec.preprocessing(modality), spec.shrink


def write_encoders(run, weights=None):
    """Write encoders/photo.tflite, encoders/sketch.tflite and about.json of the finished run in the directory `run`.

    Returns their folder. Raises BadInput as `open_network` does.
    """
    run = Path(run)
    folder, config = run / runs.ENCODERS, read_json(run / runs.CONFIG)
    folder.mkdir(exist_ok=True)
    (folder / runs.ABOUT).unlink(missing_ok=True)
    about = {"classes": config["classes"], "settings": config["settings"], "features": config["features"]}
    about["distance"] = stage2.stored_preset(run)[1].distance
    for modality in MODALITIES:
        model, preprocessing, shrink = open_network(run, modality, weights)
        digest = write_tflite(model, folder / f"{modality}.tflite")
        about[modality] = _entry(digest, preprocessing, shrink, model.output_shape[1])
    write_json(folder / runs.ABOUT, about)  # last: its presence marks the graphs as complete
    return folder


def write_shared_encoder(run, folder, weights=None, sketch_shrink=None):
    """Write encoder.tflite and about.json to `folder`: one graph for both modalities, its weights in half precision.

    The graph gives the embedding of a picture as a photo, then as a sketch, side by side. about.json names no place on
    this machine. With `sketch_shrink` sketches are scaled to so many pixels square before all else: to a network that
    learnt from small ones, the lines of larger drawings are too sharp. Raises BadInput as `open_network` does, and for
    a run whose modalities have a CNN each.
    """
    run, folder = Path(run), Path(folder)
    config = read_json(run / runs.CONFIG)
    features = config["features"]
    if len(set(features.get("cnn_sha256", {"photo": 0, "sketch": 1}).values())) > 1:
        raise BadInput(f"{run}: each modality has a CNN of its own; finetune.py --train joint makes one for both")
    network, photo, shrink = open_cnn(run, "photo", weights)
    sketch = CnnSpec.read(features, "sketch").preprocessing("sketch")
    shrinks = {"photo": shrink, "sketch": sketch_shrink or shrink}
    system = stage2.load_model(run)
    both = [Embedding(system, modality)(network.output) for modality in MODALITIES]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / runs.ABOUT).unlink(missing_ok=True)
    model = keras.Model(network.input, keras.layers.Concatenate()(both))
    digest = write_tflite(model, folder / SHARED, float16=True)
    about = {
        "classes": {"seen": sorted({*runs.trained_classes(config)}), "held_out": []},
        "distance": stage2.stored_preset(run)[1].distance,
    }
    about["features"] = {key: value for key, value in features.items() if key not in (*PLACES, "classes", "skipped")}
    dim = both[0].shape[1]
    for place, (modality, preprocessing) in enumerate(zip(MODALITIES, (photo, sketch), strict=True)):
        entry = _entry(digest, preprocessing, shrinks[modality], dim)
        about[modality] = entry | {"file": SHARED, "columns": [place * dim, (place + 1) * dim]}
    write_json(folder / runs.ABOUT, about)
    return folder


def _entry(digest, preprocessing, shrink, dim):
    """What about.json says of a modality."""
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
    written = []
    for modality in MODALITIES:
        model, _, _ = open_network(run, modality, weights)
        versions = [int(folder.name) for folder in (Path(out) / modality).glob("[0-9]*") if folder.name.isdigit()]
        folder = Path(out) / modality / str(max(versions, default=0) + 1)
        with whole_folder(folder) as part, stderr_held_back():
            model.export(str(part), format="tf_saved_model", verbose=False)
        written.append(folder)
    return written


KEYS = ("backbone", "train", "pool", "dense", "weights_sha256")  # of pictures.json, which tell a CNN from another


def find_weights(provenance, places, modality, given, run):
    """The weight file of the CNN that made a modality's features.

    `provenance`: contents of pictures.json. `places`: where its dataset directory may be. `given`: the user's
    --weights, a file for a frozen backbone, a dataset directory for trained CNNs, or None. Raises BadInput that names
    the file that is missing or another.
    """
    if any(key not in provenance for key in KEYS):
        raise BadInput(
            f"{run}: search needs the CNNs that made its features, and they were made elsewhere "
            f"({places[-1] / PICTURES} is none of pretrain/finetune.py)"
        )
    provenance = of_modality(provenance, modality)
    if provenance["train"] == "nothing":
        return _frozen(provenance, given, run)
    if given is not None and not given.is_dir():
        raise BadInput(f"--weights {given}: expected the dataset directory that holds {modality}.weights.h5")
    faults = []
    for folder in [given] if given else places:
        file = folder / f"{modality}.weights.h5"
        if file.is_file():
            fault = _fault(file, folder, provenance, modality, run)
            if not fault:
                return file
            faults.append(fault)
    missing = f"{given or places[-1]}: no {modality}.weights.h5; --weights names the directory where it is now"
    raise BadInput([*faults, missing][0])


def _fault(file, folder, provenance, modality, run):
    """Why a weight file is not the one that made the features; empty if it is."""
    differing = differing_keys(of_modality(read_provenance(folder), modality) or provenance, provenance)
    if differing:
        return f"{file}: is of other features than those of {run}, made with another {differing[0]}"
    if provenance.get("cnn_sha256", {}).get(modality) not in (None, file_hash(file)):
        return f"{file}: not the weights that made the features of {run}; its content has changed"
    return ""


def _frozen(provenance, given, run):
    if provenance["weights_sha256"] is None:
        raise BadInput(f"{run}: search needs its CNNs, and they were random ones that nothing keeps")
    entry = backbone(provenance["backbone"])
    if given is None:
        given = Path(provenance.get("weights_file") or provenance["weights"])
        if not given.is_file() and entry.packaged:
            given = None  # of a package that is installed elsewhere now
        elif not given.is_file():
            raise BadInput(f"{given}: no such file, the weights of the CNN; --weights says where they are now")
    file = weight_files.weight_file(entry, given)
    if file_hash(file) != provenance["weights_sha256"]:
        raise BadInput(f"{file}: not the weights that made the features of {run}, which are {provenance['weights']}")
    return file
