"""Paired tests of variants against the baseline: t tests over seeds, sign flips, and McNemar's test over images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from ablations.analysis.statistics.intervals import FloatArray

EXACT_SEEDS = 16  # up to which the sign-flip test enumerates all 2^n signs
SAMPLED_SIGNS = 9999  # beyond


@dataclass(frozen=True, kw_only=True, eq=False)
class PairedTests:
    """Student's t tests of the mean differences of V variants from the baseline, each an array (V,).

    Differences are top-1 errors less the baseline's, as fractions. Each has its standard error and the degrees of
    freedom of that. `margin` is the difference that counts as none.
    """

    difference: FloatArray
    standard_error: FloatArray
    df: FloatArray
    margin: float

    @property
    def p(self) -> FloatArray:
        """Two-sided p of no difference."""
        return 2 * self._above(np.abs(self.difference))

    @property
    def p_not_higher(self) -> FloatArray:
        """One-sided p of a difference of the margin or more; a small one shows that the error is not so much higher."""
        return self._above(self.margin - self.difference)

    @property
    def p_not_lower(self) -> FloatArray:
        """One-sided p of a difference of minus the margin or less."""
        return self._above(self.margin + self.difference)

    @property
    def p_equivalent(self) -> FloatArray:
        """The larger p of the two one-sided tests; a small one shows that the difference is within the margin.

        Source: Schuirmann 1987, two one-sided tests.
        """
        return self._above(self.margin - np.abs(self.difference))

    @property
    def p_beyond(self) -> FloatArray:
        """p of a difference within the margin, at most; a small one shows that it is beyond."""
        size = np.abs(self.difference)
        return self._above(size - self.margin) + self._above(size + self.margin)

    def reach(self, level: float) -> FloatArray:
        """Half the width of the two-sided interval that misses the true difference with probability `level`."""
        return special.stdtrit(self.df, 1 - level / 2) * self.standard_error

    def _above(self, distance: FloatArray) -> FloatArray:
        """The probability of a mean that far above its expectation."""
        return special.stdtr(self.df, -distance / self.standard_error)


def t_tests(differences: FloatArray, *, margin: float, least_std: ArrayLike) -> PairedTests:
    """The tests of differences by seed and variant (n, V), whose spread over seeds is at least `least_std` (V,).

    The t test is used because errors over seeds are close to normal and seeds are few.
    """
    n = len(differences)
    std = np.maximum(differences.std(axis=0, ddof=1), least_std)
    return PairedTests(
        difference=differences.mean(axis=0),
        standard_error=std / math.sqrt(n),
        df=np.full(differences.shape[1], n - 1.0),
        margin=margin,
    )


def rounding_std(test_images: int) -> float:
    """The standard deviation of a difference of two errors from rounding to whole images alone.

    Rounding has a variance of 1/12 image, and a difference has two of them.
    """
    return math.sqrt(1 / 6) / test_images


def sign_flip_p(images: FloatArray, rng: np.random.Generator) -> float:
    """Two-sided p of the permutation test that swaps variant and baseline within seeds, exact up to 16 seeds.

    Differences (n,) are in whole images: rounding errors of fractions would break ties.
    """
    if not images.any():
        return 1.0
    found = stats.permutation_test(
        (images,),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=2**EXACT_SEEDS if len(images) <= EXACT_SEEDS else SAMPLED_SIGNS,
        rng=rng,
    )
    return float(found.pvalue)


def smallest_sign_flip_p(n: int) -> float:
    """The least p that the sign-flip test can give with n seeds."""
    return 2.0 ** (1 - n) if n <= EXACT_SEEDS else 2 / (SAMPLED_SIGNS + 1)


class ImageTest(NamedTuple):
    """McNemar's exact test: numbers of images that only one of the two networks gets wrong, and the two-sided p."""

    only_variant_wrong: int
    only_baseline_wrong: int
    p: float


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
