"""The bootstrap over seeds: the BCa interval against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from ablations.analysis.bootstrap import bca_interval
from ablations.analysis.intervals import FloatArray


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
