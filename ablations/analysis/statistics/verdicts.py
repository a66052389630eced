"""Verdicts on variants: what the paired tests show of each difference, at a level that all of them share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ablations.analysis.statistics.intervals import FloatArray
from ablations.analysis.statistics.paired_tests import PairedTests, t_tests

Verdict = Literal[
    "better", "better, within the margin", "worse", "worse, within the margin", "equivalent", "inconclusive"
]
INCONCLUSIVE: Verdict = "inconclusive"
DIFFERS = ("better", "better, within the margin", "worse", "worse, within the margin")
EQUIVALENT = ("equivalent", "better, within the margin", "worse, within the margin")
MIN_MARGIN_IMAGES = 5  # test images; fewer cannot show equivalence
_LEAVING = 0.1  # p up to which a difference is probably beyond the margin, so that its comparison leaves the count

Flags = NDArray[np.bool_]


class Shown(NamedTuple):
    """What is shown of each of V differences from the baseline; of no difference, all are false."""

    lower: Flags
    higher: Flags
    not_lower: Flags  # by the margin or more
    not_higher: Flags
    beyond: Flags  # the margin

    @classmethod
    def nothing(cls, count: int) -> Shown:
        """Nothing shown of so many differences."""
        return cls(*np.zeros((len(cls._fields), count), dtype=bool))

    @property
    def within(self) -> Flags:
        """Whether a difference is shown to be within the margin: the variant is equivalent to the baseline."""
        return self.not_lower & self.not_higher

    @property
    def settled(self) -> Flags:
        """Whether there is a verdict."""
        return self.lower | self.higher | self.within

    def joined(self, later: Shown) -> Shown:
        """What was shown at an earlier look, and later; where they contradict each other, the later look holds."""
        not_so_far = (self.higher & (later.not_higher | later.lower)) | (self.lower & (later.not_lower | later.higher))
        return Shown(
            lower=later.lower | (self.lower & ~later.higher),
            higher=later.higher | (self.higher & ~later.lower),
            not_lower=later.not_lower | (self.not_lower & ~(later.beyond & later.lower)),
            not_higher=later.not_higher | (self.not_higher & ~(later.beyond & later.higher)),
            beyond=later.beyond | (self.beyond & ~not_so_far),
        )

    def of(self, index: int) -> Shown:
        """What is shown of one difference, each field a single value."""
        return Shown(*(flags[index] for flags in self))

    def both(self, other: Shown) -> Shown:
        """What is shown by both."""
        return Shown(*(one & two for one, two in zip(self, other, strict=True)))

    def verdict(self) -> Verdict:
        """The verdict on a single difference in words."""
        if self.lower:
            return "better, within the margin" if self.within else "better"
        if self.higher:
            return "worse, within the margin" if self.within else "worse"
        return "equivalent" if self.within else INCONCLUSIVE


def shared_level(tests: PairedTests, *, level: float, may_be_equivalent: bool) -> float:
    """The level at which each comparison is tested, so that any is false with a probability of at most `level`.

    Each comparison has two hypotheses, no difference and a difference beyond the margin. At most one of them is true,
    so a comparison counts once: with V of them each is tested at level / V. One of which both are settled leaves the
    count, as in Holm's method: a difference is shown, and it is shown to be within the margin, or is probably beyond.
    The latter may be wrong in one of ten differences at the margin, which raises the probability of any false verdict
    by a fortieth at most (`TOTAL` of `analysis.looks` keeps room for it).

    Source: Shaffer 1986, "Modified sequentially rejective multiple test procedures".
    """
    count = len(tests.difference)
    shared, p, p_equivalent = level / count, tests.p, tests.p_equivalent
    probably_beyond = tests.p_beyond <= _LEAVING
    while True:
        settled = (p <= shared) & (probably_beyond | (p_equivalent <= shared) | (not may_be_equivalent))
        now = level / max(1, count - int(settled.sum()))
        if now <= shared:
            return shared
        shared = now


def show(tests: PairedTests, *, level: float, may_be_equivalent: bool) -> Shown:
    """What the tests show at their shared level (see `shared_level`); nothing is equivalent unless it may be."""
    shared = shared_level(tests, level=level, may_be_equivalent=may_be_equivalent)
    differs = tests.p <= shared
    return Shown(
        lower=differs & (tests.difference < 0),
        higher=differs & (tests.difference > 0),
        not_lower=(tests.p_not_lower <= shared) & may_be_equivalent,
        not_higher=(tests.p_not_higher <= shared) & may_be_equivalent,
        beyond=tests.p_beyond <= shared,
    )


class Sample(NamedTuple):
    """The paired differences of V variants from the baseline over n seeds.

    `differences` (n, V) are of top-1 errors; `least_std` (V,) is what their deviations cannot be less than. `new_error`
    and `new_df` (V,) are the standard errors of the mean differences on new images and their degrees of freedom, NaN
    where they are not known.
    """

    differences: FloatArray
    least_std: FloatArray
    new_error: FloatArray
    new_df: FloatArray

    def tests(self, margin: float) -> tuple[PairedTests, PairedTests]:
        """The tests on these test images and on new ones."""
        these = t_tests(self.differences, margin=margin, least_std=self.least_std)
        return these, replace(these, standard_error=self.new_error, df=self.new_df)


class Judged(NamedTuple):
    """What all looks together show of V differences, on these test images and on new ones.

    `looks` (V,) is the number of the look that gave the verdict on these images, from 0 on; -1 without any.
    """

    these: Shown
    new: Shown
    looks: NDArray[np.int_]


def judge(samples: Sequence[Sample], levels: Sequence[float], *, margin: float, may_be_equivalent: bool) -> Judged:
    """Judge the differences at each look, at its own level; what an earlier look showed stays.

    New images add to the variance, but their larger degrees of freedom can make up for it. So only what is shown on
    these images too is shown on new ones.
    """
    count = samples[0].differences.shape[1]
    shown = shown_on_new = Shown.nothing(count)
    looks = np.full(count, -1)
    for number, (sample, level) in enumerate(zip(samples, levels, strict=True)):
        these, new = (show(tests, level=level, may_be_equivalent=may_be_equivalent) for tests in sample.tests(margin))
        before, shown, shown_on_new = shown, shown.joined(these), shown_on_new.joined(new.both(these))
        changed = (before.lower != shown.lower) | (before.higher != shown.higher) | (before.within != shown.within)
        looks[changed] = number
    return Judged(shown, shown_on_new, looks)
