"""TODO"""

from __future__ import annotations

import math
import warnings

import numpy as np
from scipy import stats

from ablations.analysis.intervals import FloatArray, Interval
from ablations.analysis.power import MIN_SEEDS

BOOTSTRAP_SEEDS = 8  # below, bias and acceleration cannot be estimated
BOOTSTRAPS = 9999
RESAMPLES = 2000  # of the seeds, for all variants together


def resample_seeds(seeds: int, rng: np.random.Generator) -> FloatArray:
    """How often each of n seeds is in each bootstrap resample, (RESAMPLES, n); (0, 1) for a single seed."""
    count = RESAMPLES if seeds >= MIN_SEEDS else 0
    return rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=count).astype(float)


def weighted_means(grid: FloatArray, weights: FloatArray | None = None) -> FloatArray:
    """Means over seeds, (draws, V), of values (n, V) for the seeds' weights in each draw (draws, n).

    Without weights there is one draw, which has each seed once.
    """
    weights = np.ones((1, len(grid))) if weights is None else weights
    # Sums that are equal but for rounding have to tie; two that differ do so by an image at least.
    return np.round(weights @ grid, 9) / weights.sum(axis=1, keepdims=True)


def bca_interval(differences: FloatArray, rng: np.random.Generator) -> Interval | None:
    if len(differences) < BOOTSTRAP_SEEDS or np.ptp(differences) == 0:
        return None
    with warnings.catch_warnings():
        # Where it cannot be had, scipy warns and gives NaN.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        found = stats.bootstrap(
            (differences,), np.mean, method="BCa", n_resamples=BOOTSTRAPS, rng=rng
        ).confidence_interval
    return None if math.isnan(found.low) else Interval(float(found.low), float(found.high))
