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
    """A confidence interval, bounds included."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether the value is inside."""
        return self.low <= value <= self.high


def mean_interval(values: Sequence[float], *, least_std: float = 0.0, level: float = ALPHA) -> Interval | None:
    """Student's t interval of the mean; None for fewer than two values, which have no spread.

    It misses the mean with probability `level`. The standard deviation is never taken to be less than `least_std`.
    """
    if len(values) < MIN_SEEDS:
        return None
    sample = np.asarray(values, dtype=float)
    std = max(float(sample.std(ddof=1)), least_std)
    reach = float(stats.t.ppf(1 - level / 2, len(sample) - 1)) * std / math.sqrt(len(sample))
    return Interval(float(sample.mean()) - reach, float(sample.mean()) + reach)
