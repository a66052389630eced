"""Paired tests of a variant against the baseline, over seeds and over images, and the verdicts from them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.multitest import multipletests

from ablations.analysis.bootstrap import BOOTSTRAPS, bca_interval
from ablations.analysis.intervals import ALPHA, MIN_SEEDS, FloatArray, Interval
from ablations.analysis.power import seeds_for_difference, seeds_for_equivalence

Verdict = Literal["better", "worse", "equivalent", "inconclusive"]
EXACT_SEEDS = 16  # up to which the sign-flip test enumerates all 2^n signs


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A variant's top-1 errors less the baseline's, paired by seed; errors and differences are fractions.

    `p` is from the paired t test, `p_equivalent` from two one-sided t tests against the margin; `p_holm` and
    `p_equivalent_holm` are these with Holm's adjustment for all comparisons of the suite. `p_signs` is from the
    sign-flip permutation test, exact up to 16 seeds; it cannot go below `smallest_p`. `bootstrap` is the BCa interval.
    `std` is the sample standard deviation of the differences, never below what rounding to whole images alone gives.
    `seeds_needed`, for an inconclusive comparison, is the number of seeds that would settle it with 80 % probability if
    the true difference and spread equal these estimates; None if no number up to 1,000 would.
    """

    variant: str
    baseline: str
    n: int
    difference: float
    std: float
    interval: Interval
    p: float
    p_holm: float
    p_equivalent: float
    p_equivalent_holm: float
    p_signs: float
    smallest_p: float
    bootstrap: Interval | None
    margin: float
    verdict: Verdict
    seeds_needed: int | None

    @property
    def checks_disagree(self) -> bool:
        """Whether the sign-flip test or the bootstrap contradicts the unadjusted t test on a difference from zero."""
        significant = self.p <= ALPHA
        by_signs = self.smallest_p <= ALPHA and (self.p_signs <= ALPHA) != significant
        by_bootstrap = self.bootstrap is not None and (not self.bootstrap.holds(0)) != significant
        return by_signs or by_bootstrap


class ImageTest(NamedTuple):
    """McNemar's exact test: numbers of images that only one of the two networks gets wrong, and the two-sided p."""

    only_variant_wrong: int
    only_baseline_wrong: int
    p: float


def compare_all(
    errors: Mapping[str, Sequence[float]],
    *,
    baseline: str,
    test_images: int,
    margin: float,
    rng: np.random.Generator,
) -> list[Comparison]:
    """Compare each variant with the baseline; `errors` are top-1 errors by variant, all in the same order of seeds.

    The t test is used because errors over seeds are close to normal and seeds are few. An error is a count out of
    `test_images`, so a spread is never taken to be less than that of rounding to one image.

    Raises:
        ValueError: if the baseline is missing, there is no variant beside it, seeds are fewer than two or unequal in
            number, an error is not in [0, 1], or the margin is not in (0, 0.5].
    """
    _check(errors, baseline=baseline, test_images=test_images, margin=margin)
    variants = [name for name in errors if name != baseline]
    alpha = ALPHA / len(variants)  # what Holm asks of the smallest p
    base = np.asarray(errors[baseline], dtype=float)
    raw = [
        _compare(
            np.asarray(errors[name], dtype=float) - base,
            names=(name, baseline),
            test_images=test_images,
            margin=margin,
            rng=rng,
        )
        for name in variants
    ]
    holm = _holm([comparison.p for comparison in raw])
    equivalent_holm = _holm([comparison.p_equivalent for comparison in raw])
    return [
        _with_verdict(replace(comparison, p_holm=p, p_equivalent_holm=p_equivalent), alpha=alpha)
        for comparison, p, p_equivalent in zip(raw, holm, equivalent_holm, strict=True)
    ]


def mcnemar(variant_wrong: NDArray[np.bool_], baseline_wrong: NDArray[np.bool_]) -> ImageTest:
    """Compare two trained networks on the same test images: whether each one gets them wrong, (N,).

    The result is about these two networks only: seeds of one architecture differ by more than images alone explain.

    Source: McNemar 1947, in its exact binomial form.
    """
    only_variant = int((variant_wrong & ~baseline_wrong).sum())
    only_baseline = int((baseline_wrong & ~variant_wrong).sum())
    differing = only_variant + only_baseline
    p = float(stats.binomtest(only_variant, differing, 0.5).pvalue) if differing else 1.0
    return ImageTest(only_variant, only_baseline, p)


def _check(errors: Mapping[str, Sequence[float]], *, baseline: str, test_images: int, margin: float) -> None:
    if baseline not in errors:
        raise ValueError(f"baseline {baseline!r} has no errors; there are {', '.join(errors) or 'none'}")
    if len(errors) < 2:
        raise ValueError(f"there is no variant beside the baseline {baseline!r}; compare at least two")
    counts = {name: len(values) for name, values in errors.items()}
    if len(set(counts.values())) > 1:
        raise ValueError(f"variants have unequal numbers of seeds: {counts}; compare those that all have")
    if counts[baseline] < MIN_SEEDS:
        raise ValueError(f"the number of seeds is {counts[baseline]}; a spread over them needs at least {MIN_SEEDS}")
    outside = [value for values in errors.values() for value in values if not 0 <= value <= 1]
    if outside:
        raise ValueError(f"an error is {outside[0]!r}; errors are fractions in [0, 1]")
    if not 0 < margin <= 0.5:
        raise ValueError(f"the margin is {margin!r}; it is a fraction in (0, 0.5], 0.005 for half a point")
    if test_images < 1:
        raise ValueError(f"test_images is {test_images!r}; it has to be at least 1")


def _compare(
    differences: FloatArray,
    *,
    names: tuple[str, str],
    test_images: int,
    margin: float,
    rng: np.random.Generator,
) -> Comparison:
    """One comparison, before the adjustment for all of them."""
    n = len(differences)
    # Whole images: rounding errors in differences of fractions would break ties that the checks depend on.
    images = np.rint(differences * test_images)
    bootstrap = bca_interval(images, rng)
    mean = float(differences.mean())
    # Rounding to a whole image has variance 1/12; a difference has two of them.
    std = max(float(differences.std(ddof=1)), math.sqrt(1 / 6) / test_images)
    standard_error = std / math.sqrt(n)
    reach = float(stats.t.ppf(1 - ALPHA / 2, n - 1)) * standard_error
    return Comparison(
        variant=names[0],
        baseline=names[1],
        n=n,
        difference=mean,
        std=std,
        interval=Interval(mean - reach, mean + reach),
        p=float(2 * stats.t.sf(abs(mean) / standard_error, n - 1)),
        p_holm=1.0,
        p_equivalent=float(stats.t.sf((margin - abs(mean)) / standard_error, n - 1)),
        p_equivalent_holm=1.0,
        p_signs=_sign_flip_p(images, rng),
        smallest_p=2.0 ** (1 - n) if n <= EXACT_SEEDS else 2 / (BOOTSTRAPS + 1),
        bootstrap=bootstrap and Interval(bootstrap.low / test_images, bootstrap.high / test_images),
        margin=margin,
        verdict="inconclusive",
        seeds_needed=None,
    )


def _with_verdict(comparison: Comparison, *, alpha: float) -> Comparison:
    """The comparison with its verdict; a significant difference takes precedence over equivalence."""
    if comparison.p_holm <= ALPHA:
        return replace(comparison, verdict="better" if comparison.difference < 0 else "worse")
    if comparison.p_equivalent_holm <= ALPHA:
        return replace(comparison, verdict="equivalent")
    difference, std = comparison.difference, comparison.std
    enough = (
        seeds_for_difference(difference, std, alpha=alpha),
        seeds_for_equivalence(difference, std, margin=comparison.margin, alpha=alpha),
    )
    return replace(comparison, seeds_needed=min((count for count in enough if count), default=None))


def _holm(p_values: Sequence[float]) -> list[float]:
    adjusted = np.asarray(multipletests(p_values, alpha=ALPHA, method="holm")[1], dtype=float)
    return adjusted.tolist()


def _sign_flip_p(differences: FloatArray, rng: np.random.Generator) -> float:
    """Two-sided p of the permutation test that swaps variant and baseline within seeds."""
    if not differences.any():
        return 1.0
    found = stats.permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=2**EXACT_SEEDS if len(differences) <= EXACT_SEEDS else BOOTSTRAPS,
        rng=rng,
    )
    return float(found.pvalue)
