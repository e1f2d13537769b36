"""The paper's tables for a dataset: published numbers beside measured ones, as Markdown, LaTeX and CSV.

    python paper_tables.py --data data/mine [--unseen FILE …] [--seeds 5] [--plan]

Runs what is missing: every preset and every ablation over several seeds, and the same embeddings under every
convention. Each finished cell of the tables is a JSON file under --runs and is never computed twice; stopped or killed
at any moment, the same command goes on. Without --data it makes the embedded miniature dataset.
"""

import time
from dataclasses import dataclass
from pathlib import Path

from zscmr import models
from zscmr.commands import train as trainer
from zscmr.datasets import loader
from zscmr.datasets.class_graph import graph_source
from zscmr.paper import ground, plan, typeset
from zscmr.paper import tables as content
from zscmr.paper.ablation import draw_ablation
from zscmr.paper.cells import Across, Method, tables_of
from zscmr.paper.rates import Rates
from zscmr.paper.worker import Worker
from zscmr.training.stage1.miniature import MINIATURE, prepare_miniature
from zscmr.utils.console import say, shortened, warn
from zscmr.utils.errors import BadInput
from zscmr.utils.files import existing_folder, lock, whole_file
from zscmr.utils.options import Options, command, setting

QUICK_EPOCHS = 3


@dataclass(frozen=True)
class Settings(Options):
    data: Path = setting(MINIATURE, "dataset directory; the default is made when it is missing", metavar="DIR")
    unseen: tuple[Path, ...] = setting(
        (), "lists of unseen classes besides unseen.txt of --data, which the main tables use", metavar="FILE"
    )
    across: tuple[Path, ...] = setting((), "files of embed.py, runs on another dataset, to tabulate", metavar="FILE")
    models: tuple[str, ...] = setting(("zscmr",), "systems to compare", choices=models.SYSTEMS)
    presets: tuple[str, ...] = setting((), "presets of theirs to compare; left out: all", metavar="PRESET")
    seeds: int | None = setting(
        None, "runs of each system, seeds 0, 1, …; left out: 5, with --quick 1", metavar="N", least=1
    )
    no_ablations: bool = setting(False, "leave the ablations out")
    out: Path | None = setting(None, "folder of the tables; left out: results/NAME of --data", metavar="DIR")
    runs: Path = setting(Path("runs/tables"), "folder of the runs and finished cells", metavar="DIR")
    plan: bool = setting(False, "print what would run and for how long, and end")
    quick: bool = setting(False, f"{QUICK_EPOCHS} epochs a run: shows that all works, measures nothing")


def main(settings):
    for option, folder in (("--out", out_folder(settings)), ("--runs", settings.runs)):
        existing_folder(option, folder)
    methods = chosen_methods(settings)
    if settings.data == MINIATURE:
        prepare_miniature()
    plan = make_plan(settings, methods)
    print_plan(plan)
    if settings.plan:
        return
    with lock(settings.runs / ".lock", f"--runs {settings.runs}: another paper_tables.py is at work there"):
        compute(plan)
    write_tables(plan, out_folder(settings), command("paper_tables.py", settings))


def out_folder(settings):
    """The folder of the tables."""
    name = settings.data.resolve().name + ("-quick" if settings.quick else "")
    return settings.out or Path("results") / name


def chosen_methods(settings):
    """The methods that --models and --presets ask for, each preset of each model once, variants included.

    Without --presets those for features of one kind are left out (`models.presets.Tables`).
    """
    presets_of = {model: models.presets_of(model) for model in settings.models}
    for preset in settings.presets:
        if not any(preset in presets for presets in presets_of.values()):
            available = "; ".join(f"{model} has {', '.join(presets)}" for model, presets in presets_of.items())
            raise BadInput(f"--presets {preset}: no such preset, {available}")
    quick = (("epochs", QUICK_EPOCHS),)
    return plan.with_variants(
        Method(model, preset, quick if settings.quick and presets[preset].epochs else ())
        for model, presets in presets_of.items()
        for preset in presets
        if (preset in settings.presets if settings.presets else preset not in tables_of(model, preset).only_by_name)
    )


def make_plan(settings, methods):
    """The `Plan` of the settings. Raises BadInput for data or lists that cannot be used, before anything runs."""
    seeds = settings.seeds or (1 if settings.quick else 5)
    trained = any(models.presets_of(method.model)[method.preset].epochs for method in methods)
    grounds = ground.survey(loader.load_dataset(settings.data, trained), settings.unseen, settings.runs)
    if not settings.presets and len(grounds[0].widths) > 1:
        parts = [(method, tables_of(method.model, method.preset)) for method in methods]
        methods = tuple(method for method, part in parts if method.preset not in part.of_one_width)
    warning = (
        f"QUICK PLAN of {QUICK_EPOCHS} epochs a run: shows that all works, measures nothing." if settings.quick else ""
    )
    across = tuple(Across.of(file, settings.runs) for file in settings.across)
    return plan.Plan(tuple(grounds), methods, tuple(range(seeds)), warning, not settings.no_ablations, across)


def print_plan(plan):
    """Print the plan: what is finished, what is missing, and how long that may take."""
    say(plan.main.pictures)
    for each in plan.grounds:
        say(f"unseen list {each.unseen}{f'; WARNING: {each.leaked}' if each.leaked else ''}")
        if note := trainer.few_unseen(each.split):
            warn(f"unseen list {each.list_name}: {note}")
        if any(plan.trainings(method, each)[0].resolved[1].constants.wants_graph for method in plan.methods):
            say(f"class graph: {graph_source(each.dataset, each.split)}")
    for list_name, batch, usual in sorted(plan.smaller_batches()):
        say(f"few pictures to train on, unseen list {list_name}: {batch} triads a batch in place of {usual}")
    rates, groups = Rates(), {}
    for cell in plan.cells():
        stored = cell.stored()
        rates.note(cell, stored)
        groups.setdefault((cell.kind, cell.ground.list_name), []).append((cell, bool(stored)))
    width = max(len(kind) for kind, _ in groups)
    total = 0.0
    for (kind, list_name), cells in groups.items():
        seconds = sum(rates.expected(cell) for cell, finished in cells if not finished)
        count = sum(finished for _, finished in cells)
        say(f"  {kind:{width}}  {list_name}: {count} of {len(cells)} there, {clock(seconds)} to go")
        total += seconds
    count = sum(map(len, groups.values()))
    missing = sum(not finished for cells in groups.values() for _, finished in cells)
    say(f"  {missing} of {count} cells missing, about {clock(total)} on this machine ({rates.source})")


def compute(plan):
    """Make every missing cell; after each, print how far the plan is and how long the rest may take."""
    cells, rates, began = plan.cells(), Rates(), time.monotonic()
    missing = []
    for cell in cells:
        stored = cell.stored()
        rates.note(cell, stored)
        if not stored:
            missing.append(cell)
    features = sum(items.features.nbytes for items in (plan.main.dataset.photo, plan.main.dataset.sketch))
    try:
        with Worker(train_run, features) as worker:
            for done, cell in enumerate(missing, len(cells) - len(missing) + 1):
                rates.note(cell, cell.make(worker))
                rest = sum(map(rates.expected, missing[done - len(cells) :])) if done < len(cells) else 0.0
                clocks = f"{clock(time.monotonic() - began)}, {clock(rest)} to go"
                say(shortened(f"{done:>{len(str(len(cells)))}}/{len(cells)} {clocks}; {cell.title}"))
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt("stopped; the same command goes on") from stop


def train_run(options, folder, data, unseen):
    """Train one run.

    Args:
        options: `TrainingOptions`; None to resume.
        folder: run directory.
        data: dataset directory.
        unseen: list of unseen classes; None for unseen.txt of `data`.
    """
    if options is None:
        trainer.main(trainer.Settings(path=folder, resume=True, no_encoders=True))
        return
    chosen = {name: getattr(options, name) for name in options.given}
    trainer.main(trainer.Settings(data=data, unseen=unseen, path=folder, no_encoders=True, **chosen))


def clock(seconds):
    """Seconds as h:mm:ss."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"


def write_tables(plan, folder, command_line):
    """Write tables.md, tables.tex, tables.csv and a chart per ablation; print what was measured of the first table."""
    tables = content.all_tables(plan)
    texts = {
        "tables.md": typeset.markdown_page(tables, f"The paper's tables, {plan.main.name}", command_line),
        "tables.tex": typeset.latex_page(tables, command_line),
        "tables.csv": typeset.csv_lines(tables),
    }
    runs = f"{len(plan.seeds)} seeds" if len(plan.seeds) > 1 else "one run"
    say("\n".join(["", f"{plan.main.name}, unseen list {plan.main.list_name}, {runs}", plan.warning]).rstrip())
    say("\n".join(typeset.measured_lines(tables[0])))
    say("All tables, and what † and ‡ mean:")
    for name, text in texts.items():
        with whole_file(folder / name) as part:
            part.write_text(text, encoding="utf-8", errors="backslashreplace")
        say(f"wrote {folder / name}")
    for table in tables:
        if table.figure:
            draw_ablation(table, folder / table.figure, plan.warning)
            say(f"wrote {folder / table.figure}")
