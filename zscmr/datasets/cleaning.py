"""A picture of a drawing as dark strokes on white, whatever it was drawn with and on.

Paper, boards, coloured pens, transparent sheets, scans and phone photos become what the sketches of the training data
are. A drawing that is dark on white already passes unchanged. Not for photos of things.
"""

import numpy as np
from PIL import Image, ImageChops, ImageFilter
from scipy import ndimage

from zscmr.datasets.crayons import drawing_colours, drawing_lines

WORKING_SIDE = 1536  # pixels of the longer side at which colours are compared
MASK_SIDE = 768  # the same, at which specks, stripes and frames are looked for
GROUND_SIDE = 192  # the same, at which paper and light are estimated
WHITE, BLACK = 248, 96  # grey values of a clean drawing: paper at least, strokes at most
INK = 191  # grey values below belong to the strokes of a clean drawing
LEAST_SIDE = 200  # pixels of a picture in which specks can be told from dots of the drawing
SPECK, LONG = 0.015, 0.03  # of the picture's longer side: largest extent of a speck, least one of a stroke
MOST_PARTS = 2000  # of the ink; more are texture, in which no specks are told apart
FAINT = 0.035  # least contrast of a stroke with the ground next to it; black on white has 1
NOISE = 4.0  # least contrast of a stroke in units of the ground's noise
TEXTURE = 0.12  # noise from which on the picture shows no sheet, such as a photo given as a drawing
PHOTO_SIDE = 48  # pixels of the longer side at which `looks_like_photo` works
COLOURS = 0.006  # least standard deviation of a photo's colours about the line that fits them best
OFF, EDGES = 0.05, 0.05  # least shares of a colour photo: pixels that differ from the sheet's light; edge pixels
GREY_OFF, GREY_EDGES = 0.6, 0.4  # the same for a grey photo
EDGE = 0.04  # least difference of neighbouring greys at an edge, 0 to 1
BYTES = 120  # memory for each pixel of the working copy
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


class NoStrokes(OSError):
    """The picture has no strokes: it is blank, or of one colour."""

    def __init__(self):
        super().__init__("no strokes in it: a blank sheet")


def clean_drawing(picture):
    """Return a PIL image of mode "L", dark strokes on white, and the box of its strokes (left, top, right, bottom).

    A picture larger than `WORKING_SIDE` that is not clean is returned cut to its strokes, at the stored resolution up
    to that size. Raises NoStrokes.

    Args:
        picture: PIL image of any 8-bit mode, with or without transparency.
    """
    opaque = on_ground(picture)
    grey = as_grey(opaque)
    if grey is not None and is_clean(grey):
        return without_specks(np.asarray(grey))
    if grey is None and (lines := drawing_lines(opaque)) is not None:
        return without_specks(lines)
    reduced = reduce(opaque)
    strokes, box = blacken(np.asarray(reduced))
    scale = opaque.width / reduced.width
    if scale > 1:
        margin = 0.25 * max(box[2] - box[0], box[3] - box[1])
        left, top = (max(round((box[k] - margin) * scale), 0) for k in (0, 1))
        right = min(round((box[2] + margin) * scale), opaque.width)
        bottom = min(round((box[3] + margin) * scale), opaque.height)
        part = reduce(opaque.crop((left, top, right, bottom)))
        if part.width > 1.1 * (right - left) / scale:  # the part is seen in more detail than the sheet was
            strokes, box = blacken(np.asarray(part))
    return Image.fromarray(strokes), box


class DrawingNotes:
    """A `notice` of `Reading` that keeps what is known of files given as sketches.

    Args:
        kind: what the files are; of photos nothing is noted.

    Attributes:
        photos: files that look like photos.
        colours: {file: shares (12,) of the crayons} of drawings in colours.
    """

    def __init__(self, kind):
        self.kind, self.photos, self.colours = kind, [], {}

    def __call__(self, file, picture):
        self.note_colours(file, picture)
        if self.kind == "sketch" and file not in self.colours and looks_like_photo(picture):
            self.photos.append(file)

    def note_colours(self, file, picture):
        """A `notice` that leaves `photos` empty."""
        if self.kind == "sketch":
            opaque = on_ground(picture)
            shares = drawing_colours(opaque) if as_grey(opaque) is None else None
            if shares is not None:
                self.colours[file] = shares


def looks_like_photo(picture):
    """Whether a picture is a photo of things, not a drawing or a photo of one.

    The colours of a drawing by one pen on one ground lie on a line, and most of its greys are the light of a sheet.
    Drawings in several colours look like photos. Grey photos with a plain ground do not.

    Args:
        picture: PIL image of any 8-bit mode, with or without transparency.
    """
    small = reduce(on_ground(picture).convert("RGB"), PHOTO_SIDE)
    if min(small.size) < 3:
        return False
    small = Image.fromarray(inside_sheet(np.asarray(small)))
    pixels = np.asarray(small, np.float32) / 255
    grey = pixels @ _LUMINANCE
    across, down = np.abs(np.diff(grey, axis=1))[:-1], np.abs(np.diff(grey, axis=0))[:, :-1]
    edges = np.mean(np.maximum(across, down) > EDGE)
    if edges <= EDGES:
        return False
    window = round(PHOTO_SIDE / 6) | 1
    light = light_of(np.asarray(small.convert("L").filter(ImageFilter.MedianFilter(window)), np.float32) / 255)
    off = np.mean(np.abs(grey - light) > 0.1 * np.maximum(light, 0.25))
    if off > GREY_OFF and edges > GREY_EDGES:
        return True
    return bool(off > OFF and _spread_of_colours(pixels) > COLOURS)


def _spread_of_colours(pixels):
    """Standard deviation of the colours (h, w, 3) without brightness, about the line that fits them best."""
    colours = (pixels - pixels.mean(2, keepdims=True)).reshape(-1, 3)
    colours = colours - colours.mean(0)
    variances = np.linalg.eigvalsh(colours.T @ colours / len(colours))  # ascending; the first is of the brightness: 0
    return np.sqrt(max(variances[1], 0))


def on_ground(picture):
    """The picture in L or RGB: what is transparent becomes white, or black where the strokes are light."""
    if picture.mode not in ("RGBA", "LA", "PA", "La", "RGBa") and "transparency" not in picture.info:
        return picture if picture.mode in ("L", "RGB") else picture.convert("RGB")
    picture = picture.convert("RGBA")
    small = np.asarray(reduce(picture, GROUND_SIDE), np.float32)
    alpha = small[..., 3] / 255
    if not alpha.any():  # programs that know no alpha leave it at zero
        return picture.convert("RGB")
    light = float((small[..., :3] @ _LUMINANCE * alpha).sum() / alpha.sum())
    ground = "black" if light > 140 and alpha.mean() < 0.5 else "white"
    return Image.alpha_composite(Image.new("RGBA", picture.size, ground), picture).convert("RGB")


def as_grey(picture):
    """A picture without colour as PIL image of mode "L", else None."""
    if picture.mode == "L":
        return picture
    red, green, blue = picture.split()
    if any(ImageChops.difference(red, channel).getextrema()[1] > 3 for channel in (green, blue)):
        return None
    return picture.convert("L")


def is_clean(grey):
    """Whether a grey picture shows dark strokes on white already, with little between the two."""
    counts = grey.histogram()
    paper, ink, pixels = sum(counts[WHITE:]), sum(counts[:BLACK]), sum(counts)
    between = pixels - paper - ink
    return paper >= pixels / 2 and ink > 0 and between <= 4 * ink + 0.002 * pixels


def without_specks(grey):
    """A clean drawing (h, w) uint8 with specks, stripes and a frame painted white; and the box of its strokes."""
    mask = grey < INK
    strokes = keep_strokes(mask)
    if strokes is mask:
        return Image.fromarray(grey), box_of(mask)
    dropped = ndimage.binary_dilation(mask & ~strokes, iterations=2)
    return Image.fromarray(np.where(dropped, np.uint8(255), grey)), box_of(strokes)


def box_of(mask):
    """(left, top, right, bottom) of the true pixels of a mask (h, w)."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def reduce(picture, side=WORKING_SIDE):
    """The picture scaled down to a longer side of at most `side` pixels."""
    scale = side / max(picture.size)
    if scale >= 1:
        return picture
    width, height = (max(round(length * scale), 1) for length in picture.size)
    return picture.resize((width, height), Image.Resampling.BOX, reducing_gap=2.0)


def blacken(array):
    """Strokes (h, w) uint8, black on white, of a picture (h, w) or (h, w, 3) uint8; and their box. Raises NoStrokes."""
    contrast = contrast_of(inside_sheet(array))
    middle = np.median(contrast)
    noise = middle + 1.4826 * np.median(np.abs(contrast - middle))
    least = max(FAINT, NOISE * noise) if noise < TEXTURE else 0.5 * np.quantile(contrast, 0.99)
    mask = contrast > least
    if not mask.any() or (peak := np.quantile(contrast[mask], 0.9)) < 1.5 * FAINT:
        raise NoStrokes
    mask = contrast > max(least, 0.5 * peak)
    if not mask.any():
        raise NoStrokes
    strokes = keep_strokes(mask)
    low = min(max(2 * noise, 0.25 * peak), 0.6 * peak)
    darkness = np.clip((contrast - low) / (0.85 * peak - low), 0, 1)
    # what is neither a stroke nor next to one is noise of the ground
    darkness[~ndimage.binary_dilation(strokes, iterations=max(2, round(max(mask.shape) / 200)))] = 0
    if strokes is not mask:
        darkness[ndimage.binary_dilation(mask & ~strokes, iterations=3)] = 0
    return (255 * (1 - darkness)).astype(np.uint8), box_of(strokes)


def contrast_of(array):
    """Contrast (h, w) float32 of each pixel with the ground next to it: the largest of its colours, relative."""
    pixels = array.astype(np.float32).reshape(*array.shape[:2], -1) / 255
    contrast = np.zeros(array.shape[:2], np.float32)
    for channel in range(pixels.shape[2]):
        ground = ground_of(pixels[..., channel])
        light = np.maximum(ground, 0.25)  # the little light of a board does not multiply its noise
        np.maximum(contrast, np.abs(pixels[..., channel] - ground) / light, out=contrast)
    return contrast


def ground_of(plane):
    """The paper or board (h, w) float32 under one colour: medians of a small copy, in which no stroke is left.

    Filled shapes leave their own colour in the medians; there the light of the whole sheet goes on.
    """
    height, width = plane.shape
    small = np.asarray(reduce(Image.fromarray(plane), GROUND_SIDE))
    window = max(3, round(max(small.shape) / 6)) | 1
    ground = ndimage.median_filter(small, window, mode="nearest")
    light = light_of(ground)
    labels, count = ndimage.label(np.abs(ground - light) > 0.1 * np.maximum(light, 0.25))
    edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    shares = ndimage.sum_labels(np.ones_like(labels), labels, range(count + 1)) / labels.size
    filled = np.array([number > 0 and share < (0.12 if number in edge else 0.4) for number, share in enumerate(shares)])
    ground = np.where(filled[labels], light, ground)
    ground = ndimage.gaussian_filter(ground, window / 4, mode="nearest")
    return np.asarray(Image.fromarray(ground).resize((width, height), Image.Resampling.BILINEAR))


def light_of(ground):
    """The light (h, w) float32 on a sheet: a surface of second degree through most of the greys `ground`."""
    rows, columns = np.meshgrid(*(np.linspace(-1, 1, length) for length in ground.shape), indexing="ij")
    terms = np.stack([np.ones_like(rows), rows, columns, rows * columns, rows**2, columns**2], -1).reshape(-1, 6)
    values = ground.ravel()
    near = np.abs(values - np.median(values)) <= 1.5 * np.median(np.abs(values - np.median(values))) + 0.02
    for _ in range(4):
        part = terms[near].T  # the normal equations: the rows' own decomposition takes threads and 5 ms
        light = terms @ np.linalg.lstsq(part @ part.T, part @ values[near], rcond=None)[0]
        near = np.abs(values - light) <= 2 * np.median(np.abs(values - light)) + 0.02
    return light.reshape(ground.shape).astype(np.float32)


def inside_sheet(array):
    """The picture; if it shows a light sheet on something darker, the colours of the sheet's edge go on outside it."""
    image = Image.fromarray(array)
    small = reduce(image, GROUND_SIDE)
    grey = np.asarray(small.convert("L"), np.float32)
    if min(grey.shape) < 24:
        return array
    ground = ndimage.median_filter(grey, max(3, round(max(grey.shape) / 24)) | 1, mode="nearest")
    sheet = sheet_of(ground)
    if sheet is None:
        return array
    nearest = ndimage.distance_transform_edt(~sheet, return_distances=False, return_indices=True)
    outside = Image.fromarray(np.asarray(small)[tuple(nearest)]).resize(image.size, Image.Resampling.BILINEAR)
    mask = Image.fromarray(sheet).convert("L").resize(image.size, Image.Resampling.NEAREST)
    return np.asarray(Image.composite(image, outside, mask))


def sheet_of(ground):
    """Mask (h, w) of a sheet of paper in the smoothed greys of a picture, None if it fills the picture.

    A sheet is the largest light part; it fills most of its box, has a sharp edge, and what is darker reaches most of
    the picture's edge.
    """
    light = ground > threshold_of(ground)
    if not 0.1 < light.mean() < 0.93:
        return None
    difference = np.median(ground[light]) - np.median(ground[~light])
    if difference < 40:
        return None
    labels, count = ndimage.label(light)
    largest = 1 + np.argmax(ndimage.sum_labels(light, labels, range(1, count + 1)))
    sheet = ndimage.binary_fill_holes(labels == largest)
    left, top, right, bottom = box_of(sheet)
    edge = np.concatenate([sheet[0], sheet[-1], sheet[:, 0], sheet[:, -1]])
    if sheet.mean() < 0.1 or sheet.sum() < 0.55 * (right - left) * (bottom - top) or edge.mean() > 0.7:
        return None
    margin = max(2, round(max(sheet.shape) / 64))
    outer = ndimage.binary_dilation(sheet, iterations=margin) & ~sheet
    inner = ndimage.binary_erosion(sheet, iterations=margin, border_value=1)
    if np.median(ground[sheet & ~inner]) - np.median(ground[outer]) < difference / 2:  # light that falls off
        return None
    return inner if inner.any() else None


def threshold_of(values):
    """The threshold that parts values into two groups of least variance (Otsu 1979)."""
    counts, edges = np.histogram(values, 128)
    if np.count_nonzero(counts) < 2:
        return edges[-1]
    middles = (edges[:-1] + edges[1:]) / 2
    below, sums = np.cumsum(counts), np.cumsum(counts * middles)
    total = below[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (sums[-1] * below / total - sums) ** 2 / (below * (total - below))
    return middles[np.nanargmax(between)]


def keep_strokes(mask):
    """The ink (h, w) bool without specks, stripes along an edge, and a frame; `mask` itself if there are none."""
    height, width = mask.shape
    if min(mask.shape) < LEAST_SIDE:
        return mask
    small = np.asarray(reduce(Image.fromarray(mask * np.uint8(255)), MASK_SIDE)) > 0
    reach = max(1, round(max(small.shape) / 128))  # pixels: parts this near to each other are one
    labels, count = ndimage.label(ndimage.binary_dilation(small, iterations=reach))
    if count > MOST_PARTS:
        return mask
    parts = [
        Part(small[box] & (labels[box] == number), box) for number, box in enumerate(ndimage.find_objects(labels), 1)
    ]
    gone = [part.is_stripe(small.shape) or part.is_frame(small.shape) for part in parts]
    rest = [part for part, drop in zip(parts, gone, strict=True) if not drop]
    if not rest:
        return mask
    longer = max(small.shape)
    drawing = [part for part in rest if part.extent > LONG * longer] or [max(rest, key=lambda part: part.area)]
    top, left = (min(part.start[axis] for part in drawing) for axis in (0, 1))
    bottom, right = (max(part.stop[axis] for part in drawing) for axis in (0, 1))
    near = 0.15 * max(bottom - top, right - left)
    for number, part in enumerate(parts):
        y, x = ((part.start[axis] + part.stop[axis]) / 2 for axis in (0, 1))
        inside = top - near <= y <= bottom + near and left - near <= x <= right + near
        gone[number] |= not inside and part.extent <= SPECK * longer + 1
    if not any(gone):
        return mask
    dropped = np.array([False, *gone])[labels]
    dropped = np.asarray(Image.fromarray(dropped * np.uint8(255)).resize((width, height), Image.Resampling.NEAREST)) > 0
    return mask & ~dropped


class Part:
    """A connected part of the ink: its pixels within its box."""

    def __init__(self, pixels, box):
        rows, columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
        self.area = int(pixels.sum())
        self.pixels = pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        self.start = box[0].start + int(rows[0]), box[1].start + int(columns[0])
        self.stop = self.start[0] + self.pixels.shape[0], self.start[1] + self.pixels.shape[1]

    @property
    def height(self):
        return self.pixels.shape[0]

    @property
    def width(self):
        return self.pixels.shape[1]

    @property
    def extent(self):
        return max(self.pixels.shape)

    def is_stripe(self, shape):
        """Whether it lies along an edge of the picture: a scanner's lid, the edge of a shadow."""
        touches = min(self.start) <= 1 or self.stop[0] >= shape[0] - 1 or self.stop[1] >= shape[1] - 1
        tall = self.height > 0.3 * shape[0] and self.width < 0.06 * shape[1]
        wide = self.width > 0.3 * shape[1] and self.height < 0.06 * shape[0]
        return touches and (tall or wide)

    def is_frame(self, shape):
        """Whether it goes round the picture, with nothing within."""
        if self.height < 0.85 * shape[0] or self.width < 0.85 * shape[1]:
            return False
        edge = 2 * max(2, round(0.02 * max(shape)))
        inner = self.pixels[edge:-edge, edge:-edge]
        return bool(inner.size) and inner.sum() < 0.02 * self.area
