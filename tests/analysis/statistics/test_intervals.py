"""Confidence intervals of means, against scipy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats

from ablations.analysis.statistics.intervals import Interval, mean_interval


def test_the_interval_of_a_mean_is_students() -> None:
    values = np.random.default_rng(3).normal(0.3, 0.01, size=5)
    test: Any = scipy.stats.ttest_1samp(values, 0.0)
    assert mean_interval(values.tolist()) == pytest.approx(tuple(test.confidence_interval(0.95)))
    assert mean_interval(values.tolist(), level=0.004) == pytest.approx(tuple(test.confidence_interval(0.996)))
    assert mean_interval([0.3]) is None and mean_interval([]) is None


def test_the_spread_of_an_interval_is_no_less_than_its_floor() -> None:
    assert mean_interval([1.0, 3.0], least_std=1.4) == mean_interval([1.0, 3.0]), "their standard deviation is 1.41"
    # t(0.975, 1) is 12.706.
    assert mean_interval([2.0, 2.0], least_std=0.1) == pytest.approx((2 - 0.8984, 2 + 0.8984), abs=1e-4)


def test_an_interval_holds_its_bounds() -> None:
    interval = Interval(-0.1, 0.0)
    assert [interval.holds(value) for value in (-0.2, -0.1, -0.05, 0.0, 0.1)] == [False, True, True, True, False]
