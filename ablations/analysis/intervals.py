"""Confidence intervals of means over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

FloatArray = NDArray[np.float64]

ALPHA = 0.05
MIN_SEEDS = 2  # for a spread


class Interval(NamedTuple):
    """A 95 % interval, bounds included."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether the value is inside."""
        return self.low <= value <= self.high


def mean_interval(values: Sequence[float], *, least_std: float = 0.0) -> Interval | None:
    """Student's t interval of the mean; None for fewer than two values, which have no spread.

    The standard deviation of the values is never taken to be less than `least_std`.
    """
    if len(values) < MIN_SEEDS:
        return None
    sample = np.asarray(values, dtype=float)
    std = max(float(sample.std(ddof=1)), least_std)
    reach = float(stats.t.ppf(1 - ALPHA / 2, len(sample) - 1)) * std / math.sqrt(len(sample))
    return Interval(float(sample.mean()) - reach, float(sample.mean()) + reach)
