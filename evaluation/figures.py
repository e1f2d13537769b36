"""All figures, as PNG files: the retrieval grid, curves, bars per class, the map of the space, the confusion matrix.

Whatever was leaked to the embeddings is written on each of them.
"""

import colorsys
import textwrap

import numpy as np

from cli import BadInput, warn, whole_file
from evaluation.metrics import Hits, precision_at, precision_at_recall
from evaluation.ranking import nearest
from evaluation.statistics import mean
from evaluation.tsne import tsne

RIGHT, WRONG = "#2a9d4a", "#d0342c"  # frames of the retrieved photos
INK, GREY, PALE = "#222222", "#777777", "#f1f1ee"
PICTURE_SIDE = 144  # pixels


def retrieval_grid(path, features, distance, seed=0, queries=8, top=10):
    """Draws random sketches, each of another class, with the `top` photos nearest to them; writes a PNG.

    Rows stand in the order of class names. Right classes are framed green, wrong ones red. Where a picture cannot be
    opened its class name stands in a box.
    """
    sketch, photo = features.sketch, features.photo
    if not len(sketch.vectors) or not len(photo.vectors):
        raise BadInput(f"{path}: the figure needs a sketch and a photo of an evaluated class")
    rows = _one_per_class(sketch.labels, queries, np.random.default_rng(seed))
    rows = rows[np.argsort([features.class_name(label).casefold() for label in sketch.labels[rows]], kind="stable")]
    order = nearest(sketch.vectors[rows], photo.vectors, distance, top)
    hits = photo.labels[order] == sketch.labels[rows, None]

    figure, cells = _empty_grid(lines=len(rows), columns=order.shape[1])
    told = (
        f"right class green ({hits.sum()} of {hits.size}), wrong red; {len(photo.vectors)} photos, {distance} distance"
    )
    inch = 1 / figure.get_figheight()
    figure.text(0.02, 1 - 0.22 * inch, "Sketch → image", fontsize=13, weight="bold", color=INK, va="center")
    figure.text(0.02, 1 - 0.45 * inch, told, fontsize=9, color=GREY, va="center")
    _mark_leak(figure, features, inch)
    lost = {"sketch": 0, "photo": 0}
    for line, row in enumerate(rows):
        name = figure.add_subplot(cells[line, 0], frame_on=False, xticks=[], yticks=[])
        words = _wrapped(features.class_name(sketch.labels[row]), 14)
        name.text(0.95, 0.5, words, ha="right", va="center", fontsize=11, weight="bold", color=INK)
        lost["sketch"] += not _draw(figure.add_subplot(cells[line, 1]), features, sketch, row, "#999999")
        for place, found in enumerate(order[line]):
            axes = figure.add_subplot(cells[line, place + 3])
            lost["photo"] += not _draw(axes, features, photo, found, RIGHT if hits[line, place] else WRONG)
            if line == 0:
                axes.set_title(str(place + 1), fontsize=9, color=GREY, pad=5)
    for items, count in ((sketch, lost["sketch"]), (photo, lost["photo"])):
        if count:
            why = f"not found in {items.folder}" if items.folder else f"{items.key} comes without a picture folder"
            warn(f"{path} shows class names in place of {count} pictures: {why}")
    _save(figure, path)


def _empty_grid(lines, columns):
    """A figure and its cells (lines, 3 + columns): class name, query, a gap, photos; room for a title above."""
    from matplotlib.figure import Figure

    columns = max(columns, 5)  # narrower, the title would not fit
    widths = [1.5, 1, 0.25] + [1] * columns
    title, foot = 0.95, 0.2  # inches
    width, height = 0.95 * sum(widths) + 0.1, title + 1.12 * lines + foot
    figure = Figure(figsize=(width, height), dpi=130, facecolor="white")
    margins = {"left": 0.005, "right": 0.995, "bottom": foot / height, "top": 1 - title / height}
    return figure, figure.add_gridspec(lines, len(widths), width_ratios=widths, wspace=0.06, hspace=0.24, **margins)


def _one_per_class(labels, count, generator):
    """Rows of `count` items at most, each of another class, drawn at random."""
    classes = generator.permutation(np.unique(labels))[:count]
    return np.array([generator.choice(np.flatnonzero(labels == label)) for label in classes])


def _draw(axes, features, items, row, frame):
    """One framed picture, a photo with its class under it; False if a box with the class name had to stand in."""
    picture = _picture(items, row)
    name = features.class_name(items.labels[row]).replace("_", " ")
    axes.set(xticks=[], yticks=[], aspect="equal", xlim=(0, 1), ylim=(0, 1))
    if picture is None:
        axes.set_facecolor(PALE)
        axes.text(0.5, 0.5, _wrapped(name, 10), ha="center", va="center", fontsize=8, color=INK)
    else:
        axes.imshow(picture, extent=(0, 1, 0, 1), interpolation="antialiased")
    if picture is not None and items is features.photo:
        axes.set_xlabel(name if len(name) < 18 else name[:16] + "…", fontsize=7, labelpad=3, color=INK)
    for spine in axes.spines.values():
        spine.set(edgecolor=frame, linewidth=2.6 if items is features.photo else 0.8)
    return picture is not None


def _picture(items, row):
    """The picture of one item as an RGB square on white, or None if there is no such file."""
    from PIL import Image, ImageOps

    if items.folder is None or not items.names:
        return None
    try:
        with Image.open(items.folder / items.names[row]) as file:
            picture = file.convert("RGBA")
    except (OSError, SyntaxError):  # missing, no picture, or a broken PNG (Pillow raises SyntaxError for some)
        return None
    white = Image.new("RGBA", picture.size, "white")
    flat = Image.alpha_composite(white, picture).convert("RGB")
    return np.asarray(ImageOps.pad(flat, (PICTURE_SIDE, PICTURE_SIDE), color="white"))


def _wrapped(name, width):
    return textwrap.fill(name.replace("_", " "), width)


RECALLS = np.linspace(0, 1, 21)
DEPTHS = np.unique(np.geomspace(1, 200, 24).round().astype(int))
COLOURS = ("#1f6fb4", "#d9771b", "#2a9d4a", "#8c4fa8")  # one a direction
MAP_POINTS = 800  # of both modalities: exact t-SNE takes a few seconds for as many
LABELLED = 40  # classes whose names have room on the map
NUMBERED = 40  # classes whose shares have room in the confusion matrix
CONFUSED = 10  # nearest photos of a sketch whose classes are counted


def curve_points(hits):
    """What the curves need of each query: a scorer for `knn_eval.score`."""
    hits = Hits.of(hits)
    at = np.stack([precision_at(hits, k) for k in DEPTHS], axis=1)
    return {"precision at recall": precision_at_recall(hits, RECALLS), "precision at k": at}


def curves(path, points, features, distance, seed=0):
    """Precision over recall and over k, a line per direction, each in a band of 95 % over resampled queries.

    `points`: {direction: Scores of `curve_points`}.
    """
    figure, (left, right) = _panels(2, features, f"Mean over the queries, band 95 %; {distance} distance")
    for colour, (direction, part) in zip(COLOURS, points.items(), strict=False):
        for axes, x, name in ((left, RECALLS, "precision at recall"), (right, DEPTHS, "precision at k")):
            values = part.values[name]
            if axes is right:  # no rank lies beyond the gallery
                x = DEPTHS[part.gallery >= DEPTHS]
                values = values[:, : len(x)]
            low, high = _band(values, seed)
            axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
            axes.plot(x, values.mean(0), color=colour, label=direction.replace("->", " → "), linewidth=1.8)
    left.set(xlabel="recall", ylabel="interpolated precision", xlim=(0, 1))
    last = max(2, DEPTHS[max(part.gallery for part in points.values()) >= DEPTHS][-1])
    ticks = [k for k in (1, 10, 100) if 2 * k <= last] + [last]
    right.set(xlabel="k", ylabel="P@k", xscale="log", xlim=(1, last), xticks=ticks)
    right.set_xticks([], minor=True)
    right.set_xticklabels(map(str, ticks))
    for axes in (left, right):
        axes.set_ylim(0, None)
        axes.grid(color="#e4e4e0", linewidth=0.7)
        axes.set_axisbelow(True)
    right.legend(frameon=False, fontsize=9)
    _save(figure, path)


def _band(values, seed, draws=300):
    """95 % interval of the mean of each column of `values` (queries, points)."""
    random, count = np.random.default_rng(seed), len(values)
    means = [np.bincount(random.integers(0, count, count), minlength=count) @ values / count for _ in range(draws)]
    return np.quantile(means, [0.025, 0.975], axis=0)


def class_bars(path, results, features):
    """The first metric of each class in the first direction, best first."""
    from matplotlib.figure import Figure

    direction, means = next(iter(results["classes"].items()))
    metric = next(iter(results["directions"][direction]))
    names = sorted(means, key=means.get)
    height = 0.6 + 0.2 * len(names) + _head(features)
    figure = Figure(figsize=(7.5, height), dpi=130, facecolor="white")
    axes = figure.add_axes((0.25, 0.55 / height, 0.7, 1 - (0.6 + _head(features)) / height))
    axes.barh([name.replace("_", " ") for name in names], [means[name] for name in names], color=COLOURS[0], height=0.7)
    overall = mean(list(means.values()), None)
    axes.axvline(overall, color=INK, linewidth=1, linestyle=":")
    axes.set(xlabel=metric, ylim=(-0.6, len(names) - 0.4))
    axes.tick_params(axis="y", length=0, labelsize=8)
    _bare(axes)
    told = f"{metric} of each class, {direction.replace('->', ' → ')}, {results['distance']} distance; dotted: mean"
    _caption(figure, features, told)
    _save(figure, path)


def space_map(path, features, hamming=False, seed=0):
    """The evaluated embeddings in two dimensions, by PCA and by t-SNE: photos as dots, sketches as crosses."""
    per_side = MAP_POINTS // 2
    parts = [
        (items.vectors[rows], items.labels[rows])
        for items in (features.photo, features.sketch)
        for rows in [_spread(items.labels, per_side, np.random.default_rng(seed))]
    ]
    vectors, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
    if hamming:
        vectors = np.unpackbits(vectors, axis=1)
    photo = np.arange(len(labels)) < len(parts[0][1])
    flat = vectors.astype(np.float64) - vectors.mean(0)
    _, _, axes_of_variance = np.linalg.svd(flat, full_matrices=False)
    pca = flat @ axes_of_variance[:2].T
    figure, panels = _panels(
        2, features, f"{photo.sum()} photos (dots), {(~photo).sum()} sketches (crosses)", square=True
    )
    classes, which = np.unique(labels, return_inverse=True)
    colours = _class_colours(len(classes))
    names = [features.class_name(label).replace("_", " ") for label in classes]
    for axes, points, name in zip(panels, (pca, tsne(vectors)), ("PCA", "t-SNE"), strict=True):
        axes.scatter(*points[photo].T, s=9, c=colours[which[photo]], alpha=0.75, linewidths=0)
        axes.scatter(*points[~photo].T, s=14, c=colours[which[~photo]], alpha=0.75, marker="x", linewidths=0.8)
        if len(classes) <= LABELLED:
            _label(axes, points, which, names, colours)
        axes.set(xticks=[], yticks=[])
        axes.set_title(name, fontsize=10, color=INK)
    _save(figure, path)


def _class_colours(count):
    """(count, 3) RGB: hues around the circle, neighbours unlike in lightness, none too pale for white paper."""
    looks = ((0.30, 0.90), (0.52, 0.95), (0.40, 0.55))  # lightness, saturation
    colours = np.array([colorsys.hls_to_rgb(k / count, *looks[k % len(looks)]) for k in range(count)])
    luminance = colours @ [0.2126, 0.7152, 0.0722]
    return colours * np.minimum(1, 0.6 / luminance)[:, None]


def _label(axes, points, which, names, colours):
    """Each class's name in its colour, above the one of its points that is nearest to all others of them, or as near to
    it as other names leave room."""
    from matplotlib.patheffects import withStroke

    middles = []
    for label in range(len(names)):
        own = points[which == label]
        middles.append(own[np.linalg.norm(own[:, None] - own, axis=2).sum(1).argmin()])
    for name, colour, (x, y) in zip(names, colours, _apart(np.array(middles), np.ptp(points, axis=0)), strict=True):
        halo = [withStroke(linewidth=2.5, foreground="white")]
        look = {"fontsize": 7.5, "weight": "bold", "color": 0.85 * colour, "path_effects": halo}
        axes.annotate(name, (x, y), (0, 4), textcoords="offset points", ha="center", va="bottom", **look)


def _apart(places, extent):
    """`places` (n, 2) pushed up and down until no two labels there lie over each other."""
    places = places / extent
    for _ in range(200):
        gap = places[:, None] - places
        close = (np.abs(gap[..., 0]) < 0.13) & (np.abs(gap[..., 1]) < 0.028)
        np.fill_diagonal(close, False)
        if not close.any():
            break
        # of two at the same height, the later one goes up
        up = np.where(gap[..., 1] != 0, np.sign(gap[..., 1]), np.sign(np.subtract.outer(*[np.arange(len(gap))] * 2)))
        places[:, 1] += 0.004 * (up * close).sum(1)
    return places * extent


def _spread(labels, count, generator):
    """At most `count` rows, drawn so that the classes share them evenly."""
    turn = np.empty(len(labels))
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        turn[rows] = generator.permutation(len(rows))
    return np.sort(np.lexsort((generator.random(len(labels)), turn))[:count])


def confusion(path, features, distance):
    """Which classes the nearest photos of a class's sketches are of: a row per queried class, shares in per cent."""
    from matplotlib.figure import Figure

    sketch, photo = features.sketch, features.photo
    order = nearest(sketch.vectors, photo.vectors, distance, CONFUSED)
    classes = np.union1d(sketch.labels, photo.labels)
    place = np.searchsorted(classes, photo.labels)[order]
    asked = np.searchsorted(classes, sketch.labels)
    counts = np.zeros((len(classes), len(classes)))
    np.add.at(counts, (np.repeat(asked, order.shape[1]), place.ravel()), 1)
    shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    names = [features.class_name(label).replace("_", " ") for label in classes]

    side = max(3.5, 0.24 * len(classes))
    width, height = side + 2.3, side + 1.3 + _head(features)
    figure = Figure(figsize=(width, height), dpi=130, facecolor="white")
    axes = figure.add_axes((1.5 / width, 1.25 / height, side / width, side / height))
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=shares.max())
    if len(classes) <= NUMBERED:
        for row, column in np.argwhere(shares.round() >= 1):
            ink = "white" if shares[row, column] > 0.55 * shares.max() else INK
            axes.text(column, row, f"{shares[row, column]:.0f}", ha="center", va="center", fontsize=6, color=ink)
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.set(xlabel="class of the retrieved photos", ylabel="class of the sketch")
    axes.tick_params(length=0)
    bar = figure.colorbar(
        image, cax=figure.add_axes(((1.6 + side) / width, 1.25 / height, 0.12 / width, side / height))
    )
    bar.set_label("% of the retrieved", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    told = f"Sketch → image: classes of the {order.shape[1]} nearest photos, {distance} distance"
    _caption(figure, features, told)
    _save(figure, path)


def _panels(count, features, told, square=False):
    """A figure with a caption and `count` panels side by side."""
    from matplotlib.figure import Figure

    width, height = 5.2 * count, 5.6 if square else 4.4
    figure = Figure(figsize=(width, height), dpi=130, facecolor="white")
    panels = figure.subplots(1, count)
    edge = 0.02 if square else 0.065
    bottom = 0.02 if square else 0.125
    space = 0.04 if square else 0.2
    figure.subplots_adjust(
        left=edge, right=0.985, bottom=bottom, top=1 - (_head(features) + 0.2 * square) / height, wspace=space
    )
    if not square:
        for axes in panels:
            _bare(axes)
    _caption(figure, features, told)
    return figure, panels


def _head(features):
    """Inches for the caption and, where there is something to warn of, the warning."""
    return 0.85 if features.leaked else 0.55


def _bare(axes):
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _caption(figure, features, told):
    inch = 1 / figure.get_figheight()
    figure.text(0.02, 1 - 0.25 * inch, told, fontsize=10, color=INK, va="center")
    _mark_leak(figure, features, inch)


def _mark_leak(figure, features, inch):
    if features.leaked:
        words = textwrap.shorten(f"WARNING: {features.leaked}", int(14 * figure.get_figwidth()), placeholder=" …")
        figure.text(0.02, 1 - 0.62 * inch, words, fontsize=8.5, color=WRONG, va="center")


def _save(figure, path):
    with whole_file(path) as part:
        figure.savefig(part, format="png")
