"""The figure of a training run: its loss terms and, where classes were held out, their mAP, over the epochs."""

import json

from zscmr.reports.plots import save_figure


def draw_training(metrics, path, chosen=None):
    """Draw the file `metrics`, metrics.jsonl, into the PNG `path`; `chosen` marks the epoch whose weights were kept."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, SymmetricalLogLocator

    lines = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    if not lines:  # a preset that trains nothing
        return
    epochs = [line["epoch"] for line in lines]
    scored = "held_out_mAP" in lines[0]
    marker = "o" if len(epochs) == 1 else None  # a line of one point has no length
    figure = Figure(figsize=(8, 5.5 if scored else 3.5), dpi=110, layout="constrained")
    panels = figure.subplots(1 + scored, 1, sharex=True, squeeze=False)[:, 0]
    for name in lines[0]:
        if name not in ("epoch", "held_out_mAP"):
            panels[0].plot(epochs, [line[name] for line in lines], label=name, marker=marker)
    panels[0].set_ylabel("loss term, mean of the epoch")
    panels[0].set_yscale("symlog", linthresh=0.1)
    panels[0].yaxis.set_major_locator(SymmetricalLogLocator(base=10, linthresh=0.1, subs=(1, 2, 3, 5)))
    panels[0].yaxis.set_major_formatter("{x:g}")
    panels[0].legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    if scored:
        panels[1].plot(epochs, [line["held_out_mAP"] for line in lines], color="black", marker=marker)
        panels[1].set_ylabel("mAP@all, held-out seen classes")
    if chosen is not None:
        for panel in panels:
            panel.axvline(chosen, color="#999999", linestyle=":")
        panels[-1].text(chosen, panels[-1].get_ylim()[0], f" epoch {chosen} kept", va="bottom", color="#555555")
    panels[-1].set_xlabel("epoch")
    panels[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path)
