"""Folders that the system keeps for each user."""

import os
import sys
from pathlib import Path

from zscmr.utils.files import is_uri


def data_folder(platform=sys.platform, environment=os.environ):
    """Return the folder for the data of this user's programs, by the custom of the system; it may not exist.

    `platform`: as `sys.platform`. `environment`: its XDG_DATA_HOME and LOCALAPPDATA are heeded where they are absolute.
    """
    home = Path.home()
    if platform == "darwin":
        return home / "Library" / "Application Support"
    name, usual = ("LOCALAPPDATA", "AppData/Local") if platform == "win32" else ("XDG_DATA_HOME", ".local/share")
    chosen = Path(environment.get(name, ""))
    return chosen if chosen.is_absolute() else home / usual


def expanded(path):
    """Return a path or text with the home folder in place of a leading `~` or `~user`.

    URIs, and names of unknown users, stay as they are.
    """
    return path if is_uri(path) else type(path)(os.path.expanduser(path))
