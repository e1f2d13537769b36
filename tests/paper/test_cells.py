"""Units of work: none is computed twice, a stopped one goes on, another setting or class graph is another cell."""

import dataclasses

import pytest
from helpers.project import assert_same_bytes, interrupted_at, load_script
from helpers.toy_tables import fabricate, plan_of

from zscmr.commands import tables as paper_tables
from zscmr.datasets import loader
from zscmr.paper import ground
from zscmr.paper.cells import Method, Training
from zscmr.utils.files import write_json

graph_script = load_script("pretrain/class_graph.py")


class Here:
    """Trains in this process, as the worker does in its own."""

    def __init__(self):
        self.runs = 0

    def train(self, log, append, *arguments):
        self.runs += 1
        paper_tables.train_run(*arguments)


@pytest.mark.slow
def test_a_stopped_run_goes_on_to_the_same_numbers(wide_folder, monkeypatch):
    [surveyed] = ground.survey(loader.load_dataset(wide_folder), (), wide_folder.parent / "cells")
    cell = Training(surveyed, Method("zscmr", "paper", (("epochs", 3),)), seed=0)
    with interrupted_at(3), pytest.raises(KeyboardInterrupt):
        cell.make(Here())
    assert cell.stored() == {} and (cell.folder / "checkpoints").exists()
    cell.make(Here())
    [elsewhere] = ground.survey(loader.load_dataset(wide_folder), (), wide_folder.parent / "elsewhere")
    uninterrupted = dataclasses.replace(cell, ground=elsewhere)
    uninterrupted.make(Here())
    assert cell.stored()["directions"] == uninterrupted.stored()["directions"]
    assert cell.stored()["seconds"] is None and uninterrupted.stored()["seconds"] > 0  # a part gives no time
    assert_same_bytes(cell.folder, uninterrupted.folder, ("unified_features.mat",))
    assert not (cell.folder / "checkpoints").exists()

    worker = Here()
    write_json(cell.path, {"cell": "of other settings"})
    cell.make(worker)  # the run is there: its scores are read, nothing is trained
    assert worker.runs == 0 and cell.stored()["directions"] == uninterrupted.stored()["directions"]
    changed = dataclasses.replace(cell, method=Method("zscmr", "paper", (("epochs", 3), ("margin", 1.0))))
    monkeypatch.setattr(Training, "folder", cell.folder)
    assert changed.stored() == {}
    changed.make(worker)  # other settings in the same folder: trained anew
    assert worker.runs == 1


def test_a_class_graph_concerns_the_cells_that_want_one(dataset_folder):
    """Written after the tables were made, and other than the tree that was taken without it: the CrossATNet with the
    graph is trained anew, in a folder of its own, whatever else is finished stays so."""
    choices = {"models": ("zscmr", "crossatnet"), "no_ablations": True}
    fabricate(plan_of(dataset_folder, **choices))
    graph_script.main(graph_script.Settings(data=dataset_folder))  # the tree that is taken where there is no file
    assert all(cell.stored() for cell in plan_of(dataset_folder, **choices).cells())
    graph_script.main(graph_script.Settings(data=dataset_folder, kind="knn"))
    plan = plan_of(dataset_folder, **choices)
    wanting = [cell for cell in plan.cells() if not cell.stored()]
    assert wanting and {cell.path for cell in wanting} == {
        cell.path for cell in plan.cells() if "crossatnet" in str(cell.path)
    }
    without = Method("crossatnet", "default", (("graph", "none"),))
    assert Training(plan.main, without, seed=0).edges == []
    fabricate(plan)
    (dataset_folder / "mst_graph.mat").unlink()
    assert all(cell.stored() for cell in plan_of(dataset_folder, **choices).cells())
