"""Thumbnails of a gallery's photos, kept in its folder: to decode photos takes longer than to scroll past them."""

import io
import os
from contextlib import suppress
from pathlib import Path

from zscmr.utils.files import is_uri, whole_file

SIDE = 256  # pixels, of the longer side at most
FOLDER = "thumbnails"
_JPEG = b"\xff\xd8"  # its first bytes


def thumbnail(picture):
    """The JPEG bytes of a PIL image in RGB, scaled down to fit into (`SIDE`, `SIDE`)."""
    scale = min(1, SIDE / max(picture.size))
    size = [max(1, round(scale * side)) for side in picture.size]
    jpeg = io.BytesIO()
    picture.resize(size, reducing_gap=2.0).save(jpeg, format="JPEG", quality=80)
    return jpeg.getvalue()


class KeptThumbnails:
    """Thumbnails in files, each with the time of the picture that it shows. For a gallery at a URI none are kept."""

    def __init__(self, location):
        self.folder = None if is_uri(location) else Path(location) / FOLDER

    def read(self, picture_id, modified):
        """The JPEG bytes of a picture that was changed last at `modified` (ns); None where they are not kept."""
        content = b""
        if self.folder:
            with suppress(OSError), open(self._file(picture_id), "rb") as file:
                content = file.read() if os.fstat(file.fileno()).st_mtime_ns == modified else b""
        return content if content.startswith(_JPEG) else None  # after a power cut it may be empty, or zeros

    def write(self, picture_id, modified, jpeg):
        """Keep the JPEG bytes of a picture; without room or right to write nothing is kept."""
        if self.folder:
            with suppress(OSError), whole_file(self._file(picture_id), fsync=lambda _: None) as part:
                part.write_bytes(jpeg)
                os.utime(part, ns=(modified, modified))

    def delete(self, ids):
        """Delete the thumbnails of pictures."""
        for one in ids if self.folder else ():
            with suppress(OSError):
                self._file(one).unlink()

    def _file(self, picture_id):
        return self.folder / picture_id[:2] / f"{picture_id}.jpg"
