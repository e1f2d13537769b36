"""The cut-off and its rates, worked by hand."""

import pytest

from zscmr.evaluation.cutoff import Cutoff, choose_cutoff, measure_cutoff

PRESENT = [0.5, 0.1, 0.3, 0.2, 0.4]  # queries whose class is in the gallery
ABSENT = [0.45, 0.3, 0.6, 0.7]


def test_the_smallest_distance_that_few_present_queries_exceed():
    """A share of .2 is one of five: .5 may lie beyond, so the cut-off is .4; of the absent, .45, .6 and .7 do.

    Of the 20 pairs the absent one is farther in 4 + 2.5 + 5 + 5: .45 exceeds four, .3 exceeds two and ties with one.
    """
    cutoff = choose_cutoff(PRESENT, ABSENT, share=0.2)
    assert cutoff == Cutoff(0.4, 0.2, 0.75, 16.5 / 20)
    assert cutoff.useful


def test_no_query_may_exceed_it():
    assert choose_cutoff(PRESENT, ABSENT, share=0).distance == 0.5
    assert choose_cutoff(PRESENT, ABSENT, share=0.19).distance == 0.5  # less than one of five


def test_rounding_takes_no_query_away():
    """.29 · 100 is 28.999…: 29 of 100 may lie beyond, the cut-off is the 71st."""
    assert choose_cutoff(range(1, 101), [0], share=0.29).distance == 71


def test_a_cutoff_that_hits_both_alike_is_not_useful():
    cutoff = choose_cutoff(PRESENT, PRESENT, share=0.2)
    assert (cutoff.present, cutoff.absent) == (0.2, 0.2) and cutoff.separation == pytest.approx(0.5)
    assert not cutoff.useful
    assert not measure_cutoff(9.0, PRESENT, ABSENT).useful  # nothing lies beyond
