"""Pictures to be added, in a folder or on object storage, and those to search with."""

import tempfile
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from zscmr.datasets.picture_formats import SUFFIXES
from zscmr.retrieval.filters import inside
from zscmr.utils.console import warn
from zscmr.utils.errors import BadInput, first_line
from zscmr.utils.files import is_uri


@dataclass(frozen=True)
class Found:
    """A picture file: its absolute path or URI, the folder it lies in, empty for that of the source itself, and what
    tells whether it has changed."""

    path: str
    folder: str
    size: int  # bytes
    modified: int  # ns


def open_source(where):
    """`Folder` or `Bucket`. Raises BadInput for a URI that cannot be read."""
    return Bucket(str(where)) if is_uri(where) else Folder(Path(where))


class Folder:
    """Pictures in a folder and the folders in it."""

    def __init__(self, folder):
        self.root = folder.resolve()
        self.exists = self.root.exists()

    def files(self):
        """[`Found`], sorted; warns of names that UTF-8 cannot write."""
        found = []
        for path in pictures_in(self.root):
            if not _is_utf8(path):
                warn(f"{path!r}: the name is not UTF-8, skipped")
                continue
            state = path.stat()
            folder = "" if path.parent == self.root else path.parent.name
            found.append(Found(str(path), folder, state.st_size, state.st_mtime_ns))
        return found

    def has_pictures(self):
        """Whether `files` would find any; ends at the first."""
        return any(_is_utf8(path) for path in _pictures(self.root))

    @property
    def own_name(self):
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
            listed = self._system.get_file_info(fs.FileSelector(self._path, recursive=True, allow_not_found=True))
        self._listed = [entry for entry in listed if entry.is_file]
        self.exists = bool(listed)

    def files(self):
        """[`Found`], sorted."""
        found = []
        for entry in sorted(self._listed, key=lambda entry: entry.path):
            relative = PurePosixPath(entry.path).relative_to(self._path.strip("/") or ".")
            if relative.suffix.lower() in SUFFIXES and not any(part.startswith(".") for part in relative.parts):
                uri = f"{inside(self.root)}{relative}"
                found.append(Found(uri, relative.parent.name, entry.size, entry.mtime_ns or 0))
        return found

    def has_pictures(self):
        """Whether `files` would find any."""
        return bool(self.files())

    @property
    def own_name(self):
        return self.root.rpartition("/")[2]

    @contextmanager
    def local(self, paths):
        """A context manager that gives local files with the content of `paths`."""
        with tempfile.TemporaryDirectory() as folder:
            files = []
            for number, path in enumerate(paths):
                file = Path(folder) / f"{number}{PurePosixPath(path).suffix}"
                with _refusal(path), self._system.open_input_stream(self._at(path)) as stream:
                    file.write_bytes(stream.read())
                files.append(str(file))
            yield files

    def _at(self, uri):
        return f"{self._path.rstrip('/')}/{uri.removeprefix(inside(self.root))}"


def pictures_in(folder):
    """Picture files of a folder and the folders in it, hidden ones apart, sorted."""
    return sorted(_pictures(folder))


def _pictures(folder):
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in SUFFIXES and not hidden and path.is_file():
            yield path


def _is_utf8(path):
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def _refusal(where):
    try:
        yield
    except (OSError, ValueError) as error:
        raise BadInput(f"{where}: cannot be read ({first_line(error)[:200]})") from error


def queries_in(paths):
    """(picture files to search with, [what is wrong with a path]); a folder stands for the pictures in it."""
    files, faults = [], []
    for path in paths:
        if path.is_dir():
            pictures = pictures_in(path)
            files += pictures
            faults += [] if pictures else [f"{path}: no pictures in this folder"]
        elif path.exists():
            files.append(path)
        else:
            faults.append(f"{path}: no such file")
    return files, faults
