"""Pictures to be added, in a folder or on object storage, and those to search with."""

import itertools
import os
import stat
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from zscmr.datasets.listing import Scan, is_skipped, pictures_in, shown, walk
from zscmr.datasets.picture_formats import SUFFIXES
from zscmr.retrieval.filters import inside
from zscmr.utils.console import Once
from zscmr.utils.errors import BadInput, first_line
from zscmr.utils.files import is_uri

REMOTE_BYTES = 2**28  # of one file on object storage; larger ones are skipped
READERS = 16  # files on object storage that are read at once


@dataclass(frozen=True)
class SourceFile:
    """A picture file of a source.

    Args:
        path: absolute path, or URI.
        folder: name of the folder it lies in; empty for the source itself.
        size: bytes.
        modified: ns; with the size it tells whether the file has changed.
    """

    path: str
    folder: str
    size: int
    modified: int


def open_source(location, follow_links=False):
    """`Folder` or `Bucket`. Raises BadInput for a file, or a URI that cannot be read."""
    return Bucket(str(location)) if is_uri(location) else Folder(Path(location), follow_links)


class Folder:
    """Pictures in a folder and the folders in it."""

    def __init__(self, folder, follow_links=False):
        self.root, self.follow_links = folder.resolve(), follow_links
        self.exists = self.root.exists()
        if self.exists and not self.root.is_dir():
            raise BadInput(f"--add {folder}: expected a folder, received a file")
        self._scan = Scan(self.root, follow_links)

    def files(self, once=None):
        """[`SourceFile`], sorted; prints what was skipped. `once` as of `Scan.report`."""
        self._scan = Scan(self.root, self.follow_links)
        files = []
        for file in walk(self._scan) if self.exists else ():
            parent = os.path.dirname(file.path)
            folder = "" if parent == str(self.root) else os.path.basename(parent)
            files.append(SourceFile(file.path, folder, file.size, file.modified))
        self._scan.report(once)
        return sorted(files, key=lambda file: file.path)

    def has_pictures(self):
        """Whether `files` would find any; ends at the first."""
        return next(walk(Scan(self.root, self.follow_links)), None) is not None

    def doubts(self, missing):
        """{(folder or link, why): [paths]} of the paths `missing` from `files` that may be there all the same.

        They lie in what could not be listed, or in a folder that held several pictures and is empty now, as a mount
        point is without its drive.
        """
        doubted = {}
        for path in sorted(missing):
            part = path
            while len(part) >= len(str(self.root)):
                reason = self._scan.unlisted.get(part) or ("is empty" if part in self._scan.empty else None)
                if reason:
                    if part == path and not reason.startswith("a link"):
                        part = os.path.dirname(path)  # all files of a folder that share a reason are one line
                    doubted.setdefault((part, reason), []).append(path)
                    break
                part = os.path.dirname(part)
        return {part: paths for part, paths in doubted.items() if part[1] != "is empty" or len(paths) > 1}

    def why_empty(self):
        """Why `files` found none, in words."""
        if not self.exists:
            return "no such folder"
        left_out = self.left_out()
        found_none = f"no pictures in this folder{f' that can be read, but {left_out}' if left_out else ''}"
        return self._scan.unlisted.get(str(self.root), found_none)

    def left_out(self):
        """Pictures and videos that `files` could not take, counted by kind, in words."""
        return self._scan.left_out()

    @property
    def root_name(self):
        return self.root.name

    def local(self, paths):
        """A context manager that gives local files with the content of `paths`."""
        return nullcontext(paths)


class Bucket:
    """Pictures below a URI (s3://, gs://, file://), as Arrow's file systems read it; settings from the environment."""

    def __init__(self, uri):
        from pyarrow import fs

        self.root = uri.rstrip("/")
        with _refusal(uri):
            self._system, self._path = fs.FileSystem.from_uri(uri)

    @cached_property
    def _listed(self):
        """What lies below the URI: files and folders. Raises BadInput."""
        from pyarrow import fs

        with _refusal(self.root):
            return self._system.get_file_info(fs.FileSelector(self._path, recursive=True, allow_not_found=True))

    @property
    def exists(self):
        return bool(self._listed)

    def files(self, once=None):
        """[`SourceFile`], sorted; warns of files that are too large. `once` as of `Scan.report`."""
        files, once = [], once or Once()
        for entry in sorted(filter(lambda entry: entry.is_file, self._listed), key=lambda entry: entry.path):
            relative = PurePosixPath(entry.path).relative_to(self._path.strip("/") or ".")
            folders = ("", *relative.parts[:-1])
            skipped = any(is_skipped(*pair) for pair in itertools.pairwise(folders))
            if skipped or relative.name.startswith(".") or relative.suffix.lower() not in SUFFIXES:
                continue
            uri = f"{inside(self.root)}{relative}"
            if entry.size is not None and entry.size > REMOTE_BYTES:
                once.warn(f"{uri}: {entry.size:,} bytes, more than {REMOTE_BYTES:,}, skipped")
                continue
            files.append(SourceFile(uri, relative.parent.name, entry.size, entry.mtime_ns or 0))
        return files

    def has_pictures(self):
        """Whether `files` would find any."""
        return bool(self.files())

    def doubts(self, missing):
        """{}: a listing of object storage is complete, or was refused."""
        return {}

    def why_empty(self):
        """Why `files` found none, in words."""
        return "no pictures in this folder" if self.exists else "no such folder"

    def left_out(self):
        """Empty: of object storage, pictures alone are looked at."""
        return ""

    @property
    def root_name(self):
        return self.root.rpartition("/")[2]

    @contextmanager
    def local(self, paths):
        """A context manager that gives local files with the content of `paths`; none for one that has gone."""
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(READERS) as pool:
            files = [Path(folder) / f"{number}{PurePosixPath(path).suffix}" for number, path in enumerate(paths)]
            list(pool.map(self._fetch, paths, files))
            yield list(map(str, files))

    def _fetch(self, uri, file):
        with _refusal(uri), suppress(FileNotFoundError):
            file.write_bytes(self._read(uri))

    def _read(self, uri):
        with self._system.open_input_stream(
            f"{self._path.rstrip('/')}/{uri.removeprefix(inside(self.root))}"
        ) as stream:
            content = stream.read(REMOTE_BYTES + 1)
        if len(content) > REMOTE_BYTES:
            raise OSError(f"more than {REMOTE_BYTES:,} bytes")
        return content


@contextmanager
def _refusal(location):
    try:
        yield
    except (OSError, ValueError) as error:
        raise BadInput(f"{location}: cannot be read ({first_line(error)[:200]})") from error


def queries_in(paths):
    """(picture files to search with, [what is wrong with a path]); a folder stands for the pictures in it."""
    files, faults = [], []
    for path in paths:
        try:
            if stat.S_ISDIR(path.stat().st_mode):
                pictures = pictures_in(path)
                files += pictures
                faults += [] if pictures else [f"{shown(path)}: no pictures in this folder"]
            else:
                files.append(path)
        except FileNotFoundError:
            faults.append(f"{shown(path)}: no such file")
        except OSError as error:
            faults.append(f"{shown(path)}: {error.strerror}")
    return files, faults
