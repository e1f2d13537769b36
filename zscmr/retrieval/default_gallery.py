"""Where the gallery of the encoder that comes with the package is, unless another is named."""

import shlex
from pathlib import Path

from zscmr.retrieval.encoder import SHIPPED
from zscmr.retrieval.run_gallery import encoder_identity
from zscmr.retrieval.table import Table, is_gallery
from zscmr.utils.console import warn
from zscmr.utils.folders import data_folder

EARLIER = Path("gallery")  # where earlier versions kept it, in the working directory


def default_gallery(digest=None):
    """Return the folder in the user's data folder; where none is there yet, that of an earlier version, if any.

    The latter is in the working directory. Warns of it in a line that says how to move it, or that it is left alone.

    Args:
        digest: of the encoder that galleries have to be of; None: that of the encoder that comes with the package.
    """
    digest = digest or encoder_identity(SHIPPED).digest
    folder = _of_encoder(_first(), digest)
    if not is_gallery(EARLIER):
        return folder
    if Table.existing(EARLIER).identity.digest != digest:
        warn(f"{EARLIER.absolute()}: left alone, since its encoder was replaced; --add DIR adds pictures to {folder}")
        return folder
    if is_gallery(folder):
        warn(f"{EARLIER.absolute()}: left alone; --gallery {EARLIER} searches it")
        return folder
    parent, target = (shlex.quote(str(path)) for path in (folder.parent, folder))
    hint = f"to find it from any folder: mkdir -p {parent} && mv {EARLIER} {target}"
    warn(f"{EARLIER.absolute()}: the gallery in this folder is used, as by earlier versions; {hint}")
    return EARLIER


def begun_gallery():
    """`default_gallery`; while that is not begun, the one whose encoder was replaced."""
    folder = default_gallery()
    return folder if is_gallery(folder) else _first()


def _first():
    return data_folder() / "zscmr" / "gallery"


def _of_encoder(folder, digest):
    """`folder`; if the encoder of the gallery in it was replaced, another beside it. Warns until that one is begun."""
    if not is_gallery(folder) or (before := Table.existing(folder)).identity.digest == digest:
        return folder
    anew = folder.with_name(f"{folder.name}-{digest[:8]}")
    if not is_gallery(anew):
        added = ", ".join(sorted({addition.folder for addition in before.additions()})) or "nothing"
        warn(f"{folder}: left alone, since its encoder was replaced; --add DIR begins another; here was added: {added}")
    return anew
