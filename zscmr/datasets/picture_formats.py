"""The picture formats that can be read: their file names, their first bytes, and what opens them.

To add one: its suffixes in `_READ` or `_OPTIONAL`, its first bytes in `_SIGNATURES`, its reader in `_opener`, and what
docs/extend.md names. The first bytes of a file give its format. `PIL.Image.open` would also try what other packages
have registered, would take a JPEG with several frames for another format, and would judge a picture by the pixels
stored, not by those decoded of it.
"""

import io
import struct
import warnings
import zlib
from functools import cache
from importlib.util import find_spec

from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
    features,
)

#: suffixes of each format that Pillow always reads, in small letters
_READ = {
    "JPEG": ".jpg .jpeg .jpe .jfif .jfi .jif .pjpeg .pjpg .pjp .mpo",
    "PNG": ".png .apng",
    "BMP": ".bmp .dib",
    "GIF": ".gif",
    "WebP": ".webp",
    "TIFF": ".tif .tiff",
}
#: formats that are read where what `INSTALL` names is installed
_OPTIONAL = {"AVIF": ".avif .avifs", "HEIC": ".heic .heics .heif .heifs .hif"}
INSTALL = {"AVIF": "python -m pip install --upgrade pillow", "HEIC": "python -m pip install pillow-heif"}
_NEVER = {
    "RAW": ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .fff .gpr .iiq .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf .raw "
    ".rw2 .rwl .sr2 .srf .srw .x3f",
    "Photoshop": ".psd .psb",
    "GIMP": ".xcf",
    "Krita": ".kra",
    "Procreate": ".procreate",
    "SVG": ".svg .svgz",
    "PostScript": ".eps .ps .ai",
    "Windows metafile": ".wmf .emf",
    "JPEG 2000": ".jp2 .j2k .j2c .jpc .jpf .jpx",
    "JPEG XL": ".jxl",
    "JPEG XR": ".jxr .wdp .hdp",
    "OpenEXR": ".exr",
    "Radiance": ".hdr",
    "Netpbm": ".pbm .pgm .ppm .pnm",
    "Targa": ".tga",
    "PCX": ".pcx",
    "icon": ".ico .cur .icns",
    "DICOM": ".dcm",
    "FITS": ".fit .fits",
    "DjVu": ".djvu",
}


def can_read(name):
    """Whether the decoder of an optional format, "AVIF" or "HEIC", is installed."""
    return bool(features.check("avif")) if name == "AVIF" else find_spec("pillow_heif") is not None


def _by_suffix(formats):
    return {suffix: name for name, suffixes in formats.items() for suffix in suffixes.split()}


_NOW = _READ | {name: suffixes for name, suffixes in _OPTIONAL.items() if can_read(name)}
#: suffixes of the pictures that can be read, in small letters
SUFFIXES = frozenset(_by_suffix(_NOW))
#: suffix in small letters -> format, of pictures that cannot; `INSTALL` has what to install for some formats
UNREADABLE = _by_suffix({name: suffixes for name, suffixes in (_OPTIONAL | _NEVER).items() if name not in _NOW})

_SIGNATURES = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"BM", "BMP"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"RIFF", "WebP"),
    *((start, "TIFF") for start in (b"II*\0", b"II\0*", b"MM\0*", b"MM*\0", b"II+\0", b"MM\0+")),
)
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
#: bytes that may be read before the pixels: more would be metadata that takes Pillow minutes or gigabytes
_METADATA = {"JPEG": 2**24, "GIF": 2**20, "TIFF": 2**19}
_PHOTOMETRIC = 262  # TIFF tag
_TIFF_CODECS = {
    "raw", "tiff_ccitt", "group3", "group4", "tiff_lzw", "jpeg", "tiff_adobe_deflate", "tiff_deflate", "packbits",
    "lzma", "zstd", "webp",
}  # fmt: skip


def open_header(file):
    """The PIL image of an open binary file, its pixels not decoded yet. Raises an exception for all other files.

    `info["white_is_zero"]` of a TIFF: whether its greys are negative, which Pillow corrects for 8 bits only.
    """
    _silence_pillow()
    start = file.read(64)
    file.seek(0)
    name = _format_of(start)
    if name in _METADATA:
        file = _Limited(file, _METADATA[name])
    picture = _opener(name)(_needed_chunks(file) if name == "PNG" else file)
    if name in _METADATA:
        file.left = None
    if name == "TIFF":
        if picture.info["compression"] not in _TIFF_CODECS:
            raise OSError(f"a TIFF compressed by {picture.info['compression']}")
        picture.info["white_is_zero"] = picture.tag_v2.get(_PHOTOMETRIC) == 0
    return picture


@cache
def _silence_pillow():
    """Ignore Pillow's warnings of damaged metadata: what keeps a picture from being read is an exception."""
    warnings.filterwarnings("ignore", module=r"PIL\.")


def _format_of(start):
    """The format of a file that begins with the bytes `start`. Raises OSError for none that can be read."""
    if not start:
        raise OSError("empty")
    name = next((name for signature, name in _SIGNATURES if start.startswith(signature)), None)
    if start[4:8] == b"ftyp":
        brands = {start[at : at + 4] for at in range(8, min(len(start), int.from_bytes(start[:4], "big")), 4)}
        name = "AVIF" if brands & {b"avif", b"avis"} else "HEIC" if brands & _HEIC_BRANDS else None
    if name is None:
        raise OSError(f"neither {', '.join(_READ)}, AVIF nor HEIC")
    if name in _OPTIONAL and not can_read(name):
        raise OSError(f"{name} is read after: {INSTALL[name]}")
    return name


def _opener(name):
    if name == "HEIC":
        from pillow_heif import HeifImageFile  # optional

        return HeifImageFile
    return {
        "JPEG": JpegImagePlugin.JpegImageFile,
        "PNG": PngImagePlugin.PngImageFile,
        "BMP": BmpImagePlugin.BmpImageFile,
        "GIF": GifImagePlugin.GifImageFile,
        "WebP": WebPImagePlugin.WebPImageFile,
        "TIFF": TiffImagePlugin.TiffImageFile,
        "AVIF": AvifImagePlugin.AvifImageFile,
    }[name]


class _Limited:
    """An open file of which at most `left` bytes may be read, None for any number."""

    def __init__(self, file, left):
        self.file, self.left = file, left

    def read(self, count=-1):
        if self.left is not None:
            if not 0 <= count <= self.left:
                raise OSError("more data before the pixels than a picture needs")
            self.left -= count
        return self.file.read(count)

    def __getattr__(self, name):
        return getattr(self.file, name)


_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_USEFUL = (b"tRNS", b"eXIf")  # transparency, orientation


def _needed_chunks(file):
    """A PNG file in memory, of the chunks that its pixels and its orientation need.

    Pillow refuses a picture for a text or a profile that inflates to more than 1 MB, and for a wrong checksum of any
    chunk. The frames of an animation after the first are left out, as is what follows the end.
    """
    result = io.BytesIO(file.read(8))
    result.seek(0, io.SEEK_END)
    while len(head := file.read(8)) == 8:
        length, name = struct.unpack(">L4s", head)
        if name not in _CRITICAL + _USEFUL:
            file.seek(length + 4, io.SEEK_CUR)
            continue
        content = file.read(length + 4)
        if name in _CRITICAL or content[length:] == struct.pack(">L", zlib.crc32(name + content[:length])):
            result.write(head + content)
        if name == b"IEND":
            break
    result.seek(0)
    return result
