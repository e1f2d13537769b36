"""A dataset directory: its files and variables, known defects of released ones, and pictures.json."""

import hashlib
from pathlib import Path

import numpy as np

from zscmr.utils.files import read_json, write_json

#: fingerprint of a released array → its defect
_DEFECTS = {
    "91b581998712ceee": "the released wv_embeddings.mat: rows 91 to 93 (from 0) are seagull, seal, sea_turtle where "
    "the class order has sea_turtle, seagull, seal, and rows 5 (armor) and 6 (axe) both hold 'metal'",
    "65978a2ec86827b4": "the released wv_anjan_glove.mat: rows 91 to 93 (from 0) are seagull, seal, sea_turtle where "
    "the class order has sea_turtle, seagull, seal",
    "3ac5859d29c6b3ef": "the released mst_graph.mat: made from the last dimension of the class vectors alone, 3 of its "
    "124 edges belong to the Euclidean tree",
    "6e8e63f4502110fe": "the released wv_anjan_semantic_labels.mat: its 250 rows are in no known order, so no row can "
    "be given to a class",
}


def fingerprint(array):
    """A digest of the values of an array, independent of precision and memory order."""
    values = np.ascontiguousarray(array, dtype=np.float32)
    return hashlib.sha256(str(values.shape).encode() + values.tobytes()).hexdigest()[:16]


def vector_defects(vectors):
    """Sentences on class vectors (C, S): known defects of the released file, or equal rows."""
    defect = _DEFECTS.get(fingerprint(vectors))
    if defect:
        return [defect]
    first_rows, copies = _equal_rows(vectors)
    return [f"rows {first} and {copy} (from 0) are identical" for first, copy in zip(first_rows, copies, strict=True)]


def graph_defects(edges):
    """Sentences on class-graph edges (E, 2): known defects of the released file."""
    defect = _DEFECTS.get(fingerprint(edges))
    return [defect] if defect else []


def _equal_rows(array):
    _, first, which = np.unique(array, axis=0, return_index=True, return_inverse=True)
    first = first[which.ravel()]
    copies = np.flatnonzero(first != np.arange(len(array)))
    return first[copies], copies


def index_defects(cell):
    """Sentences on a cell (classes, photos, slots) of the sketches of each photo."""
    rows = cell.reshape(-1, cell.shape[2])
    lists = [[entry for entry in row if isinstance(entry, str) and entry] for row in rows]
    several = [names for names in lists if len(names) > 1]
    repeated = sum(len(set(names)) == 1 for names in several)
    if not repeated:
        return []
    return [f"{repeated:,} of {len(several):,} photos with several sketches name one and the same sketch in every slot"]


#: modality -> its files and variables in a dataset directory, as released
FILES = {
    "photo": {
        "features": ("imagematnew.mat", "feature"),
        "labels": ("label_im.mat", "label_im"),
        "names": ("names_images.mat", "data"),
    },
    "sketch": {
        "features": ("sketchmatnew.mat", "feature"),
        "labels": ("label_sk.mat", "label_sk"),
        "names": ("names_sketches.mat", "data3"),
    },
}

MODALITIES = tuple(FILES)
CLASS_VECTORS = ("wv_embeddings.mat", "features")
CLASS_GRAPH = ("mst_graph.mat", "edge")
CLASSIFIER = ("classifier.mat", "kernel")  # of the backbone, on the features
PAIRS = ("dataset2.mat", "datamat2")  # the sketches of each photo
PICTURES = "pictures.json"  # how the features were made: folders, backbone, classes the CNNs were trained on

#: form of pictures.json, of which directories made elsewhere have parts or nothing
PROVENANCE = {
    "trained_on?": [str],
    "classes?": [str],
    "backbone?": str,
    "train?": str,
    "photos?": str,
    "sketches?": str,
    "weights?": str | None,
    "weights_file?": str | None,
    "weights_sha256?": str | None,
    "pictures?": dict,
    "cnn_sha256?": dict,
    "joined?": [dict],
    "sketch?": {"backbone?": str, "train?": str, "weights?": str | None, "weights_file?": str | None},
}

FILE_KEYS = ("photos", "sketches", "weights", "weights_file")  # keys of files that may have moved or been renamed


def of_modality(provenance, modality):
    """Contents of pictures.json as they hold for the CNN of a modality."""
    return provenance | (provenance.get("sketch", {}) if modality == "sketch" else {})


def differing_keys(stored, current):
    """Keys in which two contents of pictures.json differ, apart from paths of files and results of training."""
    # before precision was recorded it was float32 on a CPU
    stored, current = ({"precision": "float32"} | _identity(content) for content in (stored, current))
    return [key for key in {**current, **stored} if stored.get(key) != current.get(key)]


def _identity(provenance):
    identity = {key: value for key, value in provenance.items() if key not in ("skipped", "cnn_sha256", *FILE_KEYS)}
    return identity | {key: _identity(value) for key, value in identity.items() if key == "sketch"}


def changed_keys(stored, current):
    """Return `differing_keys` and the keys of picture folders that have changed.

    A folder of another name counts as changed only while the former one exists: otherwise the pictures were moved.
    """
    renamed = [key for key in ("photos", "sketches") if stored.get(key) not in (None, current[key])]
    return differing_keys(stored, current) + [key for key in renamed if Path(stored[key]).exists()]


def write_provenance(out, provenance):
    """Write pictures.json of the dataset directory `out`."""
    write_json(out / PICTURES, provenance)


def read_provenance(directory):
    """Contents of pictures.json, or {} for a directory whose features were made elsewhere."""
    path = Path(directory) / PICTURES
    return read_json(path, PROVENANCE) if path.exists() else {}
