"""Numbers of finished cells, over their seeds, with the convention they were measured by."""

import pytest
from helpers.toy_tables import fabricate, plan_of

from zscmr.paper.cells import Method
from zscmr.paper.results import BASELINES, Results, convention, label, measured_values, published


@pytest.fixture
def results(dataset_folder):
    plan = plan_of(dataset_folder, seeds=2, presets=("paper",))
    fabricate(plan)
    return Results(plan)


def test_values_are_over_seeds_and_name_ground_and_convention(results):
    """`fabricate` gives mAP@all .30 to seed 0 and .40 to seed 1; baselines have one number, .30."""
    [paper] = results.plan.methods
    value = results.method(paper, "sketch->image", "mAP@all")
    assert value.numbers == pytest.approx((0.3, 0.4)) and value.ground is results.plan.main
    assert value.convention == "standard, cosine, ties gallery"
    rows = results.all_rows()
    assert list(rows) == [*BASELINES, "zscmr paper, ours"]
    assert rows["LDA map"]("image->sketch", "P@100").numbers == pytest.approx((0.31,))
    assert results.distances() == "zscmr paper cosine"


def test_numbers_that_were_not_measured_are_left_out(results):
    assert results.scores([], "sketch->image", "mAP@all") is None
    del results.contents[next(iter(results.contents))]  # the baselines come first
    assert results.baseline("LDA map", "sketch->image", "mAP@all") is None
    assert measured_values({"a": None, "b": 1}) == {"b": 1}


def test_rows_say_how_long_codes_are():
    assert label(Method("crossatnet", "default", (("bits", 32),))) == "crossatnet default 32 bits, ours"


def test_convention_of_a_re_ranked_number_says_so():
    content = {"protocol": "sake", "distance": "cosine", "ties": "mean", "reranked": True}
    assert convention(content) == "sake, cosine, ties mean, re-ranked: uses the gallery as a whole"


def test_published_pairs_have_a_column_each():
    values = published((0.5, 0.6), "Sketchy")
    assert {name: str(value) for name, value in values.items()} == {
        "Sketchy, published: mAP@all": "0.500",
        "Sketchy, published: P@100": "0.600",
    }
    assert published(None, "Sketchy") == {}
