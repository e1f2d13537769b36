"""Export of a finished run: its network from pictures to embeddings as TensorFlow Lite graphs or SavedModels."""

import dataclasses
import math
import shutil
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import keras
import numpy as np

from zscmr.datasets.classes import class_key
from zscmr.evaluation.embedding_files import read_embeddings
from zscmr.formats import runs
from zscmr.formats.dataset_directory import FILE_KEYS, MODALITIES, of_modality
from zscmr.inference.class_vectors import ClassVectors
from zscmr.inference.export_graph import FLIPPED, difference, outputs_of, write_tflite
from zscmr.inference.graph import Graph
from zscmr.inference.windows import Windows
from zscmr.training.cnn_weights import find_weights
from zscmr.training.stage1 import cnn
from zscmr.training.stage1.precision import computing_in
from zscmr.training.stage1.spec import CnnSpec
from zscmr.training.stage2.restore import load_model, stored_preset
from zscmr.utils.console import say
from zscmr.utils.errors import BadInput
from zscmr.utils.files import check_form, whole_folder, write_json
from zscmr.utils.processes import stderr_held_back

SHARED = "encoder.tflite"  # graph of both modalities
_DATASET = {"directory": str, "photo": int, "sketch": int, "class_vectors": int}  # entries of a run's dataset

STRIDE = 32  # pixels of a picture to a cell of the last maps


@dataclasses.dataclass(frozen=True)
class Mode:
    """How the windows of a mode follow from an encoder.

    Args:
        scale: side of the pictures in sides of the encoder's own.
        share: side of the windows as a share of the maps' side; they stand three by three.
        penalty, own_whole, context, mirrored: as of `Windows`.
    """

    scale: float
    share: float
    penalty: float = 0.0
    own_whole: bool = False
    context: float = 0.0
    mirrored: bool = False

    def windows(self, name, size, maps):
        """The `Windows` of pictures of `size` pixels with last maps of `maps` cells a side."""
        side = max(round(self.share * maps), 1)
        sides = ((side, max(math.ceil((maps - side) / 2), 1)),)
        return Windows(name, size, maps, sides, self.penalty, self.own_whole, self.context, self.mirrored)


#: chosen in docs/trials.md
WINDOWS = {
    "fast": Mode(17 / 14, 4 / 9, penalty=0.1),
    "thorough": Mode(2.0, 1 / 2, own_whole=True, context=0.35, mirrored=True),
}


class Embedding(keras.layers.Layer):
    """CNN features (n, F) of one modality -> embeddings (n, t), by a trained system."""

    def __init__(self, system, modality):
        super().__init__(name=f"{modality}_embedding", dtype="float32")
        self.system, self.modality = system, modality

    def call(self, features):
        return self.system.embed(features, self.modality)


class PooledMaps(keras.layers.Layer):
    """Last maps of one picture (1, h, w, F) and weights (rows, h × w) of their cells -> weighted means (rows, F)."""

    def call(self, maps, weights):
        cells = keras.ops.reshape(maps, (-1, maps.shape[-1]))
        return keras.ops.matmul(weights, cells)


class SketchColumns(keras.layers.Layer):
    """Embeddings of a picture and its windows as photos (rows, t), and of it as a sketch (1, t) -> (rows, 2t)."""

    def call(self, photos, sketch):
        return keras.ops.concatenate([photos, keras.ops.zeros_like(photos) + sketch], axis=1)


class FirstRow(keras.layers.Layer):
    """(rows, F) -> (1, F), the row of the whole picture."""

    def call(self, rows):
        return rows[:1]


@dataclasses.dataclass(frozen=True)
class OpenCnn:
    """The CNN of one modality of a run.

    Args:
        spec: as pictures.json records it.
        modality: "photo" or "sketch".
        file: of its weights.
        network: Keras model, pictures (n, size, size, 3) uint8 -> features (n, F).
    """

    spec: CnnSpec
    modality: str
    file: Path | None
    network: keras.Model

    @property
    def preprocessing(self):
        return self.spec.preprocessing(self.modality)

    def of_size(self, size):
        """The same network for pictures of another size, in pixels."""
        spec = dataclasses.replace(self.spec, size=size)
        return dataclasses.replace(self, spec=spec, network=_restored(spec, self.modality, self.file))

    @property
    def pool(self):
        """The layer that averages the last maps; None where features are no such average."""
        layers = [layer for layer in self.network.layers if isinstance(layer, keras.layers.GlobalAveragePooling2D)]
        return layers[-1] if layers and self.spec.pool in ("average", "root") else None

    @property
    def maps(self):
        """Side of the last maps in cells."""
        return self.pool.input.shape[1]

    def windowed(self):
        """(inputs, features (rows, F)) of the network with a second input: weights (rows, maps²) of the cells."""
        weights = keras.Input((self.maps**2,), name="weights")
        tail = keras.Model(self.pool.output, self.network.output)
        return [self.network.input, weights], tail(PooledMaps(dtype="float32")(self.pool.input, weights))


def _restored(spec, modality, file):
    with computing_in("float32"):  # whatever this process trained in
        return cnn.restored(spec, modality, file)


def open_network(run, modality, weights=None):
    """(Keras model from pictures (n, size, size, 3) uint8 to embeddings (n, t), the `OpenCnn` in it).

    Arguments and errors as of `open_cnn`.
    """
    opened = open_cnn(run, modality, weights)
    embedding = Embedding(load_model(run), modality)
    return keras.Model(opened.network.input, embedding(opened.network.output)), opened


def open_cnn(run, modality, weights=None):
    """The `OpenCnn` of a run. Raises BadInput for a run whose CNN is unknown, missing or another.

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
    network = _restored(spec, modality, file)
    if network.output_shape[1] != widths[modality]:
        raise BadInput(
            f"{run}: was trained on {modality} features {widths[modality]}-d, and the CNN that it names gives "
            f"{network.output_shape[1]}-d; the features are of another origin"
        )
    return OpenCnn(spec, modality, file, network)


def write_encoders(run, weights=None):
    """Write photo.tflite, sketch.tflite, class vectors and about.json to encoders/ of a run directory; return it.

    Raises BadInput as `open_cnn` does.
    """
    run = Path(run)
    folder, config = run / runs.ENCODERS, runs.Run(run).config()
    sides = {modality: open_cnn(run, modality, weights) for modality in MODALITIES}
    distance, system = stored_preset(run)[1].distance, load_model(run)
    about = {"classes": config["classes"], "settings": config["settings"], "features": config["features"]}
    about["distance"] = distance
    with _encoders_in(folder):
        for modality, opened in sides.items():
            windowed = modality == "photo" and _has_windows(run, opened, distance)
            embedded = partial(_embedded, embeddings=[Embedding(system, modality)], windowed=windowed)
            model, path = embedded(opened), folder / f"{modality}.tflite"
            about[modality] = _entry(write_tflite(model, path), opened, opened.spec.shrink, model.output_shape[1])
            if windowed:
                about[modality]["windows"] = _windows(opened, embedded, path)
        about |= _class_vectors(run, folder, distance)
        write_json(folder / runs.ABOUT, about)  # last: its presence marks the graphs as complete
    return folder


@contextmanager
def _encoders_in(folder):
    """Write encoders to a folder within the block; if it fails, the folder is deleted unless it was there before."""
    existed = folder.exists()
    (folder / runs.ABOUT).unlink(missing_ok=True)
    try:
        yield
    except BaseException:
        if not existed:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def write_shared_encoder(run, folder, weights=None, sketch_shrink=None):
    """Write encoder.tflite, class vectors and about.json to `folder`: one graph for both modalities, in half precision.

    The graph gives the embedding of a picture as a photo, then as a sketch, in one row (2t). about.json names no path
    of this machine. Raises BadInput as `open_cnn` does, and for a run whose modalities have a CNN each.

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
    opened = open_cnn(run, "photo", weights)
    distance, system = stored_preset(run)[1].distance, load_model(run)
    windowed = _has_windows(run, opened, distance)
    embeddings = [Embedding(system, modality) for modality in MODALITIES]
    embedded = partial(_embedded, embeddings=embeddings, windowed=windowed)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / runs.ABOUT).unlink(missing_ok=True)
    model = embedded(opened)
    digest = write_tflite(model, folder / SHARED, float16=True)
    about = {"classes": {"seen": sorted({*runs.Run(run).trained_classes()}), "held_out": []}, "distance": distance}
    about["features"] = {key: value for key, value in features.items() if key not in (*FILE_KEYS, "classes", "skipped")}
    dim, shrink = model.output_shape[1] // 2, opened.spec.shrink
    sketch = dataclasses.replace(opened, spec=CnnSpec.read(features, "sketch"), modality="sketch")
    sides = ("photo", opened, shrink), ("sketch", sketch, sketch_shrink or shrink)
    for start, (modality, side, side_shrink) in zip((0, dim), sides, strict=True):
        columns = {"file": SHARED, "columns": [start, start + dim]}
        about[modality] = _entry(digest, side, side_shrink, dim) | columns
    if windowed:
        about["photo"]["windows"] = _windows(opened, embedded, folder / SHARED, float16=True)
    about |= _class_vectors(run, folder, distance)
    write_json(folder / runs.ABOUT, about)
    return folder


def _class_vectors(run, folder, distance):
    """Write class vectors of the run's trained classes; return their entries of about.json, none for codes."""
    file = Path(run) / runs.EMBEDDINGS
    if not file.is_file() or distance == "hamming":
        return {}
    classes = runs.Run(run).config()["classes"]
    trained = {class_key(name) for part in ("seen", "held_out") for name in classes[part]}
    features = read_embeddings(file, needs_unseen=False)
    photo = features.photo
    chosen = np.isin(photo.labels, [label for label, name in enumerate(features.classes) if class_key(name) in trained])
    if not chosen.any():
        return {}
    names, rows = features.classes, np.flatnonzero(chosen)
    vectors = ClassVectors.of_photos(names, photo.labels[rows], photo.vectors[rows], distance == "cosine")
    return {"class_vectors": vectors.write(folder)}


def _embedded(opened, embeddings, windowed):
    """The Keras model of an exported graph.

    Args:
        opened: `OpenCnn`.
        embeddings: `Embedding` of a modality, or of photos and sketches.
        windowed: take weights of the last maps' cells.
    """
    inputs, features = opened.windowed() if windowed else (opened.network.input, opened.network.output)
    first, *others = embeddings
    vectors = first(features)
    if others and windowed:
        vectors = SketchColumns(dtype="float32")(vectors, others[0](FirstRow(dtype="float32")(features)))
    elif others:
        vectors = keras.layers.Concatenate()([vectors, others[0](features)])
    return keras.Model(inputs, vectors)


def _has_windows(run, opened, distance):
    """Whether windows of a run's photos can be embedded; print why not."""
    reason = None
    if opened.pool is None:
        reason = "its features are no average of last maps"
    elif distance != "cosine":
        reason = f"it ranks by {distance}, not by cosine"
    elif opened.preprocessing.crop != "squash":
        reason = "its backbone does not see the edges of a photo"
    if reason:
        say(f"{run}: photos are embedded without windows: {reason}")
    return reason is None


def _windows(opened, embedded, path, float16=False):
    """The entry "windows" of about.json: the modes in which the written graph agrees with the model.

    Args:
        opened: `OpenCnn` of photos.
        embedded: `OpenCnn` -> the model of the graph.
        path: of the graph.
        float16: whether its weights are stored in half precision.
    """
    records = []
    for name, mode in WINDOWS.items():
        try:
            records.append(_agreeing(name, mode, opened, embedded, path, float16).record())
        except (BadInput, ValueError) as error:
            say(f"{path}: no {name} windows: {error}")
    return records


def _agreeing(name, mode, opened, embedded, path, float16):
    """The windows of a `Mode` on pictures of the first of `_sizes` on which the graph agrees with the model.

    Other arguments as of `_windows`. Raises BadInput where there is none, ValueError where windows do not fit.
    """
    for size in _sizes(opened.preprocessing.size, mode.scale):
        larger = opened.of_size(size)
        windows = mode.windows(name, size, larger.maps)
        if _agrees(path, embedded(larger), windows, float16):
            return windows
    raise BadInput(f"on pictures of {size} pixels the graph differs from the model")


def _agrees(path, model, windows, float16):
    """Whether a written graph gives the model's vectors of windows, for a picture of noise."""
    pictures = np.random.default_rng(0).integers(0, 256, (1, windows.size, windows.size, 3)).astype(np.uint8)
    received = Graph(path, size=windows.size, weights=windows.weights())(pictures)
    return difference(outputs_of(model, pictures, windows.weights()), received, float16) <= FLIPPED


def _sizes(size, scale):
    """Sides in pixels to try for windows: `size` × `scale`, then the nearest that STRIDE divides as it does `size`.

    Where a convolution of stride 2 meets an odd side, the converter replaces its padding by one that is the same there
    and another on even sides. Then the graph is right on those sides only that stay odd and even as the exported one.
    """
    larger = round(size * scale)
    return dict.fromkeys((larger, size + STRIDE * round((larger - size) / STRIDE)))


def _entry(digest, opened, shrink, dim):
    """The entry on a modality in about.json."""
    preprocessing = opened.preprocessing
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
        model, _ = open_network(run, modality, weights)
        versions = [int(folder.name) for folder in (Path(out) / modality).glob("[0-9]*") if folder.name.isdigit()]
        folder = Path(out) / modality / str(max(versions, default=0) + 1)
        with whole_folder(folder) as part, stderr_held_back():
            model.export(str(part), format="tf_saved_model", verbose=False)
        folders.append(folder)
    return folders
