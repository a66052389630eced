"""Bootstrap over seeds: the BCa interval of a mean difference."""

from __future__ import annotations

import math
import warnings

import numpy as np
from scipy import stats

from ablations.analysis.intervals import FloatArray, Interval

BOOTSTRAP_SEEDS = 8  # below, bias and acceleration cannot be estimated
BOOTSTRAPS = 9999


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
