"""Bootstrap over seeds: resampling weights, means under them, and the BCa interval of a mean difference."""

from __future__ import annotations

import math
import warnings

import numpy as np
from scipy import stats

from ablations.analysis.intervals import MIN_SEEDS, FloatArray, Interval

BOOTSTRAP_SEEDS = 8  # below, bias and acceleration cannot be estimated
BOOTSTRAPS = 9999
RESAMPLES = 2000  # of the seeds, for all variants together


def resample_seeds(seeds: int, rng: np.random.Generator) -> FloatArray:
    """How often each of n seeds is in each bootstrap resample, (RESAMPLES, n); (0, 1) for a single seed."""
    count = RESAMPLES if seeds >= MIN_SEEDS else 0
    return rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=count).astype(float)


def weighted_means(grid: FloatArray, weights: FloatArray | None = None) -> FloatArray:
    """Means over seeds, (draws, V), of values (n, V) under the weights of the seeds in each draw, (draws, n).

    Without weights there is one draw, in which each seed counts once.
    """
    weights = np.ones((1, len(grid))) if weights is None else weights
    # Sums that are equal but for rounding have to tie; two that differ do so by an image at least.
    return np.round(weights @ grid, 9) / weights.sum(axis=1, keepdims=True)


def bca_interval(differences: FloatArray, rng: np.random.Generator) -> Interval | None:
    """The 95 % BCa bootstrap interval of the mean of differences (n,).

    None for fewer than eight, for differences without spread, and where scipy cannot compute it.

    Source: Efron 1987, "Better bootstrap confidence intervals".
    """
    if len(differences) < BOOTSTRAP_SEEDS or np.ptp(differences) == 0:
        return None
    with warnings.catch_warnings():
        # Where there is no BCa interval, scipy warns and gives NaN.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            (differences,), np.mean, method="BCa", n_resamples=BOOTSTRAPS, rng=rng
        ).confidence_interval
    return None if math.isnan(found.low) else Interval(float(found.low), float(found.high))
