"""Figures as PNG files: curves, bars per class, the map of the space, the confusion matrix.

Each shows the warning of a leak, if there is one.
"""

import colorsys

import numpy as np

from zscmr.evaluation.embeddings import DIRECTIONS
from zscmr.evaluation.metrics import Hits, precision_at, precision_at_recall
from zscmr.evaluation.ranking import first_ranks
from zscmr.evaluation.statistics import interval_of_means, mean
from zscmr.reports.fonts import legible, look
from zscmr.reports.grid import INK, PLURAL, arrow, mark_leak, seen_classes_note
from zscmr.reports.text_tables import ranked_by
from zscmr.reports.tsne import tsne
from zscmr.utils.files import whole_file

RECALLS = np.linspace(0, 1, 21)
DEPTHS = np.unique(np.geomspace(1, 200, 24).round().astype(int))
COLOURS = ("#1f6fb4", "#d9771b", "#2a9d4a", "#8c4fa8")  # one a direction
MAP_POINTS = 800  # of both modalities: exact t-SNE takes a few seconds for as many
LABELLED = 40  # classes whose names have room on the map
NUMBERED = 40  # classes whose shares have room in the confusion matrix
LEADING = 0.2  # inches from line to line of a caption
LETTER = 0.062  # inches of a class name's letter beside the confusion matrix
BAR = 0.8  # inches that its colour bar takes
CAPTIONED = 5.8  # inches that its caption takes
CONFUSED = 10  # nearest pictures of a query whose classes are counted


def curve_points(hits):
    """Precision at recall levels and at depths of each query: a scorer for `scoring.score`."""
    hits = Hits.of(hits)
    at = np.stack([precision_at(hits, k) for k in DEPTHS], axis=1)
    return {"precision at recall": precision_at_recall(hits, RECALLS), "precision at k": at}


def curves(path, points, features, distance, seed=0, rerank=False):
    """Draw precision over recall and over k, a line per direction in its 95 % band over resampled queries.

    Args:
        path: the PNG to write.
        points: {direction: Scores of `curve_points`}.
        features: `Features` of the rows that were ranked.
        distance: what ranked them.
        seed: of the resampling.
        rerank: whether the rankings were re-ranked.
    """
    query_labels = np.concatenate([part.labels for part in points.values()])
    gallery_labels = np.concatenate([features.sides(direction)[1].labels for direction in points])
    note = seen_classes_note(features, queries=query_labels, gallery=gallery_labels)
    caption = f"Mean over the queries, band 95 %; {distance} distance{', re-ranked' * rerank}"
    figure, (left, right) = _panels(2, features, (caption, note))
    for colour, (direction, part) in zip(COLOURS, points.items(), strict=False):
        for axes, x, name in ((left, RECALLS, "precision at recall"), (right, DEPTHS, "precision at k")):
            values = part.values[name]
            if axes is right:  # no rank lies beyond the gallery
                x = DEPTHS[part.gallery >= DEPTHS]
                values = values[:, : len(x)]
            low, high = interval_of_means(values, draws=300, seed=seed)
            axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
            axes.plot(x, values.mean(0), color=colour, label=arrow(direction), linewidth=1.8)
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
    save_figure(figure, path)


def class_bars(path, results, features):
    """Draw the first metric of each class in the first direction, best first."""
    from matplotlib.figure import Figure

    direction, means = next(iter(results["classes"].items()))
    metric = next(iter(results["directions"][direction]))
    names = sorted(means, key=means.get)
    caption = f"{metric} of each class, {arrow(direction)}, {ranked_by(results)} distance; dotted: mean"
    note = seen_classes_note(features, gallery=features.sides(direction)[1].labels)
    captions = caption, note and f"unseen queries; {note}"
    head = _head(features, captions)
    height = 0.6 + 0.2 * len(names) + head
    figure = Figure(figsize=(7.5, height), dpi=130, facecolor="white")
    axes = figure.add_axes((0.25, 0.55 / height, 0.7, 1 - (0.6 + head) / height))
    axes.barh(range(len(names)), [means[name] for name in names], color=COLOURS[0], height=0.7)
    _name_ticks(axes.set_yticks, names)
    overall = mean(list(means.values()), None)
    axes.axvline(overall, color=INK, linewidth=1, linestyle=":")
    axes.set(xlabel=metric, ylim=(-0.6, len(names) - 0.4))
    axes.tick_params(axis="y", length=0, labelsize=8)
    _bare(axes)
    _write_captions(figure, features, captions)
    save_figure(figure, path)


def space_map(path, features, seed=0):
    """Draw the evaluated embeddings in two dimensions, by PCA and by t-SNE: photos as dots, sketches as crosses."""
    per_side = MAP_POINTS // 2
    parts = [
        (items.vectors[rows], items.labels[rows])
        for items in (features.photo, features.sketch)
        for rows in [_spread(items.labels, per_side, np.random.default_rng(seed))]
    ]
    vectors, labels = (np.concatenate(column) for column in zip(*parts, strict=True))
    if vectors.dtype == np.uint8:  # packed codes
        vectors = np.unpackbits(vectors, axis=1)
    photo = np.arange(len(labels)) < len(parts[0][1])
    flat = vectors.astype(np.float64) - vectors.mean(0)
    _, _, axes_of_variance = np.linalg.svd(flat, full_matrices=False)
    pca = flat @ axes_of_variance[:2].T
    note = seen_classes_note(features, photos=labels[photo], sketches=labels[~photo])
    caption = f"{photo.sum()} photos (dots), {(~photo).sum()} sketches (crosses)"
    figure, panels = _panels(2, features, (caption, note), square=True)
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
    save_figure(figure, path)


def _class_colours(count):
    """(count, 3) RGB: hues around the circle, neighbours unlike in lightness, none too pale for white paper."""
    looks = ((0.30, 0.90), (0.52, 0.95), (0.40, 0.55))  # lightness, saturation
    colours = np.array([colorsys.hls_to_rgb(k / count, *looks[k % len(looks)]) for k in range(count)])
    luminance = colours @ [0.2126, 0.7152, 0.0722]
    return colours * np.minimum(1, 0.6 / luminance)[:, None]


def _label(axes, points, which, names, colours):
    """Write each class's name in its colour above its medoid, moved where names would overlap."""
    from matplotlib.patheffects import withStroke

    middles = []
    for label in range(len(names)):
        members = points[which == label]
        middles.append(members[np.linalg.norm(members[:, None] - members, axis=2).sum(1).argmin()])
    for name, colour, (x, y) in zip(names, colours, _apart(np.array(middles), np.ptp(points, axis=0)), strict=True):
        halo = [withStroke(linewidth=2.5, foreground="white")]
        style = {"fontsize": 7.5, "weight": "bold", "color": 0.85 * colour, "path_effects": halo}
        name = legible(name)
        axes.annotate(name, (x, y), (0, 4), textcoords="offset points", ha="center", va="bottom", **style, **look(name))


def _apart(positions, extent):
    """`positions` (n, 2) of labels moved up and down until none overlap."""
    positions = positions / extent
    for _ in range(200):
        gap = positions[:, None] - positions
        close = (np.abs(gap[..., 0]) < 0.13) & (np.abs(gap[..., 1]) < 0.028)
        np.fill_diagonal(close, False)
        if not close.any():
            break
        # of two at the same height, the later one goes up
        up = np.where(gap[..., 1] != 0, np.sign(gap[..., 1]), np.sign(np.subtract.outer(*[np.arange(len(gap))] * 2)))
        positions[:, 1] += 0.004 * (up * close).sum(1)
    return positions * extent


def _spread(labels, count, generator):
    """At most `count` random rows, shared evenly by the classes."""
    turn = np.empty(len(labels))
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        turn[rows] = generator.permutation(len(rows))
    return np.sort(np.lexsort((generator.random(len(labels)), turn))[:count])


def confusion(path, features, distance, direction="sketch->image", rerank=False):
    """Draw the confusion matrix of the nearest pictures: a row per query class, shares in per cent."""
    from matplotlib.figure import Figure

    (queries, gallery), (kind, gallery_kind) = features.sides(direction), DIRECTIONS[direction]
    own_rows = np.arange(len(queries.vectors)) if queries is gallery else None
    order = first_ranks(queries.vectors, gallery.vectors, distance, CONFUSED, own_rows, rerank)
    classes = np.union1d(queries.labels, gallery.labels)
    columns = np.searchsorted(classes, gallery.labels)[order]
    rows = np.searchsorted(classes, queries.labels)
    counts = np.zeros((len(classes), len(classes)))
    np.add.at(counts, (np.repeat(rows, order.shape[1]), columns.ravel()), 1)
    shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    nearby = f"{order.shape[1]} nearest {PLURAL[gallery_kind]}, {distance} distance{', re-ranked' * rerank}"
    note = seen_classes_note(features, queries=queries.labels, gallery=gallery.labels)
    captions = f"{arrow(direction).capitalize()}: classes of the {nearby}", note
    names = [features.class_name(label) for label in classes]
    margin = 0.5 + LETTER * max(map(len, names))  # of the names and the label of their axis
    side = max(CAPTIONED - margin - BAR, 0.24 * len(classes))
    width, height = margin + side + BAR, margin + side + 0.05 + _head(features, captions)
    figure = Figure(figsize=(width, height), dpi=130, facecolor="white")
    axes = figure.add_axes((margin / width, margin / height, side / width, side / height))
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=shares.max())
    if len(classes) <= NUMBERED:
        for row, column in np.argwhere(shares.round() >= 1):
            ink = "white" if shares[row, column] > 0.55 * shares.max() else INK
            axes.text(column, row, f"{shares[row, column]:.0f}", ha="center", va="center", fontsize=6, color=ink)
    _name_ticks(axes.set_xticks, names, rotation=90, fontsize=7)
    _name_ticks(axes.set_yticks, names, fontsize=7)
    axes.set(xlabel=f"class of the retrieved {PLURAL[gallery_kind]}", ylabel=f"class of the {kind}")
    axes.tick_params(length=0)
    bar = figure.colorbar(
        image, cax=figure.add_axes(((margin + side + 0.1) / width, margin / height, 0.12 / width, side / height))
    )
    bar.set_label("% of the retrieved", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    _write_captions(figure, features, captions)
    save_figure(figure, path)


def _name_ticks(set_ticks, names, **style):
    """Class names along an axis, by its `set_xticks` or `set_yticks`."""
    names = [legible(name.replace("_", " ")) for name in names]
    set_ticks(range(len(names)), names, **style, **look("".join(names)))


def _panels(count, features, captions, square=False):
    """A figure with the lines of `captions` and `count` panels side by side."""
    from matplotlib.figure import Figure

    width, height = 5.2 * count, 5.6 if square else 4.4
    figure = Figure(figsize=(width, height), dpi=130, facecolor="white")
    panels = figure.subplots(1, count)
    edge = 0.02 if square else 0.065
    bottom = 0.02 if square else 0.125
    space = 0.04 if square else 0.2
    figure.subplots_adjust(
        left=edge, right=0.985, bottom=bottom, top=1 - (_head(features, captions) + 0.2 * square) / height, wspace=space
    )
    if not square:
        for axes in panels:
            _bare(axes)
    _write_captions(figure, features, captions)
    return figure, panels


def _head(features, captions):
    """Inches that the captions and, where there is one, the warning take."""
    return 0.35 + LEADING * sum(map(bool, captions)) + (0.3 if features.leaked else 0)


def _bare(axes):
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _write_captions(figure, features, captions):
    inch, lines = 1 / figure.get_figheight(), list(filter(None, captions))
    for number, line in enumerate(lines):
        figure.text(0.02, 1 - (0.25 + LEADING * number) * inch, line, fontsize=10, color=INK, va="center")
    mark_leak(figure, features.leaked, inch, 0.42 + LEADING * len(lines))


def save_figure(figure, path):
    """Write a PNG that appears whole."""
    with whole_file(path) as part:
        figure.savefig(part, format="png")
