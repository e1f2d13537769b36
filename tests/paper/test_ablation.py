"""The chart of an ablation: bars, whiskers, what stands above a panel."""

import pytest
from helpers.toy_tables import fabricate, plan_of
from matplotlib.figure import Figure

from zscmr.paper import ablation, tables
from zscmr.paper.typeset import Value


@pytest.fixture
def table(dataset_folder):
    plan = plan_of(dataset_folder, presets=("paper",))
    fabricate(plan)
    return next(table for table in tables.all_tables(plan) if table.figure)


def test_a_chart_is_written(table, tmp_path):
    ablation.draw_ablation(table, tmp_path / "chart.png", "a warning of 猫 $")
    assert (tmp_path / "chart.png").stat().st_size > 10_000


def test_bars_have_the_means_and_whiskers_over_seeds():
    panel = Figure().subplots()
    ablation.bars(panel, 0, {0: Value((0.2, 0.4), "standard"), 2: Value((0.5,), "standard")}, "red", "S→I")
    assert [bar.get_height() for bar in panel.patches] == pytest.approx([0.3, 0.5])
    assert [text.get_text() for text in panel.texts] == [".300", ".500"]
    assert [bar.get_hatch() for bar in panel.patches] == ["//"] * 2  # published: no ground


def test_a_panel_says_what_its_bars_were_measured_on(table):
    value = table.rows["full"]["data, measured: S→I"]
    assert (
        ablation.title("data, measured", value) == "data, unseen\nfeatures of unknown origin, 2 seeds, not comparable †"
    )
    assert ablation.title("Sketchy, published", Value((0.4,), "")) == "Sketchy, published"
