"""Encoders: pictures to embeddings, through exported graphs. No TensorFlow where LiteRT is installed."""

import dataclasses
import io
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, Union

import numpy as np
import numpy.typing as npt

from zscmr.datasets.classes import class_key
from zscmr.datasets.pictures import why_unreadable
from zscmr.datasets.preprocessing import Preprocessing
from zscmr.formats import runs
from zscmr.formats.dataset_directory import MODALITIES
from zscmr.inference.class_vectors import ClassVectors
from zscmr.inference.engines import LITERT
from zscmr.inference.graph import Graph
from zscmr.inference.outputs import Reading, outputs, outputs_now
from zscmr.inference.units import units
from zscmr.inference.windows import DEFAULT as DEFAULT_WINDOWS
from zscmr.inference.windows import NONE, Windows
from zscmr.utils.errors import BadInput, first_line
from zscmr.utils.files import read_json

if TYPE_CHECKING:
    from PIL import Image

BATCH = 16  # pictures decoded together
ENCODERS = Path(__file__).parent / "encoders"  # those that come with the project, a folder each
DEFAULT = "everyday"
FORMER = {"lite0": DEFAULT}  # names of encoders that were replaced
_PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")
SHIPPED = ENCODERS / DEFAULT
Picture: TypeAlias = Union[str, "os.PathLike[str]", bytes, "Image.Image", npt.NDArray[np.uint8]]


@dataclass(frozen=True)
class EncoderInfo:
    """An encoder that comes with the project.

    Args:
        name: what `Encoder.load` takes.
        megabytes: size of its files.
        dim: numbers of an embedding.
        distance: what its embeddings are compared by.
        scores: sketch→photo mAP@all by unseen list, of networks trained alike without the classes of the list.
        card: the file that says what it was made with, what it retrieves and what it cannot.
    """

    name: str
    megabytes: float
    dim: int
    distance: str
    scores: dict[str, float]
    card: Path


def encoders() -> list[EncoderInfo]:
    """List the encoders that come with the project, sorted by name."""
    return [_info(folder) for folder in sorted(ENCODERS.iterdir()) if (folder / runs.ABOUT).is_file()]


def _info(folder: Path) -> EncoderInfo:
    about = read_json(folder / runs.ABOUT)
    size = sum(file.stat().st_size for file in folder.iterdir()) / 1e6
    dim, scores = about["photo"]["dim"], about.get("scores", {})
    return EncoderInfo(folder.name, round(size, 1), dim, about["distance"], scores, folder / "README.md")


class Encoder:
    """Pictures of both kinds to embeddings, preprocessing included. Thread-safe.

    `Encoder.load` opens one. `Encoder.open` and `Encoder.shipped` give the encoder of a single kind.
    """

    def __init__(self, folder: Path, engine: str = LITERT) -> None:
        """`folder`: with about.json and the graphs that it names; `engine` as of `load`. Raises BadInput."""
        self.folder, self.engine = folder, engine
        self._of_kind: dict[str, ModalityEncoder] = {}
        self._lock = threading.Lock()
        self.dim: int = self.of_kind("photo").dim

    @classmethod
    def load(cls, source: "str | os.PathLike[str]" = DEFAULT, engine: str = LITERT) -> "Encoder":
        """Open an encoder.

        Args:
            source: name of one that comes with the project (`encoders`), a run directory, or its encoders/ directory.
            engine: the library that runs the graphs: "litert", or "openvino", faster on some processors and less exact
                (docs/large.md).

        Raises BadInput for an unknown name, a run without exported encoders, a damaged graph, or a missing library.
        """
        if isinstance(source, str):
            source = FORMER.get(source, source)
            if (ENCODERS / source / runs.ABOUT).is_file() and Path(source).name == source:
                return cls(ENCODERS / source, engine)
        folder = Path(source).expanduser()
        if not folder.is_dir():
            names = ", ".join(info.name for info in encoders())
            raise BadInput(f"{source}: no directory, and none of the encoders that come with the project ({names})")
        return cls(exported(folder), engine)

    @classmethod
    def open(cls, folder: "str | os.PathLike[str]", kind: str, engine: str = LITERT) -> "ModalityEncoder":
        """The encoder of pictures of one kind, "photo" or "sketch", of a run directory or its encoders/ directory.

        `engine` as of `load`. Raises BadInput for a run without exported encoders, or a graph that is not the one that
        was written.
        """
        return ModalityEncoder.read(exported(Path(folder)), kind, engine)

    @classmethod
    def shipped(cls, kind: str, engine: str = LITERT) -> "ModalityEncoder":
        """The encoder of pictures of one kind that comes with the project; `engine` as of `load`."""
        return ModalityEncoder.read(SHIPPED, kind, engine)

    def of_kind(self, kind: str) -> "ModalityEncoder":
        """The encoder of pictures of one kind, "photo" or "sketch"."""
        with self._lock:
            if kind not in self._of_kind:
                self._of_kind[kind] = ModalityEncoder.read(self.folder, kind, self.engine)
            return self._of_kind[kind]

    def embed(self, pictures: "Picture | Sequence[Picture]", kind: str = "sketch") -> npt.NDArray[np.float32]:
        """Embed pictures.

        Args:
            pictures: a picture or a sequence of them: paths, the bytes of files, PIL images, uint8 arrays (h, w),
                (h, w, 3) or (h, w, 4); an array (n, h, w, 3 or 4) is n pictures.
            kind: "photo" or "sketch".

        Returns:
            Embeddings (n, dim), float32; (1, dim) for one picture.

        Raises TypeError for what is no picture, and BadInput for an unknown kind or a picture that cannot be read,
        which it names.
        """
        return embed_all(self.of_kind(kind), as_list(pictures))


class ModalityEncoder:
    """Pictures of one kind to embeddings. Thread-safe; prints nothing but progress, and changes no argument."""

    class_vectors: ClassVectors | None = None  # None: the encoder knows no class names

    def __init__(
        self,
        network: Any,
        preprocessing: Preprocessing,
        shrink: int | None = None,
        digest: str = "",
        seen: frozenset[str] = frozenset(),
        cutoff: float | None = None,
        open_windowed: Callable[[Windows], Any] | None = None,
    ) -> None:
        """Put the parts together.

        Args:
            network: pictures (n, size, size, 3) uint8 -> embeddings (n, `width`) float32.
            preprocessing: how a picture becomes (size, size, 3).
            shrink: pixels, the side that pictures are scaled to before all else.
            digest: tells the network from others.
            seen: keys (`class_key`) of the classes that it was trained on.
            cutoff: distance beyond which no photo is similar to a drawing; None: unknown.
            open_windowed: `Windows` -> network of pictures of their size, which gives the vectors of the whole and of
                all windows in one row; None for an encoder without windows.
        """
        self.network, self.preprocessing, self.shrink, self.digest = network, preprocessing, shrink, digest
        self.seen, self.cutoff, self._reading = seen, cutoff, Reading(preprocessing, BATCH, shrink)
        self.dim: int = network.width
        self._open_windowed, self._lock = open_windowed, threading.Lock()
        self._windowed: tuple[Windows | None, Any] = None, None  # the last windows, and their network

    @classmethod
    def read(cls, folder: Path, kind: str, engine: str = LITERT) -> "ModalityEncoder":
        """The encoder that a folder with about.json holds for a kind; `engine` as of `load`. Raises BadInput."""
        if kind not in MODALITIES:
            raise BadInput(f"kind: expected any of {', '.join(MODALITIES)}, received {kind!r}")
        about = read_about(folder)
        entry = about[kind]
        try:
            file = str(entry.get("file", f"{kind}.tflite"))
            graph = Graph(folder / Path(file).name, entry["sha256"], engine=engine)
            size, resample, crop, fraction = (entry[key] for key in ("size", "resample", "crop", "fraction"))
            ink, shrink = entry.get("ink"), entry["shrink"]
            if ink is None:
                preprocessing = Preprocessing(size, resample, crop, fraction)
            else:  # a drawing is cropped to its strokes before it is scaled down, however large its sheet
                preprocessing, shrink = Preprocessing(size, resample, crop, fraction, ink, shrink), None
            seen = frozenset(class_key(name) for part in ("seen", "held_out") for name in about["classes"][part])
        except ValueError as error:
            raise BadInput(f"{folder / runs.ABOUT}: '{kind}': {error}") from error
        start, stop = entry["columns"] if len(entry.get("columns", ())) == 2 else (0, graph.width)
        if (graph.size, stop - start) != (entry["size"], entry["dim"]) or not 0 <= start < stop <= graph.width:
            raise BadInput(f"{folder / runs.ABOUT}: '{kind}' is not of the graph in {file}")
        network = graph if "columns" not in entry else _Columns(graph, start, stop)
        opener = partial(_open_windowed, graph, entry) if graph.has_windows else None
        encoder = cls(network, preprocessing, shrink, entry["sha256"], seen, about.get("cutoff"), opener)
        if "class_vectors" in about:
            encoder.class_vectors = ClassVectors.read(folder, about["class_vectors"], encoder.dim)
        return encoder

    def embed(
        self,
        pictures: "Sequence[Picture]",
        step: Callable[[int], None] | None = None,
        notice: "Callable[[str | bytes, Image.Image], None] | None" = None,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """(embeddings (n, t) float32, readable (n,) bool); unreadable ones give zeros.

        Args:
            pictures: a sequence of what `Encoder.embed` takes.
            step: called with the number of pictures done after each batch.
            notice: called with path, or bytes, and PIL image of each picture before it is cleaned or scaled.
        """
        files = [as_file(picture) for picture in pictures]
        reading = dataclasses.replace(self._reading, notice=notice)
        vectors, readable = outputs_now(self.network, reading, files, step)
        vectors[~readable] = 0
        return vectors, readable

    def embed_windows(
        self,
        pictures: "Sequence[Picture]",
        windows: Windows,
        step: Callable[[int], None] | None = None,
        notice: "Callable[[str | bytes, Image.Image], None] | None" = None,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """(embeddings (n, 1 + count, t) float32 of the whole pictures and their windows, readable (n,) bool).

        `pictures`, `step`, `notice` as of `embed`. Raises BadInput for an encoder without windows.
        """
        with self._lock:
            if self._windowed[0] != windows:
                if self._open_windowed is None:
                    raise BadInput("this encoder embeds photos without windows; --windows 0 goes without them")
                self._windowed = windows, self._open_windowed(windows)
            network, whole = self._windowed[1], self.network
        if windows.mirrored:
            network, whole = _WithMirror(network, windows.mirrored_rows()), _WithMirror(whole, np.zeros(1, np.int64))
        preprocessing = dataclasses.replace(self.preprocessing, size=windows.size)
        files = [as_file(picture) for picture in pictures]
        vectors, readable = outputs_now(network, Reading(preprocessing, BATCH, self.shrink, notice), files, step)
        vectors = vectors.reshape(len(files), windows.count + 1, self.dim)
        if windows.own_whole:
            vectors[:, 0], still_readable = outputs_now(whole, self._reading, files)
            readable &= still_readable
        vectors = windows.in_context(vectors)
        vectors[~readable] = 0
        return vectors, readable

    def embed_resumable(
        self, paths: "Sequence[str | os.PathLike[str]]", folder: Path, identity: Any, label: str
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
        """`embed` for many files: embeddings are kept in `folder`, so that a killed call resumes.

        `identity`: a JSON value that tells these pictures from others. Shows progress under `label`.
        """
        files = [os.fspath(path) for path in paths]
        key = [self.digest, identity]
        vectors, readable = outputs(folder, key, lambda: self.network, self._reading, files, label)
        return np.where(readable[:, None], vectors, 0), readable

    def faults(self, pictures: "Sequence[Picture]", readable: Sequence[bool] | npt.NDArray[np.bool_]) -> list[str]:
        """A line for each of the pictures that is not `readable` (n,): the path and why it is not."""
        lines = []
        for number, (picture, good) in enumerate(zip(pictures, readable, strict=True), start=1):
            if not good:
                line: str = why_unreadable(as_file(picture), self.preprocessing)
                named = isinstance(picture, (str, os.PathLike)) or len(pictures) == 1
                lines.append(line if named else line.replace("picture", f"picture {number}", 1))
        return lines


class _WithMirror:
    """Embeddings of pictures by a network, averaged with those of their mirror images, row by row, of length 1."""

    def __init__(self, network: Any, rows: npt.NDArray[np.int64]) -> None:
        """`rows`: of the mirror image's embeddings, in the order of those of the picture."""
        self.network, self.rows, self.width = network, rows, network.width

    def __call__(self, pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        images = pictures, np.ascontiguousarray(pictures[:, :, ::-1])
        upright, mirrored = (self.network(part).reshape(len(part), len(self.rows), -1) for part in images)
        total = units(units(upright) + units(mirrored[:, self.rows]))
        return total.reshape(len(pictures), self.width)


class _Columns:
    """Columns `start` to `stop` of each row that a graph gives: one modality of a graph for both."""

    def __init__(self, graph: Graph, start: int, stop: int) -> None:
        self.graph, self.part, self.width = graph, slice(start, stop), graph.rows * (stop - start)

    def __call__(self, pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        vectors: npt.NDArray[np.float32] = self.graph(pictures)
        rows = vectors.reshape(len(vectors), self.graph.rows, -1)[:, :, self.part]
        return rows.reshape(len(vectors), self.width)


def _open_windowed(graph: Graph, entry: dict[str, Any], windows: Windows) -> Any:
    """The network of photos and their windows: the file of `graph` opened for pictures of another size."""
    windowed = Graph(graph.path, entry["sha256"], size=windows.size, weights=windows.weights(), engine=graph.engine)
    return _Columns(windowed, *entry["columns"]) if "columns" in entry else windowed


_SIDE = range(1, 2**15)  # pixels
_ENTRY = {
    "sha256": str,
    "size": _SIDE,
    "resample": range(6),  # of PIL.Image.Resampling
    "crop": str,
    "fraction": int | float,
    "ink?": int | float | None,
    "shrink": int | None,
    "dim": range(1, 2**24),
    "file?": str,
    "columns?": [range(2**24)],
    "windows?": [
        {
            "mode": str,
            "size": _SIDE,
            "maps": range(1, 1025),
            "sides": [[range(1, 1025)]],
            "penalty": int | float,
            "own_whole": bool,
            "context?": int | float,
            "mirrored?": bool,
        }
    ],
}
#: form of about.json
_ABOUT = {
    "photo": _ENTRY,
    "sketch": _ENTRY,
    "distance?": str,
    "cutoff?": int | float | None,
    "class_vectors?": {"sha256": str},
    "classes": {"seen": [str], "held_out": [str]},
}


def read_about(folder: Path) -> dict[str, Any]:
    """Contents of about.json in a folder of exported encoders. Raises BadInput."""
    about: dict[str, Any] = read_json(folder / runs.ABOUT, _ABOUT)
    return about


def windows_of(folder: Path, mode: str | None = None) -> Windows | None:
    """The `Windows` of a mode of the encoder in a folder; None for mode NONE.

    `mode` left out: DEFAULT, or None if the encoder lacks it. Raises BadInput for any other mode that it lacks.
    """
    try:
        modes = {row["mode"]: Windows.from_record(row) for row in read_about(folder)["photo"].get("windows", ())}
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(f"{folder / runs.ABOUT}: 'windows': {first_line(error)}") from error
    if mode is None:
        return modes.get(DEFAULT_WINDOWS)
    if mode != NONE and mode not in modes:
        available = f"its modes: {', '.join([NONE, *modes])}" if modes else "it has none"
        raise BadInput(f"--windows {mode}: the encoder in {folder} embeds no such windows ({available})")
    return modes.get(mode)


def exported(folder: Path) -> Path:
    """The directory of the graphs of a run directory, or the directory itself if it holds graphs. Raises BadInput."""
    for directory in (folder / runs.ENCODERS, folder):
        if (directory / runs.ABOUT).is_file():
            return directory
    if not (folder / runs.CONFIG).is_file():
        raise BadInput(f"{folder}: neither a run directory nor one of exported encoders")
    raise BadInput(f"{folder}: its encoders are not exported; python export.py --run {folder} writes them")


def embed_all(
    encoder: ModalityEncoder,
    pictures: "Sequence[Picture]",
    notice: "Callable[[str | bytes, Image.Image], None] | None" = None,
) -> npt.NDArray[np.float32]:
    """Embeddings (n, t) of pictures; `notice` as of `embed`. Raises BadInput that names one that cannot be read."""
    vectors, readable = encoder.embed(pictures, notice=notice)
    if not readable.all():
        raise BadInput(several(encoder.faults(pictures, readable)))
    return vectors


def several(faults: Sequence[str]) -> str:
    """One line for several faults."""
    rest = f" (and {len(faults) - 1} more that cannot be used)" if len(faults) > 1 else ""
    return f"{faults[0]}{rest}"


def as_list(pictures: "Picture | Sequence[Picture]") -> "list[Picture]":
    """A list of pictures; one picture becomes a list of one. Raises TypeError for what is neither."""
    if is_one(pictures):
        return [pictures]  # type: ignore[list-item]
    try:
        return list(pictures)  # type: ignore[arg-type]
    except TypeError:
        raise _no_picture(pictures) from None


def is_one(pictures: Any) -> bool:
    """Whether this is one picture, not a sequence of them."""
    if isinstance(pictures, np.ndarray):
        return pictures.ndim != 4 and pictures.dtype.kind not in "OU"
    return isinstance(pictures, (str, os.PathLike, bytes, bytearray, memoryview)) or hasattr(pictures, "getexif")


def as_file(picture: "Picture") -> "str | bytes":
    """What the picture reader takes: a path, or the bytes of a file. Images and arrays become PNG, without loss."""
    if isinstance(picture, (str, os.PathLike)):
        path = os.fspath(picture)
        return os.fsdecode(path)
    if isinstance(picture, (bytes, bytearray, memoryview)):
        return bytes(picture)
    from PIL import Image

    if isinstance(picture, np.ndarray):
        shape = picture.shape
        if picture.dtype != np.uint8 or not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))) or 0 in shape:
            expected = "expected a uint8 array (h, w), (h, w, 3) or (h, w, 4)"
            raise TypeError(f"{expected}, received {picture.dtype} {shape}")
        picture = Image.fromarray(np.ascontiguousarray(picture))
    if not isinstance(picture, Image.Image):
        raise _no_picture(picture)
    content = io.BytesIO()
    try:
        if picture.mode in ("F", "I"):
            picture.save(content, "TIFF")  # as PNG the first cannot be stored, and the second loses its range
        else:
            exif = picture.getexif()  # which side is up
            picture = picture if picture.mode in _PNG_MODES else picture.convert("RGB")
            picture.save(content, "PNG", compress_level=1, exif=exif)
    except (OSError, ValueError, SyntaxError) as error:  # its file is closed, cut short, or damaged
        raise BadInput(f"PIL image {getattr(picture, 'filename', '')}: {first_line(error)}") from error
    return content.getvalue()


def _no_picture(value: Any) -> TypeError:
    expected = "a path, bytes, a PIL image or a uint8 array"
    return TypeError(f"expected a picture ({expected}), received {type(value).__name__}")
