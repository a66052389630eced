"""Kendall's tau that a ranking is expected to have with the true order: against simulated rankings and statsmodels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from ablations.analysis.statistics.expected_tau import expected_tau, measure_spread, noise_ceiling
from ablations.analysis.statistics.intervals import FloatArray

NO_FLOOR = np.zeros(1)


def mean_tau(first: FloatArray, second: FloatArray) -> Any:
    """The mean Kendall's tau of pairs of rankings (draws, V) without ties, within five standard errors."""
    pairs = np.triu_indices(first.shape[1], 1)
    orders = [np.sign(values[:, pairs[0]] - values[:, pairs[1]]) for values in (first, second)]
    taus = (orders[0] * orders[1]).mean(axis=1)
    return pytest.approx(taus.mean(), abs=5 * taus.std() / np.sqrt(len(taus)))


def test_the_spread_is_that_of_the_analysis_of_variance_with_seeds_as_blocks() -> None:
    rng = np.random.default_rng(1)
    errors = rng.normal(size=(4, 1)) + np.linspace(0, 2, 6) + rng.normal(0, 0.5, size=(4, 6))
    seeds, variants = (grid.ravel() for grid in np.indices(errors.shape))
    frame = pd.DataFrame({"error": errors.ravel(), "seed": seeds, "variant": variants})
    row: Any = anova_lm(ols("error ~ C(seed) + C(variant)", frame).fit()).loc["C(variant)"]
    found = measure_spread(errors, least_std=NO_FLOOR)
    assert found is not None
    # F is raised by 5/4 for six variants, and F - 1 is the ratio of the variances times the seeds.
    assert found.ratio == pytest.approx((row["F"] * 5 / 4 - 1) / 4)
    assert found.p == pytest.approx(row["PR(>F)"])


def test_the_expected_tau_is_that_of_simulated_rankings() -> None:
    rng = np.random.default_rng(2)
    true = rng.normal(0, 0.5, size=(5000, 8))
    for seeds in (1, 3, 10):
        means = true + rng.normal(0, 1 / np.sqrt(seeds), size=true.shape)
        assert expected_tau(0.25, seeds=seeds) == mean_tau(means, true)


def test_the_noise_ceiling_is_the_tau_of_two_simulated_suites_with_the_same_true_order() -> None:
    rng = np.random.default_rng(3)
    true = rng.normal(0, 1, size=(5000, 8))
    first, second = (true + rng.normal(0, std, size=true.shape) for std in (1 / np.sqrt(3), 2 / np.sqrt(5)))
    assert noise_ceiling((1.0, 3), (0.25, 5)) == mean_tau(first, second)


def test_without_spread_no_ranking_has_an_order_and_without_noise_every_one_has_the_true_one() -> None:
    assert (expected_tau(0.0, seeds=100), noise_ceiling((0.0, 3), (5.0, 3))) == (0, 0)
    level = measure_spread(np.full((3, 4), 0.1), least_std=np.full(4, 1e-5))
    apart = measure_spread(np.tile([0.1, 0.2, 0.3, 0.4], (3, 1)), least_std=np.full(4, 1e-5))
    assert level == (0, 1)
    assert apart is not None and apart.p < 1e-20
    assert expected_tau(apart.ratio, seeds=1) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("shape", [(1, 7), (5, 2)], ids=["one seed", "two variants"])
def test_there_is_no_spread_of_one_seed_or_two_variants(shape: tuple[int, int]) -> None:
    assert measure_spread(np.zeros(shape), least_std=NO_FLOOR) is None
