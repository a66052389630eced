"""The bootstrap over seeds: resamples, means under their weights, and the BCa interval against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from ablations.analysis.bootstrap import bca_interval, resample_seeds, weighted_means
from ablations.analysis.intervals import FloatArray


def test_a_resample_of_seeds_has_as_many_as_there_are_each_as_likely() -> None:
    drawn = resample_seeds(4, np.random.default_rng(0))
    assert drawn.shape == (2000, 4) and set(drawn.sum(axis=1)) == {4}
    # By chance a seed is left out of (3/4)^4 of the resamples; five standard errors are 5.2 points.
    assert np.abs((drawn == 0).mean(axis=0) - 0.75**4).max() < 0.052
    assert resample_seeds(1, np.random.default_rng(0)).shape == (0, 1)


def test_means_of_a_draw_are_weighted_by_its_seeds() -> None:
    grid = np.array([[0.1, 0.2], [0.3, 0.6], [0.5, 0.1]])
    draws = np.array([[3, 0, 0], [1, 2, 0], [0, 1, 1]], dtype=float)
    expected = [np.average(grid, axis=0, weights=draw) for draw in draws]
    np.testing.assert_allclose(weighted_means(grid, draws), expected)
    np.testing.assert_allclose(weighted_means(grid), [grid.mean(axis=0)])


def test_means_of_the_same_values_in_another_order_are_equal() -> None:
    values = np.array([0.0817, 0.0793, 0.0829, 0.0801, 0.0809, 0.0811, 0.0799])
    rng = np.random.default_rng(1)
    grid = np.stack([rng.permutation(values) for _ in range(20)], axis=1)
    assert len(set(grid.mean(axis=0))) > 1, "these values show nothing"
    assert len(set(weighted_means(grid)[0])) == 1


@pytest.mark.parametrize("seeds", [8, 12, 16])
def test_the_bootstrap_interval_is_scipys(seeds: int) -> None:
    differences = np.random.default_rng(seeds).normal(0.003, 0.0015, seeds)
    expected = scipy.stats.bootstrap(
        (differences,),
        np.mean,
        confidence_level=0.95,
        n_resamples=9999,
        method="BCa",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert bca_interval(differences, np.random.default_rng(1)) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("differences", [np.arange(7.0), np.full(8, 3.0)], ids=["seven seeds", "no spread"])
def test_there_is_no_bootstrap_interval_of_few_or_equal_differences(differences: FloatArray) -> None:
    assert bca_interval(differences, np.random.default_rng(1)) is None


@pytest.mark.parametrize("differences", [[0] * 7 + [1], [0] * 6 + [-1, 1]], ids=str)
def test_the_bootstrap_interval_of_almost_no_spread_is_none_or_holds_the_mean(differences: list[int]) -> None:
    sample = np.array(differences, dtype=float)
    found = bca_interval(sample, np.random.default_rng(1))
    assert found is None or (np.isfinite(found).all() and found.low - 1e-12 <= sample.mean() <= found.high)
