"""Picture files in folders: which are listed, and what is skipped, counted and said."""

import errno
import os
import re
import stat
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from zscmr.datasets.picture_formats import INSTALL, SUFFIXES, UNREADABLE
from zscmr.utils.console import Once, visible

#: folders of thumbnails, deleted files and system data, in small letters; hidden ones are skipped anyway. Only names
#: that no user gives a folder: "thumbs", "previews" or "trash" may hold somebody's pictures.
_SKIPPED = {
    *("@eadir", "#recycle", "#snapshot", "@tmp"),  # Synology
    *("@recycle", "@recently-snapshot", "@__thumb"),  # QNAP
    *("$recycle.bin", "recycler", "system volume information"),  # Windows
    *("__macosx", "network trash folder", "temporary items"),  # macOS
    *("lost+found", "~snapshot"),  # Linux, NetApp
    *("files_trashbin", "files_versions"),  # Nextcloud and ownCloud
}
_SKIPPED_PATTERN = re.compile(r".*\.(lrdata|lrcat-data|cocatalogdb)|appdata_oc\w{10}")  # Lightroom, Nextcloud
#: within a library of Apple Photos, iPhoto or Aperture: all but the originals
_LIBRARY = re.compile(r".*\.(photoslibrary|photolibrary|aplibrary|migratedphotolibrary)")
_IN_LIBRARY = {"resources", "database", "private", "scopes", "internal", "thumbnails", "previews", "attachments"}
_VIDEOS = ".3gp .avi .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .ogv .webm .wmv"
_KINDS = UNREADABLE | dict.fromkeys(_VIDEOS.split(), "video")
_SHOWN = 160  # characters of a path in a message


@dataclass(frozen=True)
class PictureFile:
    """A picture file as it was listed."""

    path: str
    size: int  # bytes
    modified: int  # ns


class Scan:
    """Lists folders, and keeps account of what it skips. `report` prints it.

    Nothing that is met in a folder raises an error: what cannot be listed is skipped and the rest goes on.
    """

    def __init__(self, root, follow_links=True):
        """`root`: links that lead out of this folder are skipped unless `follow_links`."""
        self.root, self.follow_links = os.path.realpath(root), follow_links
        self.unlisted = {}  # path of a folder or file that is there and could not be looked at -> why
        self.empty = set()  # folders without any entry
        self.kinds = {}  # path of a picture or video that cannot be read -> its kind
        self.faults = defaultdict(set)  # (folder, why) -> names skipped in it
        self.links, self.skipped_folders = set(), set()  # paths

    def folder(self, path):
        """([names of folders], [`PictureFile`]) of one folder, sorted by name; hidden entries are left out."""
        folders, files, count = [], [], 0
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    count += 1
                    if not entry.name.startswith("."):
                        self._sort(path, entry, folders, files)
        except OSError as error:
            self.unlisted[path] = why(error)
        if not count and path not in self.unlisted:
            self.empty.add(path)
        return sorted(folders), sorted(files, key=lambda file: file.path)

    def _sort(self, folder, entry, folders, files):
        """Append an entry of a folder to `folders` or `files`, or count why it is in neither."""
        suffix = os.path.splitext(entry.name)[1].lower()
        try:
            if entry.is_symlink() and not self._may_follow(entry):
                return
            if entry.is_dir():
                self._add_folder(folder, entry.name, folders)
            elif suffix in _KINDS:
                self.kinds[entry.path] = _KINDS[suffix]
            elif suffix not in SUFFIXES:
                pass
            elif not is_utf8(entry.name):
                self.faults[folder, "the name is not UTF-8"].add(entry.name)
            else:
                status = entry.stat()
                if stat.S_ISREG(status.st_mode):
                    files.append(PictureFile(entry.path, status.st_size, status.st_mtime_ns))
                else:
                    self.faults[folder, "not a regular file"].add(entry.name)
        except OSError as error:
            self.unlisted[entry.path] = why(error)
            if suffix in SUFFIXES:
                self.faults[folder, why(error)].add(entry.name)

    def _may_follow(self, link):
        """Whether a link is followed; counts it if it is not."""
        if not os.path.exists(link.path):  # or a circle
            reason = "a link that leads nowhere"
        elif not (self.follow_links or self._leads_inside(link.path)):
            reason = "a link that leads out of the folder"
        else:
            return True
        self.links.add(link.path)
        self.unlisted[link.path] = reason
        return False

    def _leads_inside(self, link):
        return os.path.join(os.path.realpath(link), "").startswith(os.path.join(self.root, ""))

    def _add_folder(self, folder, name, folders):
        if is_skipped(os.path.basename(folder), name):
            self.skipped_folders.add(os.path.join(folder, name))
        elif is_utf8(name):
            folders.append(name)
        else:
            self.faults[folder, "the name of a folder is not UTF-8"].add(name)

    def left_out(self):
        """What cannot be read, in words: "2 HEIC, 1 video"; empty if nothing was left out."""
        return ", ".join(f"{count} {kind}{'s' * (kind == 'video' and count > 1)}" for kind, count in self._by_count())

    def _by_count(self):
        counts = Counter(self.kinds.values())
        return sorted(counts.items(), key=lambda item: (-item[1], item[0]))

    def report(self, once=None):
        """Print what was skipped: a warning for each folder concerned, and a line on what was left out.

        `once`: a `Once` that prints; left out: everything is printed.
        """
        once = once or Once()
        for path, reason in sorted(self.unlisted.items()):
            counted = os.path.splitext(path)[1].lower() in SUFFIXES or reason.startswith("a link")
            if not counted and path != self.root:  # the root is the caller's to name
                once.warn(f"{shown(path)}: {reason}, skipped")
        for (folder, reason), names in sorted(self.faults.items()):
            once.warn(f"{shown(folder)}: {_count(names, 'file')}: {reason}, skipped")
        if self.links:
            hint = "" if self.follow_links else " that lead out of it or nowhere (--follow-links takes the former)"
            once.warn(f"{shown(self.root)}: {_count(self.links, 'link')}{hint or ' that lead nowhere'}, skipped")
        if self.kinds:
            install = [f"{kind}: {INSTALL[kind]}" for kind, _ in self._by_count() if kind in INSTALL]
            hint = f" ({'; '.join(install)})" if install else ""
            once.say(f"{shown(self.root)}: left out, because they cannot be read: {self.left_out()}{hint}")
        if self.skipped_folders:
            folders = _count(self.skipped_folders, "folder")
            once.say(f"{shown(self.root)}: {folders} of thumbnails, deleted files or system data left out")


def _count(items, noun):
    return f"1 {noun}" if len(items) == 1 else f"{len(items)} {noun}s"


def walk(scan):
    """Yield the `PictureFile`s of the root of a `Scan` and of all folders in it, each real folder once.

    Folders come before what links to them, so that a picture is listed by its own path where it has one.
    """
    folders, links, visited = [scan.root], [], set()
    while folders or links:
        path = folders.pop() if folders else links.pop(0)
        try:
            status = os.stat(path)
        except OSError as error:
            scan.unlisted[path] = why(error)
            continue
        if (status.st_dev, status.st_ino) in visited:
            continue
        visited.add((status.st_dev, status.st_ino))
        names, files = scan.folder(path)
        yield from files
        for name in reversed(names):
            inner = os.path.join(path, name)
            (links if os.path.islink(inner) else folders).append(inner)


def is_skipped(parent, name):
    """Whether a folder `name` in a folder `parent` holds thumbnails, deleted files or system data."""
    name, parent = name.casefold(), parent.casefold()
    if name.startswith(".") or name in _SKIPPED or _SKIPPED_PATTERN.fullmatch(name):
        return True
    return name in _IN_LIBRARY and _LIBRARY.fullmatch(parent) is not None


def is_utf8(text):
    """Whether a name can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def why(error):
    """The reason of an OSError in words."""
    if error.errno in (errno.ENOENT, errno.ESTALE):
        return "vanished while being listed"
    return error.strerror or str(error)


def shown(path):
    """`visible` of a path, of bounded length."""
    text = visible(path)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]}…{text[-_SHOWN // 2 :]}"


def pictures_in(folder):
    """[`Path`] of the pictures in a folder and the folders in it, sorted; prints what was skipped."""
    scan = Scan(folder)
    files = sorted(file.path for file in walk(scan))
    scan.report()
    return [Path(file) for file in files]
