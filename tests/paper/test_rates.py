"""The time that cells are expected to take."""

import pytest
from helpers.toy_tables import plan_of

from zscmr.paper.cells import machine
from zscmr.paper.rates import Rates


def test_finished_cells_correct_the_documented_rates(dataset_folder):
    plan = plan_of(dataset_folder)
    cells = plan.trainings(plan.methods[0])
    rates = Rates()
    rates.note(cells[0], {"seconds": 1.0, "machine": "another one"})
    assert rates.expected(cells[1]) == cells[1].seconds
    rates.note(cells[0], {"seconds": 7.0, "machine": machine()})
    assert rates.expected(cells[1]) == pytest.approx(7.0)
