"""Power analysis: how many seeds would settle a comparison, if its difference and spread equal the estimates."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy import stats

from ablations.analysis.intervals import MIN_SEEDS

POWER = 0.8
MOST_SEEDS = 1000  # that are worth asking for


def seeds_for_difference(difference: float, std: float, *, alpha: float) -> int | None:
    """The fewest seeds with which a two-sided paired t test at `alpha` finds this difference with 80 % probability.

    None if there is no difference, or no number up to 1,000 is enough.

    Source: the power of the t test, from the noncentral t distribution.
    """
    if not difference:
        return None

    # statsmodels' TTestPower gives NaN, or another number of seeds, for effects of several deviations.
    def power(n: int) -> float:
        noncentrality = abs(difference) / (std / math.sqrt(n))
        critical = stats.t.ppf(1 - alpha / 2, n - 1)
        return float(stats.nct.sf(critical, n - 1, noncentrality))

    return _fewest(power)


def seeds_for_equivalence(difference: float, std: float, *, margin: float, alpha: float) -> int | None:
    """The fewest seeds with which two one-sided t tests at `alpha` show equivalence with 80 % probability.

    None if the difference is not within the margin, or no number up to 1,000 is enough.

    Exact for the two tests together: given the sample's standard deviation s, the mean has to lie within
    margin - t s / sqrt(n), so the normal probability of that is averaged over the distribution of s.
    """
    if abs(difference) >= margin:
        return None
    levels = (np.arange(500) + 0.5) / 500

    def power(n: int) -> float:
        sample_std = std * np.sqrt(stats.chi2.ppf(levels, n - 1) / (n - 1))
        standard_error = std / math.sqrt(n)
        room = margin - stats.t.ppf(1 - alpha, n - 1) * sample_std / math.sqrt(n)
        inside = stats.norm.cdf((room - difference) / standard_error) - stats.norm.cdf(
            (-room - difference) / standard_error
        )
        return float(np.where(room > 0, inside, 0).mean())

    return _fewest(power)


def _fewest(power: Callable[[int], float]) -> int | None:
    """The smallest number of seeds with enough power, which grows with it, by bisection."""
    if power(MOST_SEEDS) < POWER:
        return None
    low, high = MIN_SEEDS - 1, MOST_SEEDS
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high
