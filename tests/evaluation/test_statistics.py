"""Intervals and paired tests."""

import itertools

import numpy as np
import pytest

from zscmr.evaluation import statistics


@pytest.mark.slow
def test_intervals_cover_the_mean_as_often_as_they_say():
    random = np.random.default_rng(0)
    covered = 0
    for seed in range(300):
        values = random.normal(0.5, 0.2, 80)
        low, high = statistics.intervals({"mAP": values}, np.zeros(80), draws=300, seed=seed)["mAP"]
        covered += low <= 0.5 <= high
    assert 0.91 < covered / 300 < 0.98
    labels = np.repeat([0, 1], [70, 10])  # class means weigh the ten as much as the seventy
    values = np.where(labels == 0, 0.2, 0.8)
    assert statistics.mean(values, labels, class_means=True) == pytest.approx(0.5)
    interval = statistics.intervals({"mAP": values}, labels, class_means=True)["mAP"]
    assert interval == pytest.approx((0.5, 0.5))


def test_paired_test_against_all_sign_assignments():
    random = np.random.default_rng(2)
    first, second = random.random(9) + 0.25, random.random(9)
    gap = first - second
    signs = np.array(list(itertools.product([1, -1], repeat=9)))
    exact = np.mean(np.abs(signs @ gap) >= abs(gap.sum()) - 1e-12)
    difference, p = statistics.paired_test(first, second, np.zeros(9), draws=20000)
    assert difference == pytest.approx(gap.mean())
    assert p == pytest.approx(exact, abs=0.01)
