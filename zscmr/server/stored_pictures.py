"""Files of the gallery's pictures, opened once, checked as they are open, and sent from there; thumbnails of them."""

import asyncio
import hashlib
import io
import os
import stat
import threading
from collections import OrderedDict

from starlette.responses import Response

from zscmr.datasets.pictures import read_date, read_header, read_thumbnail
from zscmr.retrieval.schema import UNMANAGED
from zscmr.retrieval.thumbnails import SIDE, thumbnail
from zscmr.utils.files import is_uri

PREVIEW = 1600  # pixels, of the longer side of a preview at most
LARGEST = 2**30  # bytes of a file that is sent
LARGEST_REMOTE = 2**27  # bytes of an object that is read into memory
BLOCK = 2**18  # bytes sent at once


def open_stored(picture):
    """Open the file of a `StoredPicture` for reading; an object on storage is read into a file in memory.

    A link that has replaced the file, or a folder above it, is not followed. A path with links in it is accepted in
    two cases: the links are this user's own, and the file has the size and time of the row; or the picture is a run's
    own, and the links stay in the folder of its dataset.

    Raises FileNotFoundError for a file that has gone, and OSError for one that is reached through other links, is no
    regular file, or is too large.
    """
    path = picture.path
    if is_uri(path):
        system, path = _storage(path)
        if system is not None:
            return io.BytesIO(read_object(system, path))
    real = os.path.realpath(path) if path else ""
    file = _open_without_links(real)
    try:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError("not a regular file")
        if status.st_size > LARGEST:
            raise OSError(f"larger than {LARGEST:,} bytes")
        if real != path and not _is_same(picture, path, real, status):
            raise OSError("reached through a link")
    except OSError:
        file.close()
        raise
    return file


def _is_same(picture, path, real, status):
    """Whether the file `real`, to which links at `path` lead, may stand for the picture."""
    if picture.size == UNMANAGED:
        dataset = os.path.realpath(path.removesuffix(picture.name))
        return real.startswith(os.path.join(dataset, ""))
    user = os.geteuid() if os.name == "posix" else 0
    parts = path.split(os.sep)
    links = filter(os.path.islink, (os.sep.join(parts[:end]) for end in range(2, len(parts) + 1)))
    if any(os.lstat(link).st_uid not in (0, user) for link in links):
        return False
    return (status.st_size, status.st_mtime_ns) == (picture.size, picture.modified)


def _open_without_links(path):
    """Open the file at an absolute path. Raises OSError if a part of the path is a link."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # to open a pipe would wait
    if not path:
        raise FileNotFoundError("no path is known")
    if hasattr(os, "O_NOFOLLOW_ANY"):  # macOS
        return open(os.open(path, flags | os.O_NOFOLLOW_ANY), "rb")
    if os.open not in os.supports_dir_fd:  # Windows
        return open(os.open(path, flags), "rb")
    *folders, name = path.strip(os.sep).split(os.sep)
    to_folder = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW
    folder = os.open(os.sep, to_folder)
    try:
        for part in folders:
            inner = os.open(part, to_folder, dir_fd=folder)
            os.close(folder)
            folder = inner
        return open(os.open(name, flags | os.O_NOFOLLOW, dir_fd=folder), "rb")
    finally:
        os.close(folder)


def _storage(uri):
    """(file system, key) of an object as Arrow reads it; (None, path) of a file on this machine."""
    from pyarrow import fs

    try:
        system, key = fs.FileSystem.from_uri(uri)
    except (ValueError, NotImplementedError) as error:  # settings of the storage are missing
        raise OSError(str(error)) from error
    return (None if isinstance(system, fs.LocalFileSystem) else system), key


def read_object(system, key, most=LARGEST_REMOTE):
    """The bytes of an object on one of Arrow's file systems. Raises OSError for more than `most`."""
    (status,) = system.get_file_info([key])
    if not status.is_file:
        raise FileNotFoundError("no such object")
    if status.size is None or status.size > most:
        raise OSError(f"larger than {most:,} bytes")
    with system.open_input_stream(key) as stream:
        return stream.read(status.size)


def picture_format(file):
    """The format of an open picture, by its header. Raises OSError for what is no picture."""
    return read_header(_source(file))[0]


def open_picture(picture):
    """(format, open file) of a `StoredPicture`. Raises OSError as `open_stored`, and for what is no picture."""
    file = open_stored(picture)
    try:
        return picture_format(file), file
    except OSError:
        file.close()
        raise


def details(picture):
    """Name, class, bytes and time of a `StoredPicture`. Raises OSError as `open_stored`, and for what is no picture."""
    with open_stored(picture) as file:
        taken = read_date(_source(file))
        size = file.seek(0, os.SEEK_END)
    about = {"name": picture.name, "class": picture.class_name, "bytes": size}
    return {**about, "taken": taken.isoformat() if taken else None}


def _source(file):
    """The file as `datasets.pictures` takes it."""
    return file.getvalue() if isinstance(file, io.BytesIO) else file


def preview(picture):
    """JPEG bytes of a `StoredPicture`, which may be of a format that browsers lack. Raises OSError as `details`."""
    jpeg = io.BytesIO()
    with open_stored(picture) as file:
        read_thumbnail(_source(file), PREVIEW).save(jpeg, format="JPEG", quality=85)
    return jpeg.getvalue()


class Thumbnails:
    """JPEG thumbnails of pictures; the last used, up to `most` bytes, stay in memory. Thread-safe."""

    def __init__(self, most, kept):
        """`kept`: the gallery's `KeptThumbnails`."""
        self.kept, self._most, self._bytes, self._lock = kept, most, 0, threading.Lock()
        self._cached = OrderedDict()  # (path, size, modified): JPEG bytes

    def get(self, picture, seen=None):
        """(tag, JPEG bytes) for a `StoredPicture`; the tag, as of HTTP, tells states of its file apart.

        The bytes are None if its tag is among the text `seen`: who asks has them. Raises OSError as `open_stored`,
        and for what is no picture.
        """
        key = (picture.path, picture.size, picture.modified)
        if is_uri(picture.path) and (jpeg := self._find(key, picture.id)):  # no request to the storage
            return _tag(key), jpeg
        with open_stored(picture) as file:
            if not isinstance(file, io.BytesIO):
                status = os.fstat(file.fileno())
                key = (picture.path, status.st_size, status.st_mtime_ns)
            tag = _tag(key)
            if seen and tag in seen:
                return tag, None
            if jpeg := self._find(key, picture.id):
                return tag, jpeg
            jpeg = thumbnail(read_thumbnail(_source(file), SIDE))
        self._keep(key, jpeg)
        self.kept.write(picture.id, key[2], jpeg)
        return tag, jpeg

    def _find(self, key, picture_id):
        with self._lock:
            if key in self._cached:
                self._cached.move_to_end(key)
                return self._cached[key]
        if jpeg := self.kept.read(picture_id, key[2]):
            self._keep(key, jpeg)
        return jpeg

    def _keep(self, key, content):
        with self._lock:
            self._bytes += len(content) - len(self._cached.get(key, b""))
            self._cached[key] = content
            while self._bytes > self._most:
                self._bytes -= len(self._cached.popitem(last=False)[1])


def _tag(key):
    return f'"{hashlib.sha256(repr((SIDE, *key)).encode()).hexdigest()[:16]}"'


class OpenFileResponse(Response):
    """Sends an open file, as long as it is now, and closes it."""

    def __init__(self, file, media_type, headers):
        self.file, self.length = file, file.seek(0, os.SEEK_END)
        super().__init__(None, headers={**headers, "Content-Length": str(self.length)}, media_type=media_type)

    async def __call__(self, scope, receive, send):
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            left = 0 if scope["method"] == "HEAD" else self.length
            self.file.seek(0)
            while left:
                part = await asyncio.to_thread(self.file.read, min(left, BLOCK))
                if not part:  # the file has become shorter: the connection is closed
                    return
                left -= len(part)
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            self.file.close()
