"""The ablation as bars, as in the paper's slides: published ones and measured ones side by side."""

from cli import whole_file
from paper.content import short

COLOURS = {"sketch->image": "#2b6ca3", "image->sketch": "#e0893b"}


def draw(table, path, warning=""):
    """Writes a PNG of an ablation `Table`: a panel per dataset, a group of bars per row, whiskers over the seeds."""
    from matplotlib.figure import Figure

    names = [name.removesuffix(" S→I") for name in table.columns if name.endswith(" S→I")]
    figure = Figure(figsize=(4.6 * len(names), 4.4), dpi=110, layout="constrained")
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for panel, name in zip(panels, names, strict=True):
        for place, (direction, colour) in enumerate(COLOURS.items()):
            values = [cells[f"{name} {short(direction)}"] for cells in table.rows.values()]
            bars(panel, place, values, colour, direction.replace("->", "→"))
        ground = values[0].ground
        panel.set_title(f"{name}, published" if ground is None else measured_title(ground, values[0]), fontsize=10)
        panel.set_xticks(range(len(table.rows)), [row.replace(" ", "\n", 1) for row in table.rows], fontsize=8)
        panel.spines[["top", "right"]].set_visible(False)
        panel.margins(y=0.12)
    panels[0].set_ylabel("mAP@all, unseen classes")
    panels[0].legend(frameon=False, loc="upper left", fontsize=9)
    if warning:
        figure.suptitle(warning, fontsize=9)
    with whole_file(path) as part:
        figure.savefig(part, format="png")


def bars(panel, place, values, colour, label):
    """One bar per value, the `place`-th of two in each group, its number above it; published bars are hatched."""
    where = [group + 0.4 * (place - 0.5) for group in range(len(values))]
    published = values[0].ground is None
    panel.bar(
        where,
        [value.mean for value in values],
        0.38,
        color=colour,
        alpha=0.55 if published else 1,
        hatch="//" if published else None,
        edgecolor="white",
        label=label,
    )
    whiskers = [value.deviation or 0 for value in values]
    if any(whiskers):
        panel.errorbar(where, [value.mean for value in values], whiskers, fmt="none", ecolor="black", capsize=3, lw=1)
    for x, value, whisker in zip(where, values, whiskers, strict=True):
        text = f"{value.mean:.{value.digits}f}".removeprefix("0")
        panel.annotate(text, (x, value.mean + whisker), (0, 2), textcoords="offset points", ha="center", fontsize=7)


def measured_title(ground, value):
    many = f"{len(value.numbers)} seeds" if len(value.numbers) > 1 else "1 seed"
    beside = f"not comparable {value.marks}" if ground.differences else value.marks
    return f"{ground.name}, {ground.list_name}\n{ground.backbone}, {many} {beside}".rstrip()
