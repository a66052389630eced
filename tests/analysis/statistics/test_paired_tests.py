"""Paired tests over seeds and over images: against independent implementations and cases by hand."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_of_statsmodels
from statsmodels.stats.weightstats import ttost_paired

from ablations.analysis.statistics.intervals import FloatArray
from ablations.analysis.statistics.paired_tests import (
    PairedTests,
    mcnemar,
    rounding_std,
    sign_flip_p,
    smallest_sign_flip_p,
    t_tests,
)

MARGIN = 0.005
APART = np.array([-0.02, -0.006, -0.005, -0.003, 0.0, 0.001, 0.005, 0.007, 0.03])


def drawn(seeds: int) -> tuple[FloatArray, FloatArray]:
    """Errors of a baseline (n, 1) and of variants (n, V) apart from it."""
    rng = np.random.default_rng(seeds)
    return rng.normal(0.1, 0.0015, (seeds, 1)), rng.normal(0.1 + APART, 0.0015, (seeds, len(APART)))


# t tests


@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_p_values_and_intervals_are_those_of_scipy_and_statsmodels(seeds: int) -> None:
    base, errors = drawn(seeds)
    found = t_tests(errors - base, margin=MARGIN, least_std=0.0)
    two_sided: Any = stats.ttest_rel(errors, base)
    below: Any = stats.ttest_1samp(errors - base, MARGIN, alternative="less")
    above: Any = stats.ttest_1samp(errors - base, -MARGIN, alternative="greater")
    assert found.p == pytest.approx(two_sided.pvalue, rel=1e-9)
    assert found.p_not_higher == pytest.approx(below.pvalue, rel=1e-9)
    assert found.p_not_lower == pytest.approx(above.pvalue, rel=1e-9)
    equivalent = [ttost_paired(each, base[:, 0], -MARGIN, MARGIN)[0] for each in errors.T]
    assert found.p_equivalent == pytest.approx(equivalent, rel=1e-9)
    for level in (0.05, 0.004):
        low, high = stats.t.interval(1 - level, seeds - 1, loc=found.difference, scale=found.standard_error)
        assert found.difference - found.reach(level) == pytest.approx(low, rel=1e-9)
        assert found.difference + found.reach(level) == pytest.approx(high, rel=1e-9)


def test_p_of_a_difference_beyond_the_margin_is_that_of_its_square_where_the_spread_is_known() -> None:
    # The square of a normal difference is noncentral chi-squared, and centred at the margin has the largest p.
    error = 0.002
    known = PairedTests(
        difference=APART, standard_error=np.full(len(APART), error), df=np.full(len(APART), 1e12), margin=MARGIN
    )
    assert known.p_beyond == pytest.approx(stats.ncx2.sf((APART / error) ** 2, 1, (MARGIN / error) ** 2), rel=1e-6)


@pytest.mark.parametrize("margin", [0.0, 0.5, 1.5, 5.0])
def test_a_difference_at_the_margin_is_beyond_it_no_more_often_than_its_p_says(margin: float) -> None:
    # Of 40,000 samples of five seeds; the standard deviation of the share is 0.0011.
    samples = np.random.default_rng(5).normal(margin, math.sqrt(5), (5, 40_000))
    share = (t_tests(samples, margin=margin, least_std=0.0).p_beyond <= 0.05).mean()
    assert 0.9 * 0.05 - 0.004 <= share <= 0.05 + 0.004


def test_the_spread_is_no_less_than_its_floor() -> None:
    # Means of 1 and 2 with standard deviations of 1 and 0, over three seeds.
    found = t_tests(np.array([[0.0, 2.0], [1.0, 2.0], [2.0, 2.0]]), margin=1.0, least_std=np.array([0.5, 0.6]))
    assert found.difference.tolist() == [1.0, 2.0]
    assert found.standard_error == pytest.approx([1 / math.sqrt(3), 0.6 / math.sqrt(3)])
    assert found.df.tolist() == [2.0, 2.0]


def test_the_floor_is_the_spread_of_counts_that_differ_by_rounding_alone() -> None:
    counts = np.random.default_rng(1).uniform(100, 200, (2, 100_000))
    rounding = np.rint(counts) - counts
    assert rounding_std(400) == pytest.approx((rounding[1] - rounding[0]).std() / 400, rel=0.01)


# Sign flips


def share_of_signs(differences: FloatArray) -> float:
    """The share of all signs that give as large a sum, either way, by going through them."""
    sums = [abs(np.dot(signs, differences)) for signs in itertools.product([1, -1], repeat=len(differences))]
    return sum(each >= abs(differences.sum()) for each in sums) / len(sums)


@pytest.mark.parametrize("seeds", [2, 3, 5, 8])
def test_sign_flip_p_is_the_share_of_all_signs(seeds: int) -> None:
    # Differences are a few images, so many signs give the very same sum.
    rng = np.random.default_rng(seeds)
    for images in rng.integers(-4, 9, (8, seeds)).astype(float):
        assert sign_flip_p(images, rng) == pytest.approx(share_of_signs(images))


@pytest.mark.parametrize("seeds", [2, 4, 10, 17])
def test_differences_of_one_sign_reach_the_smallest_p(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    ahead = rng.integers(1, 9, seeds).astype(float)
    exact = 2 / 2**seeds if seeds <= 16 else 2 / 10_000  # of 9,999 sampled signs and the found ones, in both tails
    assert sign_flip_p(ahead, rng) == pytest.approx(exact) == smallest_sign_flip_p(seeds)


def test_no_difference_in_any_seed_has_p_one() -> None:
    assert sign_flip_p(np.zeros(4), np.random.default_rng(0)) == 1.0


# McNemar's test


def test_mcnemar_is_that_of_statsmodels() -> None:
    rng = np.random.default_rng(1)
    for share in (0.02, 0.1, 0.5):
        variant, baseline = rng.random((2, 300)) < np.array([[share], [0.1]])
        found = mcnemar(variant, baseline)
        table = pd.crosstab(variant, baseline).to_numpy()
        assert (found.only_variant_wrong, found.only_baseline_wrong) == (table[1, 0], table[0, 1])
        expected: Any = mcnemar_of_statsmodels(table, exact=True)
        assert found.p == pytest.approx(expected.pvalue)


def test_networks_with_the_same_wrong_images_do_not_differ() -> None:
    wrong = np.array([True, False, True, False])
    assert mcnemar(wrong, wrong) == (0, 0, 1.0)
