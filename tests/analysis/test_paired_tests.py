"""Paired tests over seeds and over images: against independent implementations and cases by hand."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_of_statsmodels
from statsmodels.stats.weightstats import ttost_paired

from ablations.analysis.bootstrap import bca_interval
from ablations.analysis.intervals import FloatArray
from ablations.analysis.paired_tests import compare_all, mcnemar
from tests.support.paired_suites import IMAGES, MARGIN, compare, compare_wrong

MANY = 10**9  # images: no two errors are the same number of them by chance


def made_suite(rng: np.random.Generator, *, seeds: int, variants: int = 7) -> dict[str, list[float]]:
    """Errors around 10 %, some variants apart by about the margin, to nine digits: whole images out of `MANY`."""
    apart = rng.choice([-0.005, 0, 0.003], (variants, 1))
    errors = rng.normal(0.1 + apart, 0.0015, (variants, seeds)).round(9)
    return {str(row): each.tolist() for row, each in enumerate(errors)}


def differences_of(errors: Mapping[str, Sequence[float]], variant: str) -> FloatArray:
    return np.array(errors[variant]) - np.array(errors["0"])


# Tests and intervals against other implementations


@pytest.mark.parametrize("seeds", [2, 3, 5, 10, 20])
def test_p_and_interval_are_those_of_the_paired_t_test(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    errors = made_suite(rng, seeds=seeds)
    for found in compare_all(errors, baseline="0", test_images=MANY, margin=MARGIN, rng=rng):
        expected: Any = scipy.stats.ttest_rel(errors[found.variant], errors["0"])
        assert found.n == seeds
        assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
        assert found.difference / (found.std / math.sqrt(seeds)) == pytest.approx(expected.statistic, rel=1e-9)
        assert found.interval == pytest.approx(tuple(expected.confidence_interval(0.95)), rel=1e-9)


@pytest.mark.parametrize("margin", [0.0005, 0.005])
@pytest.mark.parametrize("seeds", [2, 3, 10])
def test_equivalence_p_is_that_of_two_one_sided_tests(seeds: int, margin: float) -> None:
    rng = np.random.default_rng(seeds)
    errors = made_suite(rng, seeds=seeds, variants=20)
    signs = set()
    for found in compare_all(errors, baseline="0", test_images=MANY, margin=margin, rng=rng):
        expected = ttost_paired(np.array(errors[found.variant]), np.array(errors["0"]), -margin, margin)[0]
        assert found.p_equivalent == pytest.approx(expected, rel=1e-9)
        signs.add(found.difference < 0)
    assert signs == {True, False}


def test_holm_by_hand() -> None:
    # With two seeds t has one degree of freedom: p = 1 - 2 atan(t) / pi. The spread is one image either way, so that
    # t is the mean difference in images; two variants have the same p-values as two others.
    p_values = [0.01, 0.04, 0.03, 0.005]
    means = [math.tan(math.pi / 2 * (1 - p)) for p in p_values]
    found = compare(*([mean - 1, mean + 1] for mean in means))
    assert [each.p for each in found] == pytest.approx(p_values)
    # 4 x 0.005, 3 x 0.01, 2 x 0.03; and 1 x 0.04 is no less than the one before.
    assert [each.p_holm for each in found] == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_of_equivalence_by_hand() -> None:
    # No mean difference, and a spread that puts the margin of 50 images at the t of each one-sided p.
    p_values = [0.01, 0.04, 0.03, 0.005]
    spreads = [50 / math.tan(math.pi / 2 * (1 - 2 * p)) for p in p_values]
    found = compare(*([-spread, spread] for spread in spreads))
    assert [each.p_equivalent for each in found] == pytest.approx(p_values)
    assert [each.p_equivalent_holm for each in found] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert [each.verdict for each in found] == ["equivalent", "inconclusive", "inconclusive", "equivalent"]


def share_of_signs(differences: FloatArray) -> float:
    """The share of all signs that give as large a sum, either way, by going through them."""
    sums = [abs(np.dot(signs, differences)) for signs in itertools.product([1, -1], repeat=len(differences))]
    return sum(each >= abs(differences.sum()) * (1 - 1e-9) for each in sums) / len(sums)


@pytest.mark.parametrize("seeds", range(2, 9))
def test_sign_flip_p_is_the_share_of_all_signs(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    errors = made_suite(rng, seeds=seeds)
    for found in compare_all(errors, baseline="0", test_images=MANY, margin=MARGIN, rng=rng):
        assert found.p_signs == pytest.approx(share_of_signs(differences_of(errors, found.variant)))


@pytest.mark.parametrize("seeds", [3, 6, 8])
def test_sign_flip_p_counts_ties_of_whole_images(seeds: int) -> None:
    # Errors are a few images apart, so many signs give the very same sum, up to how fractions are rounded.
    wrong = np.random.default_rng(seeds).integers(2_990, 3_010, (20, seeds)).astype(float)
    for found, images in zip(compare_wrong(wrong), wrong[1:] - wrong[0], strict=True):
        assert found.p_signs == pytest.approx(share_of_signs(images))


@pytest.mark.parametrize("seeds", range(2, 11))
def test_differences_of_one_sign_reach_the_smallest_p(seeds: int) -> None:
    ahead = np.random.default_rng(seeds).uniform(1, 9, seeds)
    behind, ahead_but_once = -ahead, np.append(ahead[1:], -ahead[0])
    found = compare(*(row.tolist() for row in (ahead, behind, ahead_but_once)))
    assert [each.smallest_p for each in found] == [2 / 2**seeds] * 3
    assert [each.p_signs for each in found[:2]] == pytest.approx([2 / 2**seeds] * 2)
    assert found[2].p_signs > found[2].smallest_p


def test_the_bootstrap_interval_is_that_of_the_differences() -> None:
    errors = made_suite(np.random.default_rng(8), seeds=8, variants=2)
    rng, same = np.random.default_rng(1), np.random.default_rng(1)
    (found,) = compare_all(errors, baseline="0", test_images=MANY, margin=MARGIN, rng=rng)
    assert found.bootstrap == pytest.approx(bca_interval(differences_of(errors, "1"), same), rel=1e-6)
    assert compare([1, 2, 4, 5, 6, 8, 9])[0].bootstrap is None


def test_a_bootstrap_bound_of_no_image_holds_zero() -> None:
    # Resamples' sums are whole images, so that a bound can be zero itself; and is for these, whatever is their base.
    base = np.array([997, 1021, 978, 943, 1082, 983, 950, 1061], dtype=float)
    differences = np.array([5, 7, 3, 0, 2, 6, 4, -4], dtype=float)
    expected = scipy.stats.bootstrap(
        (differences,), np.mean, n_resamples=9999, method="BCa", rng=np.random.default_rng(1)
    ).confidence_interval
    assert expected.low == 0
    (found,) = compare_wrong(np.stack([base, base + differences]), seed=1)
    assert found.bootstrap is not None and found.bootstrap.holds(0)
    assert found.p > 0.05 and found.p_signs > 0.05
    assert not found.checks_disagree


def test_mcnemar_is_that_of_statsmodels() -> None:
    rng = np.random.default_rng(1)
    for share in (0.02, 0.1, 0.5):
        variant, baseline = rng.random((2, 300)) < np.array([[share], [0.1]])
        found = mcnemar(variant, baseline)
        table = pd.crosstab(variant, baseline).to_numpy()
        assert (found.only_variant_wrong, found.only_baseline_wrong) == (table[1, 0], table[0, 1])
        expected: Any = mcnemar_of_statsmodels(table, exact=True)
        assert found.p == pytest.approx(expected.pvalue)


def test_mcnemar_by_hand() -> None:
    #                   both right, both wrong, only the variant's, only the baseline's
    variant = np.repeat([False, True, True, False], [20, 4, 1, 5])
    baseline = np.repeat([False, True, False, True], [20, 4, 1, 5])
    found = mcnemar(variant, baseline)
    # Of six images at most one on either side: 2 x (1 + 6) of 64.
    assert (found.only_variant_wrong, found.only_baseline_wrong, found.p) == (1, 5, pytest.approx(14 / 64))
    mirrored = mcnemar(baseline, variant)
    assert (mirrored.only_variant_wrong, mirrored.only_baseline_wrong, mirrored.p) == (5, 1, pytest.approx(14 / 64))


def test_networks_with_the_same_wrong_images_do_not_differ() -> None:
    wrong = np.array([True, False, True, False])
    assert mcnemar(wrong, wrong) == (0, 0, 1.0)
    assert mcnemar(np.zeros(4, dtype=bool), np.zeros(4, dtype=bool)) == (0, 0, 1.0)


def test_comparisons_are_of_every_variant_in_order_with_the_baseline() -> None:
    errors = {"plain": [0.1, 0.11], "base": [0.2, 0.22], "deep": [0.3, 0.33]}
    rng = np.random.default_rng(1)
    found = compare_all(errors, baseline="base", test_images=100, margin=0.01, rng=rng)
    assert [(each.variant, each.baseline, each.n, each.margin) for each in found] == [
        ("plain", "base", 2, 0.01),
        ("deep", "base", 2, 0.01),
    ]
    assert [each.difference for each in found] == pytest.approx([-0.105, 0.105])


# Unusable input


def check(
    errors: Mapping[str, Sequence[float]], *, baseline: str = "base", margin: float = MARGIN, test_images: int = IMAGES
) -> None:
    rng = np.random.default_rng(1)
    compare_all(errors, baseline=baseline, test_images=test_images, margin=margin, rng=rng)


GOOD = {"base": [0.1, 0.2], "deep": [0.1, 0.3]}


@pytest.mark.parametrize(
    ("errors", "baseline", "message"),
    [
        (GOOD, "gone", "'gone' has no errors; there are base, deep"),
        ({}, "base", "'base' has no errors; there are none"),
        ({"base": [0.1, 0.2]}, "base", "no variant beside the baseline 'base'; compare at least two"),
        ({"base": [0.1], "deep": [0.2]}, "base", "number of seeds is 1; .* needs at least 2"),
        ({"base": [0.1, 0.2, 0.3], "deep": [0.1, 0.2]}, "base", "'base': 3, 'deep': 2.*; compare those that all have"),
    ],
)
def test_unusable_suites_are_refused(errors: Mapping[str, Sequence[float]], baseline: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(errors, baseline=baseline)


@pytest.mark.parametrize("error", [-0.1, 1.01, 12.5, math.nan, math.inf])
def test_errors_outside_the_unit_interval_are_refused(error: float) -> None:
    for errors in ({"base": [0.1, error], "deep": [0.1, 0.2]}, {"base": [0.1, 0.2], "deep": [error, 0.2]}):
        with pytest.raises(ValueError, match=rf"{error}.*fraction|fraction.*{error}"):
            check(errors)


@pytest.mark.parametrize("margin", [0.0, -0.005, 0.6, 5.0, math.nan, math.inf])
def test_unusable_margins_are_refused(margin: float) -> None:
    with pytest.raises(ValueError, match=rf"margin is {margin}; .*0\.005 for half a point"):
        check(GOOD, margin=margin)


@pytest.mark.parametrize("test_images", [0, -5])
def test_unusable_numbers_of_test_images_are_refused(test_images: int) -> None:
    with pytest.raises(ValueError, match=rf"test_images is {test_images}; .* at least 1"):
        check(GOOD, test_images=test_images)
