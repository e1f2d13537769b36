"""The address of the page as a QR code, for the camera of a phone."""

import io
import sys

from zscmr.utils.processes import missing

BORDER = 2  # modules of white around it
_HALVES = " ▄▀█"  # of two rows in one of text: neither light, the lower one, the upper one, both


def qr_svg(url):
    """The bytes of an SVG image. Raises BadInput where segno is missing."""
    image = io.BytesIO()
    _code(url).save(image, kind="svg", scale=8, border=BORDER, light="white")
    return image.getvalue()


def qr_text(url):
    """Lines of blocks for a dark terminal; cameras read them on a light one too. Raises BadInput as `qr_svg`."""
    light = [[not dark for dark in row] for row in _code(url).matrix_iter(border=BORDER)]
    light += [[False] * len(light[0])] * (len(light) % 2)
    pairs = zip(light[::2], light[1::2], strict=True)
    return "\n".join("".join(_HALVES[2 * up + down] for up, down in zip(*rows, strict=True)) for rows in pairs)


def shows_codes(stream=None):
    """Whether `qr_text` can be read on a stream, standard output if left out: a terminal of Unicode."""
    stream = stream or sys.stdout
    return stream.isatty() and (stream.encoding or "").lower().startswith("utf")


def _code(url):
    try:
        import segno
    except ImportError as error:
        raise missing("segno, which makes QR codes,", "phone", error) from error
    return segno.make(url, error="l", micro=False)
