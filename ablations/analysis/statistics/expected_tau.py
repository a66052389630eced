"""Expected Kendall's tau of a ranking with the true order, from the spreads between variants and between seeds."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import stats

from ablations.analysis.statistics.intervals import MIN_SEEDS, FloatArray

MIN_VARIANTS = 3  # an order of fewer says nothing


class Spread(NamedTuple):
    """How far the true errors of variants lie apart, as a share of how far seeds scatter them.

    `ratio` is the variance between variants divided by the residual one between seeds, 0 where the means spread no more
    than seeds make them; `p` is that of the F test of no spread between variants.
    """

    ratio: float
    p: float


def measure_spread(errors: FloatArray, *, least_std: FloatArray) -> Spread | None:
    """The spread of variants in errors (n, V), from the mean squares of the two-way layout of seeds and variants.

    The residual mean square is no less than the mean of `least_std` (V,) squared. What a seed does to all variants does
    not count. None with one seed or fewer than three variants.

    With F the quotient of the mean squares, the textbook estimate (F - 1)/n gives too low a tau. F is therefore
    multiplied by (V - 1)/(V - 2): averaged over suites of seven variants the expected tau of 1 to n seeds is then
    within 0.05 of the truth from a true standard deviation between variants of half a standard error of a mean on. It
    is too high below, about 0.25 for n seeds where there is no spread at all, so look at `p`. No function of F comes
    within 0.05 everywhere.
    """
    n, variants = errors.shape
    if n < MIN_SEEDS or variants < MIN_VARIANTS:
        return None
    means = errors.mean(axis=0)
    residuals = errors - means - errors.mean(axis=1, keepdims=True) + errors.mean()
    freedom = (variants - 1) * (n - 1)
    residual = max(float((residuals**2).sum()) / freedom, float((least_std**2).mean()))
    quotient = n * float(means.var(ddof=1)) / residual
    ratio = max(0.0, quotient * (variants - 1) / (variants - 2) - 1) / n
    return Spread(ratio, float(stats.f.sf(quotient, variants - 1, freedom)))


def expected_tau(ratio: float, *, seeds: int) -> float:
    """Kendall's tau that the ranking by means over this number of seeds has with the true order on average.

    `ratio` is that of a `Spread`. Source: Kendall's tau of a bivariate normal with correlation rho is (2/pi) asin(rho).
    """
    return 2 / math.pi * math.asin(_correlation(ratio, seeds=seeds))


def noise_ceiling(first: tuple[float, int], second: tuple[float, int]) -> float:
    """Kendall's tau that two rankings with the same true order have on average, each given by its ratio and seeds."""
    correlations = [_correlation(ratio, seeds=seeds) for ratio, seeds in (first, second)]
    return 2 / math.pi * math.asin(math.prod(correlations))


def _correlation(ratio: float, *, seeds: int) -> float:
    """Between means over seeds and true errors."""
    return float(np.sqrt(ratio * seeds / (1 + ratio * seeds)))
