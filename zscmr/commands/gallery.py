"""Tells what is in the gallery that search.py searches, and forgets folders.

zscmr gallery [list]        the folders that were added: when, how many pictures, how many of them are gone
zscmr gallery info          where the gallery is, what it holds, and the files that are gone
zscmr gallery remove DIR    forget the pictures added from DIR; files stay as they are
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from zscmr.formats import runs
from zscmr.formats.dataset_directory import MODALITIES
from zscmr.reports.grid import PLURAL
from zscmr.retrieval.default_gallery import begun_gallery
from zscmr.retrieval.filters import inside
from zscmr.retrieval.run_gallery import FOLDER
from zscmr.retrieval.table import Table
from zscmr.utils.console import say, visible
from zscmr.utils.errors import BadInput
from zscmr.utils.files import is_uri
from zscmr.utils.folders import expanded
from zscmr.utils.options import Options, setting

NAMED = 20  # files that are gone, of each kind of picture


@dataclass(frozen=True)
class Settings(Options):
    action: str = setting("list", "list, info, or remove", choices=("list", "info", "remove"), positional=True)
    folder: str | None = setting(None, "with remove: a folder or URI that was added", metavar="DIR", positional=True)
    gallery: str | None = setting(None, "folder or URI of the gallery (default: as of search)", metavar="DIR|URI")
    run: Path | None = setting(None, "the gallery of this run directory, in RUN/search", metavar="DIR")


def main(settings):
    if (settings.action == "remove") != (settings.folder is not None):
        raise BadInput("DIR: expected with remove, and only with it")
    if settings.run and settings.gallery:
        raise BadInput("--run and --gallery exclude each other")
    if settings.run and not (settings.run / runs.CONFIG).is_file():
        raise BadInput(f"--run {settings.run}: no run directory (it has no {runs.CONFIG})")
    location = settings.run / FOLDER if settings.run else settings.gallery or begun_gallery()
    table = Table.existing(expanded(location))
    if settings.action == "remove":
        remove(table, settings.folder)
    else:
        {"list": list_folders, "info": describe}[settings.action](table)


def list_folders(table):
    """Print a line for each folder that was added."""
    additions = table.additions()
    lines = []
    for modality in MODALITIES:
        paths = table.paths(modality)
        folders = [row for row in additions if row.modality == modality]
        groups = paths_by_folder(paths, [row.folder for row in folders])
        for row in folders:
            lines.append(described(modality, groups[row.folder], day(row.first), day(row.last), row.folder))
        if groups[None]:
            common = common_folder(groups[None])
            lines.append(described(modality, groups[None], "unknown", "unknown", f"{common} (not recorded)"))
    say(f"{table.location}: {'nothing was added' if not lines else 'folders that were added'}")
    if lines:
        rows = [("pictures", "gone", "kind", "added", "changed", "folder"), *lines]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = [
                f"{cell:>{width}}" if number < 2 else f"{cell:<{width}}"
                for number, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            say("  " + "  ".join(cells).rstrip())


def described(modality, paths, first, last, folder):
    """The cells of a line of `list_folders`."""
    return str(len(paths)), str(len(gone(paths))), modality, first, last, visible(folder)


def paths_by_folder(paths, folders):
    """{folder: the paths below it}; a path below several counts for the innermost, one below none for None."""
    starts = {inside(folder): folder for folder in folders}
    groups = {folder: [] for folder in (*folders, None)}
    for path in paths:
        below = [start for start in starts if path.startswith(start)]
        groups[starts[max(below, key=len)] if below else None].append(path)
    return groups


def common_folder(paths):
    """The innermost folder that holds all of the paths; of URIs, the bucket of the first."""
    remote = next(filter(is_uri, paths), None)
    return "/".join(remote.split("/")[:3]) if remote else os.path.commonpath(map(os.path.dirname, paths))


def gone(paths):
    """The paths whose files are not there now; object storage is not looked at."""
    return [path for path in paths if not is_uri(path) and not os.path.exists(path)]


def day(seconds):
    """Seconds since 1970 as date and time of this machine."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def describe(table):
    """Print where the gallery is, what it holds, and what is gone."""
    identity = table.identity
    say(f"gallery: {table.location if is_uri(table.location) else Path(table.location).absolute()}")
    say(f"embeddings: {identity.dim} numbers, {identity.distance} distance, encoder {identity.digest[:16]}")
    say(f"windows of photos: {identity.windows.mode if identity.windows else 'none'}")
    if not is_uri(table.location):
        say(f"size: {folder_bytes(table.location) / 1e6:,.1f} MB")
    for modality in MODALITIES:
        paths = table.paths(modality)
        unmanaged, missing = table.count(modality) - len(paths), gone(paths)
        of_run = f", {unmanaged} of the run" if unmanaged else ""
        say(f"{PLURAL[modality]}: {len(paths)} added, {len(missing)} of them gone{of_run}")
        for path in missing[:NAMED]:
            say(f"  gone: {visible(path)}")
        if len(missing) > NAMED:
            say(f"  and {len(missing) - NAMED} more")


def folder_bytes(folder):
    """Bytes of the files in a folder."""
    return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(folder) for name in names)


def remove(table, folder):
    """Forget the pictures of a folder."""
    if not (count := table.remove(expanded(folder))):
        added = ", ".join(row.folder for row in table.additions()) or "none is recorded"
        raise BadInput(f"{folder}: no picture of the gallery was added from there; folders that were: {added}")
    say(f"{folder}: {count} {'picture' if count == 1 else 'pictures'} forgotten; the files stay")
