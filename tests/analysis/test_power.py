"""Planned seeds: against the noncentral t distribution, closed forms, and simulated experiments."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from ablations.analysis.power import seeds_for_difference, seeds_for_equivalence

MARGIN = 0.005


def power_of_t(effect: float, seeds: int, alpha: float) -> float:
    """The probability that the two-sided t test finds the effect, with the noncentral t distribution."""
    critical = scipy.stats.t.isf(alpha / 2, seeds - 1)
    return float(scipy.stats.nct.sf(critical, seeds - 1, effect * math.sqrt(seeds)))


@pytest.mark.parametrize("alpha", [0.05, 0.05 / 6, 0.05 / 20])
@pytest.mark.parametrize("effect", [0.13, 0.15, 0.2, 0.5, 1, 1.5, 2, 3, 5, 8, 13, 20, 50, 1000])
def test_seeds_for_a_difference_are_the_fewest_with_the_power(effect: float, alpha: float) -> None:
    for sign in (1, -1):
        found = seeds_for_difference(sign * effect * 0.002, 0.002, alpha=alpha)
        assert found is not None
        assert power_of_t(effect, found, alpha) >= 0.8
        assert found == 2 or power_of_t(effect, found - 1, alpha) < 0.8


def test_no_seeds_for_no_difference_or_one_too_small() -> None:
    assert seeds_for_difference(0.0, 0.002, alpha=0.05) is None
    # A thousand seeds show an effect of 2.8 / sqrt(1000) with 80 % probability: (1.96 + 0.84) standard errors.
    assert seeds_for_difference(0.00018, 0.002, alpha=0.05) is not None
    assert seeds_for_difference(0.00017, 0.002, alpha=0.05) is None
    assert seeds_for_difference(-0.00017, 0.002, alpha=0.05) is None
    assert seeds_for_difference(1e-9, 0.5, alpha=0.05) is None


def test_two_seeds_are_enough_for_a_difference_beyond_doubt() -> None:
    assert seeds_for_difference(0.9, 1e-5, alpha=0.05 / 20) == 2


def simulated_equivalence(
    rng: np.random.Generator, difference: float, std: float, *, seeds: int, alpha: float
) -> float:
    """The share of experiments in which both one-sided tests reject."""
    samples = rng.normal(difference, std, (20_000, seeds))
    standard_errors = samples.std(axis=1, ddof=1) / math.sqrt(seeds)
    below = (samples.mean(axis=1) - MARGIN) / standard_errors
    above = (samples.mean(axis=1) + MARGIN) / standard_errors
    critical = scipy.stats.t.isf(alpha, seeds - 1)
    return float(((below < -critical) & (above > critical)).mean())


@pytest.mark.parametrize("alpha", [0.05, 0.05 / 6])
@pytest.mark.parametrize(
    ("difference", "std"),
    [(0, 0.0008), (0, 0.002), (0, 0.01), (0.001, 0.003), (-0.002, 0.001), (0.003, 0.002), (-0.004, 0.0002)],
)
def test_seeds_for_equivalence_have_the_power_in_simulation(difference: float, std: float, alpha: float) -> None:
    found = seeds_for_equivalence(difference, std, margin=MARGIN, alpha=alpha)
    assert found is not None
    rng = np.random.default_rng(found)
    # The standard error of 20,000 experiments is 0.003.
    assert simulated_equivalence(rng, difference, std, seeds=found, alpha=alpha) >= 0.79
    assert found == 2 or simulated_equivalence(rng, difference, std, seeds=found - 1, alpha=alpha) <= 0.81


def test_no_seeds_for_equivalence_at_the_margin_or_with_too_large_a_spread() -> None:
    for difference in (MARGIN, -MARGIN, 2 * MARGIN, -0.3):
        assert seeds_for_equivalence(difference, 0.001, margin=MARGIN, alpha=0.05) is None
    assert seeds_for_equivalence(0.0, 0.5, margin=MARGIN, alpha=0.05) is None
    assert seeds_for_equivalence(0.99 * MARGIN, 0.01, margin=MARGIN, alpha=0.05) is None
