"""Confidence intervals of means, against scipy's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.stats

from ablations.analysis.intervals import Interval, mean_interval


def test_the_interval_of_a_mean_is_students() -> None:
    values = np.random.default_rng(3).normal(0.3, 0.01, size=5)
    found = mean_interval(values.tolist())
    expected: Any = scipy.stats.ttest_1samp(values, 0.0).confidence_interval()
    assert found == pytest.approx((expected.low, expected.high))
    assert mean_interval([0.3]) is None and mean_interval([]) is None


def test_an_interval_holds_its_bounds() -> None:
    interval = Interval(-0.1, 0.0)
    assert [interval.holds(value) for value in (-0.2, -0.1, -0.05, 0.0, 0.1)] == [False, True, True, True, False]
