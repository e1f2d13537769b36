"""Pictures of every colour mode as 8-bit RGB, as a person would see them.

Profiles are not applied: a picture in a wide gamut looks a little paler to the CNN than to a person.
"""

import numpy as np
from PIL import Image, ImageCms

_SAMPLE = 2**20  # pixels from which percentiles are taken
_WHOLE, _FLOAT = [2**bits - 1 for bits in (8, 10, 12, 14, 16)], [1, 255]  # white in usual files
_ALPHA = ("RGBA", "LA", "PA", "La", "RGBa")


def is_deep(picture):
    """Whether the greys of a PIL image have more than 8 bits."""
    return picture.mode.startswith("I;16") or picture.mode in ("I", "F")


def is_transparent(picture):
    """Whether a PIL image has transparent pixels, or may have."""
    return picture.mode in _ALPHA or "transparency" in picture.info


def to_rgb(picture):
    """The PIL image in RGB; what is transparent becomes white."""
    if is_deep(picture):
        return _from_greys(picture)
    if picture.mode == "LAB":
        profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(picture, *profiles, outputMode="RGB")
    if is_transparent(picture):
        return _on_white(picture)
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def _from_greys(picture):
    greys = np.asarray(picture, dtype=np.float64)
    transparent = greys == picture.info["transparency"] if is_transparent(picture) else None
    greys = scaled_greys(greys, _WHOLE if picture.mode.startswith("I") else _FLOAT)
    if picture.info.get("white_is_zero"):
        greys = 255 - greys
    if transparent is not None:
        greys[transparent] = 255
    return Image.fromarray(greys).convert("RGB")


def scaled_greys(greys, scales):
    """Greys (h, w) float64 of any range as uint8; the array is overwritten.

    White is the least of the ascending `scales` that the 99.9th percentile does not pass, if it is at least a sixteenth
    of it: 12 bits are often stored in 16. Where values are negative or no scale fits, the 0.1th and the 99.9th
    percentile become black and white. Values outside are clipped; NaN becomes black.
    """
    finite = np.isfinite(greys)
    least, most = greys.min(where=finite, initial=np.inf), greys.max(where=finite, initial=-np.inf)
    if least > most:  # no finite value
        return np.zeros(greys.shape, np.uint8)
    sample = np.s_[:: greys.size // _SAMPLE + 1]
    values = greys.ravel()[sample][finite.ravel()[sample]]
    low, high = np.percentile(values, (0.1, 99.9)) if values.size else (least, most)
    scale = next((scale for scale in scales if scale / 16 <= high <= scale), None)
    if low >= 0 and scale:
        low, high = 0, scale
    elif low == high:  # thin strokes on plain paper
        low, high = least, most
    if low == high:
        low, high = min(low, 0), max(high, 1)
    greys[np.isnan(greys)] = low
    greys.clip(low, high, out=greys)
    if low:
        greys -= low
    greys *= 255 / (high - low)
    return greys.astype(np.uint8)


def _on_white(picture):
    """A picture with transparent pixels on white.

    One that is transparent everywhere is shown without its alpha channel, unless it has one colour only: programs
    that do not know of alpha leave it at zero. Alpha of 0 and 1 only counts as 0 and 255.
    """
    picture = picture.convert("LA") if picture.mode == "La" else picture
    picture = picture if picture.mode == "RGBA" else picture.convert("RGBA")
    *colours, (_, most) = picture.getextrema()
    if most == 0 and any(low < high for low, high in colours):
        return picture.convert("RGB")
    if most == 1:
        picture.putalpha(picture.getchannel("A").point(lambda alpha: 255 * alpha))
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
