"""pictures.json: what the features of a dataset directory were made with."""

import json
from pathlib import Path

from zscmr.dataset_files import PICTURES
from zscmr.errors import BadInput
from zscmr.files import whole_file

PLACES = ("photos", "sketches", "weights", "weights_file")  # keys of files that may have moved or been renamed


def differing_keys(present, wanted):
    """Keys in which two contents of pictures.json differ, apart from where files lie and what came of them."""
    ignored = {"skipped", "cnn_sha256", *PLACES}
    return [key for key in {**wanted, **present} if key not in ignored and present.get(key) != wanted.get(key)]


def changed_keys(present, wanted):
    """`differing_keys`, and the folders of pictures that are others.

    Folders of other names may hold the same pictures, moved; not so while the former folders are still there.
    """
    others = [key for key in ("photos", "sketches") if present.get(key) not in (None, wanted[key])]
    return differing_keys(present, wanted) + [key for key in others if Path(present[key]).exists()]


def write_provenance(out, provenance):
    """Write pictures.json of the dataset directory `out`."""
    with whole_file(out / PICTURES) as part:
        part.write_text(json.dumps(provenance, indent=1), encoding="utf-8")


def read_provenance(directory):
    """Contents of pictures.json, or {} for a directory whose features were made elsewhere."""
    path = Path(directory) / PICTURES
    if not path.exists():
        return {}
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadInput(f"{path}: not readable as JSON ({error})") from error
