"""pictures.json: what the features of a dataset directory were made with."""

from pathlib import Path

from zscmr.dataset_files import PICTURES
from zscmr.files import read_json, write_json

PLACES = ("photos", "sketches", "weights", "weights_file")  # keys of files that may have moved or been renamed


def of_modality(provenance, modality):
    """Contents of pictures.json as they hold for the CNN of a modality."""
    return provenance | (provenance.get("sketch", {}) if modality == "sketch" else {})


def differing_keys(present, wanted):
    """Keys in which two contents of pictures.json differ, apart from where files lie and what came of them."""
    present, wanted = _identity(present), _identity(wanted)
    return [key for key in {**wanted, **present} if present.get(key) != wanted.get(key)]


def _identity(made):
    kept = {key: value for key, value in made.items() if key not in ("skipped", "cnn_sha256", *PLACES)}
    return kept | {key: _identity(value) for key, value in kept.items() if key == "sketch"}


def changed_keys(present, wanted):
    """`differing_keys`, and the folders of pictures that are others.

    Folders of other names may hold the same pictures, moved; not so while the former folders are still there.
    """
    others = [key for key in ("photos", "sketches") if present.get(key) not in (None, wanted[key])]
    return differing_keys(present, wanted) + [key for key in others if Path(present[key]).exists()]


def write_provenance(out, provenance):
    """Write pictures.json of the dataset directory `out`."""
    write_json(out / PICTURES, provenance)


def read_provenance(directory):
    """Contents of pictures.json, or {} for a directory whose features were made elsewhere."""
    path = Path(directory) / PICTURES
    return read_json(path) if path.exists() else {}
