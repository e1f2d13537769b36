"""Presets and ablations beside the baselines on one dataset and unseen list, over several seeds, as a Markdown table.

    python benchmarks/objectives.py --data data/mine [--unseen FILE] --out results/objectives-mine.md

Each run is `Unified_XY_triads.py` with its preset's settings; results are kept per run under --runs, so that a stopped
table goes on where it was.
"""

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the project's modules lie one folder up
import knn_eval
import runs
import Unified_XY_triads as trainer
from benchmarks import baselines
from cli import run, say, setting, whole_file

SYSTEMS = {
    "released": {"preset": "released"},
    "paper": {"preset": "paper"},
    "paper without latent": {"preset": "paper", "without": ("latent",)},
    "paper without classification": {"preset": "paper", "without": ("classification",)},
    "paper without triplet": {"preset": "paper", "without": ("triplet",)},
    "paper without decoder": {"preset": "paper", "without": ("decoder",)},
    "tuned": {"preset": "tuned"},
}
METRICS = ("mAP@all", "P@100")


@dataclass(frozen=True)
class Settings:
    data: Path = setting(help="dataset directory", metavar="DIR")
    out: Path = setting(help="Markdown file to write", metavar="FILE")
    unseen: Path | None = setting(None, "list of unseen classes; left out: unseen.txt of --data", metavar="FILE")
    seeds: int = setting(5, "runs per system")
    systems: tuple[str, ...] = setting((), f"any of {', '.join(SYSTEMS)}; left out: all", metavar="SYSTEM")
    runs: Path = setting(Path("runs/objectives"), "folder of the runs", metavar="DIR")


def main(settings):
    scores = baselines.measure(baselines.Settings(data=settings.data, unseen=settings.unseen))
    rows = {name: [result["directions"]] for name, result in scores.items()}
    systems = {name: SYSTEMS[name] for name in settings.systems or SYSTEMS}
    for name, choices in systems.items():
        rows[name] = [one_run(settings, name, choices, seed) for seed in range(settings.seeds)]
        best = summary([run["sketch->image"]["mAP@all"] for run in rows[name]])
        say(f"{name}: sketch->image mAP@all {best}")
    with whole_file(settings.out) as part:
        part.write_text(markdown(settings, rows), encoding="utf-8")
    say(f"wrote {settings.out}")


def one_run(settings, name, choices, seed):
    """Directions -> metrics of one trained run; read back if it is complete."""
    list_name = settings.unseen.stem if settings.unseen else "unseen"
    folder = settings.runs / f"{settings.data.name}-{list_name}-{name.replace(' ', '-')}-{seed}"
    asked = trainer.Settings(data=settings.data, unseen=settings.unseen, path=folder, seed=seed, **choices)
    if not runs.read_results(folder):
        trainer.main(replace(asked, overwrite=folder.exists()))
    return json.loads((folder / runs.RESULTS).read_text(encoding="utf-8"))["shared space"]["directions"]


def summary(values):
    spread = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{spread}"


def markdown(settings, rows):
    """One row per system, mAP@all and P@100 of each direction, mean ± standard deviation of the seeds."""
    directions = list(knn_eval.DIRECTIONS)
    command = f"python benchmarks/objectives.py --data {settings.data} --unseen {settings.unseen} --out {settings.out}"
    lines = [
        f"`{command}`: {settings.seeds} seeds, mean ± standard deviation; protocol `standard`, each preset's distance, "
        "baselines cosine.\n",
        "| | "
        + " | ".join(f"{direction.replace('->', '→')} {metric}" for direction in directions for metric in METRICS)
        + " |",
        "|---" * (1 + len(directions) * len(METRICS)) + "|",
    ]
    for name, results in rows.items():
        cells = (
            summary([result[direction][metric] for result in results]) for direction in directions for metric in METRICS
        )
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    run(main, Settings, __doc__)
