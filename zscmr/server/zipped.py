"""Several pictures of the gallery as one zip, made while it is sent."""

import io
import time
import zipfile
from contextlib import suppress
from pathlib import PurePath, PurePosixPath

from zscmr.server.stored_pictures import BLOCK, open_picture

ZIP = {"Content-Disposition": 'attachment; filename="pictures.zip"'}
MISSING = "missing.txt"  # in the zip: the names of pictures that cannot be read any more


async def zipped(pictures, do):
    """Yield a zip of `StoredPicture`s in parts of about `BLOCK` bytes; do(work, *arguments) works in a thread."""
    parts = _parts(pictures)
    try:
        while part := await do(next, parts, None):
            yield part
    finally:
        with suppress(ValueError):  # cancelled while a thread reads, which lets go of the file at its end
            parts.close()


def _parts(pictures):
    sink, missing, names = _Sink(), [], set()
    with zipfile.ZipFile(sink, "w") as archive:  # stored as they are: pictures are compressed already
        for picture in pictures:
            try:
                _, file = open_picture(picture)
            except OSError:
                missing.append(picture.name)
                continue
            entry = zipfile.ZipInfo(_unused(picture.name, names), _date(picture.modified))
            with file, archive.open(entry, "w", force_zip64=True) as target:
                file.seek(0)
                while block := file.read(BLOCK):
                    target.write(block)
                    yield sink.taken()
        if missing:
            archive.writestr(MISSING, "".join(f"{name}\n" for name in missing))
    yield sink.taken()


class _Sink(io.RawIOBase):
    """A file that cannot be sought in, and gives what was written to it once."""

    def __init__(self):
        self._content = bytearray()

    def writable(self):
        return True

    def write(self, content):
        self._content += content
        return len(content)

    def taken(self):
        content, self._content = bytes(self._content), bytearray()
        return content


def _date(nanoseconds):
    """A time as zips have it: (year, month, day, hour, minute, second), not before 1980."""
    date = time.localtime(nanoseconds / 1e9)[:6]
    return max(date, (1980, 1, 1, 0, 0, 0))


def _unused(name, names):
    """The last part of a picture's name, with a number where `names` has it; adds it to them."""
    path = PurePosixPath(PurePath(name).name)
    number, unused = 1, path.name
    while unused.lower() in names:  # some systems do not tell cases apart
        number += 1
        unused = f"{path.stem} ({number}){path.suffix}"
    names.add(unused.lower())
    return unused
