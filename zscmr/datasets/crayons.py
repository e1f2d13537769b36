"""Colours of photos and of drawings in flat colours, as shares of twelve crayons; the lines of such drawings.

Only what was drawn with a program on white has colours. A pen on paper, a scan and a board have none: the colour of
their ink says nothing about the thing.
"""

import numpy as np
from PIL import Image
from scipy import ndimage

#: sRGB; the first are no colours of a drawing, the others and black are the pens of the page
CRAYONS = np.array(
    [
        (0, 0, 0),
        (128, 128, 128),
        (255, 255, 255),
        (200, 30, 30),
        (240, 140, 30),
        (240, 220, 50),
        (60, 150, 50),
        (60, 190, 220),
        (40, 70, 190),
        (120, 50, 150),
        (240, 150, 180),
        (120, 75, 40),
    ],
    np.uint8,
)
GREYS = 3  # of them that are no colours
SIDE, MIDDLE = 64, slice(12, 52)  # pixels of a photo's small copy, and the part of it that counts
SOFT = 18.0  # CIELAB units within which crayons share a colour
LARGEST = 1536  # pixels of a drawing's side
PAPER, INK, DARK = 248, 200, 100  # the least channel of paper is at least, of ink below; the greatest of dark ink below
PART = 0.05  # least share of the ink in a colour that is no smooth edge
COLOURS = 2**14  # different colours of a drawing with smooth edges at most; a photo has more
FLAT = 16  # different colours in which half of the ink is drawn
PEN = 0.02  # half the width of a line at most, as a share of the longer side; what is wider is an area
OUTLINE = 0.012  # width of an area's outline, the same
SPAN = 0.5  # least share of the drawing's box that lines span where areas only fill them


def photo_colours(picture):
    """Shares (12,) float32 of the crayons in the middle of a photo, a PIL image in RGB."""
    small = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=2.0))
    squares = _squares(small[MIDDLE, MIDDLE].reshape(-1, 3))
    weights = np.exp((squares.min(1, keepdims=True) - squares) / (2 * SOFT**2))
    return (weights / weights.sum(1, keepdims=True)).mean(0).astype(np.float32)


def drawing_colours(picture):
    """Shares (12,) float32 of the crayons in a drawing's coloured parts and what they enclose; None without colours.

    `picture`: PIL image in RGB.
    """
    areas = np.zeros(len(CRAYONS), np.float32)
    for crayon, mask in _coloured(picture).items():
        areas[crayon] = ndimage.binary_fill_holes(mask).sum()
    return areas / areas.sum() if areas.any() else None


def drawing_lines(picture):
    """Lines (h, w) uint8, black on white, of a drawing in flat colours; None for any other picture.

    Lines of every colour count. Areas fill them where the lines span most of the drawing; else their outlines count
    too. Without areas the smooth edges of lines stay.

    Args:
        picture: PIL image in RGB.
    """
    coloured = _coloured(picture)
    if not coloured:
        return None
    pixels = np.asarray(picture)
    dark, least = pixels.max(2) < DARK, pixels.min(2)
    pen, outline = (max(2, round(share * max(picture.size))) for share in (PEN, OUTLINE))
    lines, outlines = dark.copy(), np.zeros_like(dark)
    for mask in coloured.values():
        area = mask & ndimage.maximum_filter(ndimage.minimum_filter(mask | dark, 2 * pen + 1), 4 * pen + 1)
        lines |= mask & ~area
        outlines |= area & ~ndimage.minimum_filter(area, 2 * outline + 1)
    if not outlines.any():
        solid = [mask for mask in coloured.values() if mask.sum() > PART * (least < INK).sum()]
        return np.where(np.any([dark, *solid], 0), np.uint8(0), least)
    if _box_area(lines) < SPAN * _box_area(least < INK):
        lines |= outlines
    return np.where(lines, np.uint8(0), np.uint8(255))


def colour_differences(photos, drawing):
    """Half the L1 distance (n,), 0 to 1, of the shares (n, 12) of photos from those of a drawing (12,)."""
    return 0.5 * np.abs(photos - drawing).sum(1)


def _coloured(picture):
    """{crayon: mask (h, w)} of a drawing in flat colours on white; empty for any other picture."""
    counted = picture.getcolors(COLOURS) if max(picture.size) <= LARGEST else None
    if not counted:
        return {}
    counts, colours = (np.array(part) for part in zip(*sorted(counted, reverse=True), strict=True))
    paper = (colours >= PAPER).all(1)
    ink, flat = colours[~paper][:FLAT], counts[~paper][:FLAT]
    if not paper[0] or 2 * flat.sum() < counts[~paper].sum():
        return {}
    nearest, codes = _squares(ink).argmin(1), _codes(np.asarray(picture))
    nearest[ink.max(1) < DARK] = 0
    return {
        int(crayon): np.isin(codes, _codes(ink[nearest == crayon])) for crayon in np.unique(nearest[nearest >= GREYS])
    }


def _codes(colours):
    """A number (…,) for each colour (…, 3) uint8."""
    return colours.astype(np.int32) @ np.array([65536, 256, 1], np.int32)


def _box_area(mask):
    """Pixels of the box around the true ones of a mask (h, w)."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int((rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)) if len(rows) else 0


def _squares(colours):
    """Squared differences (n, 12) in CIELAB of colours (n, 3) from the crayons; lightness counts less than hue."""
    return ((_lab(colours)[:, None] - _lab(CRAYONS)) ** 2 * [0.35, 1, 1]).sum(2)


def _lab(colours):
    """CIELAB (n, 3) under D65 of sRGB colours (n, 3)."""
    linear = np.asarray(colours) / 255
    linear = np.where(linear > 0.04045, ((linear + 0.055) / 1.055) ** 2.4, linear / 12.92)
    xyz = linear @ np.array([[0.4124, 0.2126, 0.0193], [0.3576, 0.7152, 0.1192], [0.1805, 0.0722, 0.9505]])
    ratio = xyz / [0.9505, 1, 1.089]
    root = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    return np.stack([116 * root[:, 1] - 16, 500 * (root[:, 0] - root[:, 1]), 200 * (root[:, 1] - root[:, 2])], 1)
