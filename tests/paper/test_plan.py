"""What the tables compare: ablations, seeds, variants, and the order of the cells."""

import pytest
from helpers.toy_tables import plan_of

from zscmr.paper.cells import Baselines, Measurement, Method, Training
from zscmr.paper.plan import FULL, with_variants


@pytest.fixture
def plan(dataset_folder):
    return plan_of(dataset_folder, seeds=2, presets=("paper",))


def test_an_ablation_ends_with_the_full_system(plan):
    rows = plan.ablations()["zscmr", "paper"]
    assert list(rows)[-1] == FULL and rows[FULL] == plan.methods[0]
    assert all(method.preset == "paper" and method.changes for row, method in rows.items() if row != FULL)


def test_cells_come_in_the_order_of_the_tables_and_once_each(plan):
    cells = plan.cells()
    assert len(cells) == len(set(cells))
    order = [(Baselines, Training, Measurement).index(type(cell)) for cell in cells]
    assert order == sorted(order)
    assert [cell.seed for cell in plan.trainings(plan.methods[0])] == [0, 1]


def test_what_trains_nothing_has_one_seed(dataset_folder):
    plan = plan_of(dataset_folder, seeds=3, presets=("aligned",))
    assert len(plan.trainings(plan.methods[0])) == 1


def test_variants_follow_their_method():
    methods = with_variants([Method("crossatnet", "default"), Method("zscmr", "paper")])
    assert [method.model for method in methods] == ["crossatnet"] * (len(methods) - 1) + ["zscmr"]
    assert methods[0].changes == () and dict(methods[1].changes)["bits"]
