"""Finds the weights of a finished dataset's CNNs by what its pictures.json says, and checks that they are the ones."""

from pathlib import Path

from cli import BadInput, file_hash
from pretrain import weights as weight_files
from pretrain.made_with import differences
from UxUyLoader import PICTURES, read_made_with

KEYS = ("backbone", "train", "pool", "dense", "weights_sha256")  # of pictures.json, which tell a CNN from another


def find_weights(made, places, modality, given, run):
    """The weight file of the CNN that made a modality's features.

    `made`: contents of pictures.json; `places`: where its dataset directory may be; `given`: the user's --weights, a
    file for a frozen backbone, a dataset directory for trained CNNs, or None. Raises BadInput that says which file is
    missing, or is not the one.
    """
    if any(key not in made for key in KEYS):
        raise BadInput(
            f"{run}: search needs the CNNs that made its features, and they were made elsewhere "
            f"({places[-1] / PICTURES} is none of pretrain/finetune.py)"
        )
    if made["train"] == "nothing":
        return _frozen(made, given, run)
    if given is not None and not given.is_dir():
        raise BadInput(f"--weights {given}: expected the dataset directory that holds {modality}.weights.h5")
    for folder in [given] if given else places:
        file = folder / f"{modality}.weights.h5"
        if file.is_file():
            differing = differences(read_made_with(folder) or made, made)
            if differing:
                raise BadInput(f"{file}: is of other features than those of {run}, made with another {differing[0]}")
            return file
    raise BadInput(f"{given or places[-1]}: no {modality}.weights.h5; --weights names the directory where it is now")


def _frozen(made, given, run):
    if made["weights_sha256"] is None:
        raise BadInput(f"{run}: search needs its CNNs, and they were random ones that nothing keeps")
    if given is None:
        given = Path(made.get("weights_file") or made["weights"])
        if not given.is_file():
            raise BadInput(f"{given}: no such file, the weights of the CNN; --weights says where they are now")
    file = weight_files.resolve(made["backbone"], given)
    if file_hash(file) != made["weights_sha256"]:
        raise BadInput(f"{file}: not the weights that made the features of {run}, which are {made['weights']}")
    return file
