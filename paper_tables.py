"""The paper's tables for a dataset: published numbers beside measured ones, as Markdown, LaTeX and CSV.

    python paper_tables.py --data data/mine [--unseen FILE …] [--seeds 5] [--plan]

Runs what is missing: every preset and every ablation over several seeds, and the same embeddings under every
convention. Each finished cell of the tables is a JSON file under --runs and is never computed twice; stopped or killed
at any moment, the same command goes on. Without --data it makes the embedded miniature dataset.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import Unified_XY_triads as trainer
from cli import BadInput, command, existing_folder, run, say, setting, whole_file
from paper import chart, content, ground, layout
from paper.cells import Method, Rates
from paper.worker import Worker

QUICK_EPOCHS = 3


@dataclass(frozen=True)
class Settings:
    data: Path = setting(trainer.MINIATURE, "dataset directory; the default is made when it is missing", metavar="DIR")
    unseen: tuple[Path, ...] = setting(
        (), "lists of unseen classes besides unseen.txt of --data, which the main tables use", metavar="FILE"
    )
    models: tuple[str, ...] = setting(("zscmr",), "systems to compare", metavar="MODEL")
    presets: tuple[str, ...] = setting((), "presets of theirs to compare; left out: all", metavar="PRESET")
    seeds: int | None = setting(None, "runs of each system, seeds 0, 1, …; left out: 5, with --quick 1", metavar="N")
    no_ablations: bool = setting(False, "leave the ablations out")
    out: Path | None = setting(None, "folder of the tables; left out: results/NAME of --data", metavar="DIR")
    runs: Path = setting(Path("runs/tables"), "folder of the runs and finished cells", metavar="DIR")
    plan: bool = setting(False, "print what would run and for how long, and end")
    quick: bool = setting(False, f"{QUICK_EPOCHS} epochs a run: shows that all works, measures nothing")


def main(settings):
    check(settings)
    methods = chosen_methods(settings)
    if settings.data == trainer.MINIATURE:
        trainer.make_miniature()
    plan = make_plan(settings, methods)
    describe(plan)
    if settings.plan:
        return
    compute(plan)
    write(plan, out_folder(settings), command("paper_tables.py", settings))


def check(settings):
    if settings.seeds is not None and settings.seeds < 1:
        raise BadInput(f"--seeds should be at least 1, received {settings.seeds}")
    for option, folder in (("--out", out_folder(settings)), ("--runs", settings.runs)):
        existing_folder(option, folder)


def out_folder(settings):
    name = settings.data.resolve().name + ("-quick" if settings.quick else "")
    return settings.out or Path("results") / name


def chosen_methods(settings):
    """The methods that --models and --presets ask for, each preset of each model once."""
    for model in settings.models:
        if model not in trainer.SYSTEMS:
            raise BadInput(f"--models {model}: no such system, there are {', '.join(trainer.SYSTEMS)}")
    known = {model: tuple(trainer.system(model).PRESETS) for model in settings.models}
    for preset in settings.presets:
        if not any(preset in presets for presets in known.values()):
            there = "; ".join(f"{model} has {', '.join(presets)}" for model, presets in known.items())
            raise BadInput(f"--presets {preset}: no such preset, {there}")
    quick = (("epochs", QUICK_EPOCHS),) if settings.quick else ()
    return content.with_variants(
        Method(model, preset, quick)
        for model, presets in known.items()
        for preset in presets
        if not settings.presets or preset in settings.presets
    )


def make_plan(settings, methods):
    seeds = settings.seeds or (1 if settings.quick else 5)
    grounds = ground.survey(settings.data, settings.unseen, settings.runs)
    warning = (
        f"QUICK PLAN of {QUICK_EPOCHS} epochs a run: shows that all works, measures nothing." if settings.quick else ""
    )
    return content.Plan(tuple(grounds), methods, tuple(range(seeds)), warning, not settings.no_ablations)


def describe(plan):
    """Prints the plan: what there is, what is missing, and how long that may take."""
    say(plan.main.pictures)
    for place in plan.grounds:
        say(f"unseen list {place.unseen}{f'; WARNING: {place.leaked}' if place.leaked else ''}")
        if any(trainer.wants_graph(plan.trainings(method, place)[0].filled_in[1]) for method in plan.methods):
            say(f"class graph: {trainer.graph_source(place.dataset, place.split)}")
    rates, groups = Rates(), {}
    for cell in plan.cells():
        stored = cell.stored()
        rates.note(cell, stored)
        groups.setdefault((cell.kind, cell.ground.list_name), []).append((cell, bool(stored)))
    width = max(len(kind) for kind, _ in groups)
    total = 0.0
    for (kind, where), cells in groups.items():
        missing = sum(rates.expected(cell) for cell, there in cells if not there)
        there = sum(there for _, there in cells)
        say(f"  {kind:{width}}  {where}: {there} of {len(cells)} there, {clock(missing)} to go")
        total += missing
    count = sum(map(len, groups.values()))
    missing = sum(not there for cells in groups.values() for _, there in cells)
    say(f"  {missing} of {count} cells missing, about {clock(total)} on this machine ({rates.source})")


def compute(plan):
    """Makes every missing cell; after each, says how far the plan is and how long the rest may take."""
    cells, rates, began = plan.cells(), Rates(), time.monotonic()
    missing = []
    for cell in cells:
        stored = cell.stored()
        rates.note(cell, stored)
        if not stored:
            missing.append(cell)
    features = sum(items.features.nbytes for items in (plan.main.dataset.photo, plan.main.dataset.sketch))
    try:
        with Worker(features) as worker:
            for done, cell in enumerate(missing, len(cells) - len(missing) + 1):
                rates.note(cell, cell.make(worker))
                rest = sum(map(rates.expected, missing[done - len(cells) :])) if done < len(cells) else 0.0
                told = f"{clock(time.monotonic() - began)} elapsed, about {clock(rest)} to go"
                say(f"{done:>{len(str(len(cells)))}}/{len(cells)} {cell.title}; {told}")
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt("stopped; the same command goes on") from stop


def clock(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def write(plan, folder, made_by):
    """Writes tables.md, tables.tex, tables.csv and a chart per ablation, and prints the first of them."""
    tables = content.all_tables(plan)
    texts = {
        "tables.md": layout.markdown_page(tables, f"The paper's tables, {plan.main.name}", made_by),
        "tables.tex": layout.latex_page(tables, made_by),
        "tables.csv": layout.csv_lines(tables),
    }
    say("\n" + texts["tables.md"])
    for name, text in texts.items():
        with whole_file(folder / name) as part:
            part.write_text(text, encoding="utf-8")
        say(f"wrote {folder / name}")
    for table in tables:
        if table.figure:
            chart.draw(table, folder / table.figure, plan.warning)
            say(f"wrote {folder / table.figure}")


if __name__ == "__main__":
    run(main, Settings, __doc__)
