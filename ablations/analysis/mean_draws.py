"""Draws of the true means of variants over seeds, from Student's t around the measured ones."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ablations.analysis.results import Results
from ablations.analysis.statistics.intervals import MIN_SEEDS, FloatArray

DRAWS = 2000
SHARE_SEEDS = 5  # below, shares of draws say too little to be reported


def seed_means(grid: FloatArray) -> FloatArray:
    """Means over seeds, (V,), of values (n, V); those of the same values in another order are equal."""
    # Sums that are equal but for rounding have to tie; two that differ do so by an image at least.
    return np.round(grid.sum(axis=0), 9) / len(grid)


def own_std(grid: FloatArray) -> FloatArray:
    """The standard deviation of each variant over seeds, (V,), of values (n, V), without what a seed does to all.

    What all variants of a seed share changes no order, so the mean of each seed is taken off first. That takes 1/V of
    the variance off too if all variants spread alike, which is made up for. A variant that spreads far more than the
    others raises theirs.
    """
    variants = grid.shape[1]
    deviations = grid - grid.mean(axis=1, keepdims=True)
    return deviations.std(axis=0, ddof=1) * math.sqrt(variants / (variants - 1))


def draw_means(grid: FloatArray, *, std: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Draws (DRAWS, V) of the true means of values (n, V) that have these standard deviations (V,).

    Each variant is drawn on its own: Student's t with n - 1 degrees of freedom around its mean, scaled by its standard
    error. With one seed there is no draw, (0, V).

    In simulated suites this covers true ranks better than draws with the sample covariance, which few seeds do not
    tell.
    """
    n = len(grid)
    shape = (DRAWS if n >= MIN_SEEDS else 0, grid.shape[1])
    scatter = rng.standard_t(n - 1, size=shape) if n >= MIN_SEEDS else np.empty(shape)
    return seed_means(grid) + std / math.sqrt(n) * scatter


def draw_errors(errors: FloatArray, *, least_std: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Draws (DRAWS, V) of the true mean errors of errors (n, V), for orders of variants; (0, V) with one seed.

    No standard deviation is taken to be less than that of `least_std` (V,).
    """
    std = np.maximum(own_std(errors), least_std) if len(errors) >= MIN_SEEDS else least_std
    return draw_means(errors, std=std, rng=rng)


def least_stds(results: Results, least_std: Mapping[str, float] | None = None) -> FloatArray:
    """The least standard deviation of each variant's error, (V,): that given, but no less than rounding to one image.

    `least_std` has fractions by variant; it need not name all.
    """
    rounding = math.sqrt(1 / 12) / results.plan.data.test_images
    return np.array([max((least_std or {}).get(name, 0.0), rounding) for name in results.variants])
