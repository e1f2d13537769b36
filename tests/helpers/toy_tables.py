"""Plans of the paper's tables on toy datasets, and finished cells of made-up numbers for them."""

from zscmr.commands import tables as paper_tables
from zscmr.paper import tables as content
from zscmr.paper.cells import Baselines, Measurement
from zscmr.paper.results import BASELINES
from zscmr.utils.files import write_json

METRICS = ("mAP@all", "P@100", "mAP@200", "P@200", "knncode-mAP", "precision@100")


def plan_of(folder, seeds=2, **more):
    settings = paper_tables.Settings(data=folder, seeds=seeds, runs=folder.parent / "cells", **more)
    return paper_tables.make_plan(settings, paper_tables.chosen_methods(settings))


def fabricate(plan):
    """Writes every cell of the plan with numbers that tell where they come from: seed .1 apart, metrics .01."""
    values = {metric: 0.3 + 0.01 * number for number, metric in enumerate(METRICS)}

    def directions(extra):
        return {direction: {name: value + extra for name, value in values.items()} for direction in content.ARROWS}

    for cell in (cell for cell in plan.cells() if cell not in plan.across):
        results = {"protocol": "standard", "distance": "cosine", "ties": "gallery"}
        if isinstance(cell, Baselines):
            results = {"baselines": {name: results | {"directions": directions(0)} for name in BASELINES}}
        else:
            run = cell.training if isinstance(cell, Measurement) else cell
            lost = 0.02 * len(dict(run.method.changes)) * (1 + run.seed)
            results["directions"] = directions(0.1 * run.seed - lost)
            results |= {"seen": directions(0.2), "harmonic": directions(0.15)}
            if getattr(cell, "measured", "") == "instances":
                among = dict.fromkeys(content.INSTANCE_METRICS, 0.5 + 0.1 * run.seed) | {"gallery": 6.0}
                results["directions"] = dict.fromkeys(content.AMONG, among)
            elif getattr(cell, "measured", "") == "reranked":
                results |= {"directions": directions(0.2 * run.seed + 0.05), "reranked": True}
        write_json(cell.path, {"cell": cell.identity, "seconds": 4.0, "machine": "elsewhere", **results})
