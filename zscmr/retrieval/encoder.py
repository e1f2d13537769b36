"""Pictures -> embeddings, through the exported encoders of a run, or its CNN and system."""

from pathlib import Path

import numpy as np

from zscmr.datasets.classes import class_key
from zscmr.datasets.pictures import Preprocessing, why_unreadable
from zscmr.formats import runs
from zscmr.inference import outputs as feature_export
from zscmr.inference.graph import Graph
from zscmr.utils.errors import BadInput
from zscmr.utils.files import file_hash, read_json

BATCH = 16  # pictures decoded together
SHIPPED = Path(__file__).parent / "encoders" / "lite0"


class Columns:
    """Columns `start` to `stop` of what a graph gives: one modality of a graph for both."""

    def __init__(self, graph, start, stop):
        self.graph, self.part, self.width = graph, slice(start, stop), stop - start

    def __call__(self, pictures):
        return self.graph(pictures)[:, self.part]


class Encoder:
    """The way from pictures of one modality to the embeddings of a run.

    Thread-safe; prints nothing but progress, and changes no argument.
    """

    def __init__(self, network, preprocessing, shrink=None, digest="", seen=frozenset()):
        """`network`: pictures (n, size, size, 3) uint8 -> embeddings (n, `width`) float32.

        `digest` tells the network from others. `seen`: keys (`class_key`) of the classes that it was trained on.
        """
        self.network, self.preprocessing, self.shrink, self.digest = network, preprocessing, shrink, digest
        self.seen = seen

    @classmethod
    def open(cls, folder, modality, weights=None):
        """The encoder of a modality, "photo" or "sketch", of a run directory or its `encoders` folder.

        Exported encoders need no TensorFlow. A run without them needs its CNN: `weights` says where its weights are if
        they have moved, a file for a frozen backbone, else the dataset directory. Raises BadInput for a run whose CNN
        is unknown, missing or another, or a graph that is not the one that was written.
        """
        folder = Path(folder)
        if (folder / runs.ENCODERS / runs.ABOUT).is_file() and weights is None:
            folder = folder / runs.ENCODERS
        if (folder / runs.ABOUT).is_file():
            return cls._exported(folder, modality)
        from zscmr.training.compiled import Compiled
        from zscmr.training.export import open_network

        model, preprocessing, shrink = open_network(folder, modality, weights)
        embeddings = folder / runs.EMBEDDINGS  # what it embedded, which changes with its weights
        digest = file_hash(embeddings) if embeddings.is_file() else ""
        return cls(Compiled(model), preprocessing, shrink, digest, _seen(runs.Run(folder).config()))

    @classmethod
    def _exported(cls, folder, modality):
        about = read_json(folder / runs.ABOUT)
        try:
            entry = about[modality]
            file = str(entry.get("file", f"{modality}.tflite"))
            graph = Graph(folder / Path(file).name, entry["sha256"])
            shape = (entry[key] for key in ("size", "resample", "crop", "fraction"))
            preprocessing = Preprocessing(*shape, entry.get("ink"))
            shrink, seen = entry["shrink"], _seen(about)
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(f"{folder / runs.ABOUT}: expected an entry on '{modality}' with {error}") from error
        start, stop = entry.get("columns", (0, graph.width))
        if (graph.size, stop - start) != (entry["size"], entry["dim"]) or not 0 <= start < stop <= graph.width:
            raise BadInput(f"{folder / runs.ABOUT}: '{modality}' is not of the graph in {file}")
        network = graph if "columns" not in entry else Columns(graph, start, stop)
        return cls(network, preprocessing, shrink, entry["sha256"], seen)

    @classmethod
    def shipped(cls, modality):
        """The encoder that comes with the project (zscmr/retrieval/encoders); its card says what it learnt from."""
        return cls._exported(SHIPPED, modality)

    def embed(self, paths, step=None):
        """(embeddings (n, t) float32, readable (n,) bool) of picture files; unreadable ones give zeros.

        `paths`: of files, or the bytes of such. `step(done)` is called after each batch.
        """
        paths = [path if isinstance(path, bytes) else str(path) for path in paths]
        vectors, readable = feature_export.outputs_now(
            self.network, self.preprocessing, paths, BATCH, self.shrink, step
        )
        vectors[~readable] = 0
        return vectors, readable

    def embed_kept(self, paths, folder, identity, label):
        """`embed` for many pictures: embeddings are kept in `folder`, so that a killed call resumes.

        `identity`: a JSON value that tells these pictures from others. Shows progress under `label`.
        """
        paths = [str(path) for path in paths]
        vectors, readable = feature_export.outputs(
            folder, [self.digest, identity], lambda: self.network, self.preprocessing, paths, BATCH, label, self.shrink
        )
        return np.where(readable[:, None], vectors, 0), readable

    def faults(self, paths, readable):
        """A line for each of the picture files `paths` that is not `readable` (n,): the path and why it is not."""
        return [
            why_unreadable(path, self.preprocessing) for path, good in zip(paths, readable, strict=True) if not good
        ]


def _seen(about):
    return frozenset(class_key(name) for part in ("seen", "held_out") for name in about["classes"][part])
