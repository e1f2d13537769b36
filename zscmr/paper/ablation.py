"""The ablation as bars, as in the paper's slides: published ones and measured ones side by side."""

import textwrap

from zscmr.evaluation.embeddings import INITIALS
from zscmr.reports.fonts import legible, look
from zscmr.reports.plots import save_figure

COLOURS = {"sketch->image": "#2b6ca3", "image->sketch": "#e0893b"}


def draw_ablation(table, path, warning=""):
    """Write a PNG of an ablation `PaperTable`: a panel per dataset, bars grouped by row, whiskers over the seeds."""
    from matplotlib.figure import Figure

    names = [name.removesuffix(": S→I") for name in table.columns if name.endswith(": S→I")]
    figure = Figure(figsize=(max(4.6 * len(names), 6.5), 4.4), dpi=110, layout="constrained")
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for panel, name in zip(panels, names, strict=True):
        for number, (direction, colour) in enumerate(COLOURS.items()):
            column = f"{name}: {INITIALS[direction]}"
            values = {group: cells[column] for group, cells in enumerate(table.rows.values()) if column in cells}
            bars(panel, number, values, colour, direction.replace("->", "→"))
        above = legible(title(name, next(iter(values.values()))))
        panel.set_title(above, fontsize=10, **look(above))
        panel.set_xticks(range(len(table.rows)), [textwrap.fill(row, 14) for row in table.rows], fontsize=8)
        panel.spines[["top", "right"]].set_visible(False)
        panel.margins(y=0.25)  # room for the legend above the bars
    panels[0].set_ylabel("mAP@all, unseen classes")
    panels[0].legend(frameon=False, loc="upper left", fontsize=9)
    if warning:
        warning = legible(warning)
        figure.suptitle(warning, fontsize=9, **look(warning))
    save_figure(figure, path)


def bars(panel, number, values, colour, label):
    """Bars of {group: Value}, the `number`-th of two in each group, numbers above them; published bars are hatched."""
    positions = [group + 0.4 * (number - 0.5) for group in values]
    heights = [value.mean for value in values.values()]
    whiskers = [value.deviation or 0 for value in values.values()]
    published = next(iter(values.values())).ground is None
    look = {"alpha": 0.55, "hatch": "//"} if published else {}
    panel.bar(positions, heights, 0.38, color=colour, edgecolor="white", label=label, **look)
    if any(whiskers):
        panel.errorbar(positions, heights, whiskers, fmt="none", ecolor="black", capsize=3, lw=1)
    for x, value, whisker in zip(positions, values.values(), whiskers, strict=True):
        text = f"{value.mean:.{value.digits}f}".removeprefix("0")
        panel.annotate(text, (x, value.mean + whisker), (0, 2), textcoords="offset points", ha="center", fontsize=7)


def title(name, value):
    """Above a panel: what its bars were measured on, or that they are published."""
    if value.ground is None:
        return name
    ground, count = value.ground, len(value.numbers)
    seeds = f"{count} seeds" if count > 1 else "1 seed"
    parts = [ground.backbone, seeds, *["not comparable"] * bool(ground.differences)]
    return f"{ground.name}, {ground.list_name}\n{', '.join(parts)} {value.marks}".rstrip()
