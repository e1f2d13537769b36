"""The weight files of the CNNs that made a run's features: found again, and checked by their digests."""

from pathlib import Path

from zscmr.backbones import backbone
from zscmr.backbones import weights as weight_files
from zscmr.formats.dataset_directory import PICTURES, differing_keys, of_modality, read_provenance
from zscmr.utils.errors import BadInput
from zscmr.utils.files import file_hash

KEYS = ("backbone", "train", "pool", "dense", "weights_sha256")  # of pictures.json, which identify a CNN


def find_weights(provenance, folders, modality, given, run):
    """The weight file of the CNN that made a modality's features.

    Raises BadInput that names the file that is missing or another.

    Args:
        provenance: contents of pictures.json.
        folders: candidates for its dataset directory.
        modality: "photo" or "sketch".
        given: path of --weights or None; a file for a frozen backbone, else the dataset directory.
        run: run directory, for messages.
    """
    if "joined" in provenance:
        count = len(provenance["joined"])
        raise BadInput(f"{run}: search needs one network, and {count} made its features (zscmr join)")
    if any(key not in provenance for key in KEYS):
        raise BadInput(
            f"{run}: search needs the CNNs that made its features, and they were made elsewhere "
            f"({folders[-1] / PICTURES} is none of pretrain/finetune.py)"
        )
    provenance = of_modality(provenance, modality)
    if provenance["train"] == "nothing":
        return _frozen(provenance, given, run)
    if given is not None and not given.is_dir():
        raise BadInput(f"--weights {given}: expected the dataset directory that holds {modality}.weights.h5")
    faults = []
    for folder in [given] if given else folders:
        file = folder / f"{modality}.weights.h5"
        if file.is_file():
            fault = _fault(file, folder, provenance, modality, run)
            if not fault:
                return file
            faults.append(fault)
    missing = f"{given or folders[-1]}: no {modality}.weights.h5; --weights names the directory where it is now"
    raise BadInput([*faults, missing][0])


def _fault(file, folder, provenance, modality, run):
    """A sentence on why a weight file is not the one that made the features; empty if it is."""
    differing = differing_keys(of_modality(read_provenance(folder), modality) or provenance, provenance)
    if differing:
        return f"{file}: is of other features than those of {run}, made with another {differing[0]}"
    if provenance.get("cnn_sha256", {}).get(modality) not in (None, file_hash(file)):
        return f"{file}: not the weights that made the features of {run}; its content has changed"
    return ""


def _frozen(provenance, given, run):
    """The weight file of a frozen backbone."""
    if provenance["weights_sha256"] is None:
        raise BadInput(f"{run}: search needs its CNNs, and they were random ones that nothing keeps")
    entry = backbone(provenance["backbone"])
    if given is None:
        given = Path(provenance.get("weights_file") or provenance["weights"])
        if not given.is_file() and entry.packaged:
            given = None  # of a package, which is installed elsewhere now
        elif not given.is_file():
            raise BadInput(f"{given}: no such file, the weights of the CNN; --weights says where they are now")
    file = weight_files.weight_file(entry, given)
    if file_hash(file) != provenance["weights_sha256"]:
        raise BadInput(f"{file}: not the weights that made the features of {run}, which are {provenance['weights']}")
    return file
