"""TODO"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ablations.analysis.power import MIN_SEEDS

FloatArray = NDArray[np.float64]

ALPHA = 0.05


class Interval(NamedTuple):
    """A 95 % interval."""

    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether the value is inside."""
        return self.low <= value <= self.high


def mean_interval(values: Sequence[float]) -> Interval | None:
    """The t interval of the mean over seeds; None where fewer than two tell nothing of the spread."""
    if len(values) < MIN_SEEDS:
        return None
    found = np.asarray(values, dtype=float)
    reach = float(stats.t.ppf(1 - ALPHA / 2, len(found) - 1)) * float(found.std(ddof=1)) / math.sqrt(len(found))
    return Interval(float(found.mean()) - reach, float(found.mean()) + reach)


FloatArray = NDArray[np.float64]

FloatArray = NDArray[np.float64]
