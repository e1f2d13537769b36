"""The picture formats: which file names belong to them, and which of them can be read here."""

from importlib.util import find_spec

from PIL import features

#: suffixes of each format that Pillow reads for us, in small letters
_ALWAYS = {
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
    """Whether pictures of an optional format, "AVIF" or "HEIC", can be read: its decoder is installed."""
    return bool(features.check("avif")) if name == "AVIF" else find_spec("pillow_heif") is not None


def _by_suffix(formats):
    return {suffix: name for name, suffixes in formats.items() for suffix in suffixes.split()}


_READ = _ALWAYS | {name: suffixes for name, suffixes in _OPTIONAL.items() if can_read(name)}
#: suffixes of the pictures that can be read, in small letters
SUFFIXES = frozenset(_by_suffix(_READ))
#: suffix in small letters -> format, of pictures that cannot; `INSTALL` has what to install for some formats
UNREADABLE = _by_suffix({name: suffixes for name, suffixes in (_OPTIONAL | _NEVER).items() if name not in _READ})
