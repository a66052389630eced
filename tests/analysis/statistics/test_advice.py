"""Seeds that are advised: against simulated experiments, and what they depend on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

from ablations.analysis.statistics.advice import Found, SeedsNeeded, seeds_needed

MARGIN = 50.0  # images, as all differences here


@dataclass(frozen=True, kw_only=True)
class Case:
    n: int
    difference: float
    std: float
    level: float = 0.004
    may_be_equivalent: bool = True

    @property
    def advised(self) -> SeedsNeeded:
        found = Found(n=self.n, difference=self.difference, std=self.std, least_std=0.4)
        return seeds_needed(found, margin=MARGIN, level=self.level, may_be_equivalent=self.may_be_equivalent)


def share_settled(case: Case, seeds: int, *, experiments: int = 4_000) -> float:
    """The share of experiments that are settled: a truth as the found seeds leave it open, and seeds added to them."""
    rng = np.random.default_rng(seeds)
    std = case.std * np.sqrt((case.n - 1) / rng.chisquare(case.n - 1, experiments))
    truth = rng.normal(case.difference, std / math.sqrt(case.n))
    more = rng.normal(truth[:, None], std[:, None], (experiments, seeds - case.n))
    # Any n numbers with the found mean and standard deviation.
    numbers = np.arange(case.n) - (case.n - 1) / 2
    found = case.difference + numbers * case.std / numbers.std(ddof=1)
    sample = np.hstack([np.tile(found, (experiments, 1)), more])
    mean, error = sample.mean(axis=1), sample.std(axis=1, ddof=1) / math.sqrt(seeds)
    settled = np.abs(mean) > stats.t.isf(case.level / 2, seeds - 1) * error
    if case.may_be_equivalent:
        settled |= MARGIN - np.abs(mean) > stats.t.isf(case.level, seeds - 1) * error
    return float(settled.mean())


@pytest.mark.parametrize(
    "case",
    [
        Case(n=3, difference=0, std=20),
        Case(n=3, difference=60, std=40),
        Case(n=5, difference=-30, std=30),
        Case(n=5, difference=0, std=10, level=0.0001),
        Case(n=4, difference=20, std=15, may_be_equivalent=False),
        Case(n=10, difference=45, std=60),
    ],
    ids=str,
)
def test_advised_seeds_are_the_fewest_that_settle_the_stated_shares_of_experiments(case: Case) -> None:
    for seeds, share in zip(case.advised, (0.5, 0.9), strict=True):
        assert seeds is not None and seeds > case.n
        # Three standard deviations of a share of the advice's 1,024 draws.
        near = 3 * math.sqrt(share * (1 - share) / 1_024)
        assert share_settled(case, seeds) >= share - near
        assert seeds == case.n + 1 or share_settled(case, seeds - 1) <= share + near


def test_what_is_harder_to_settle_needs_no_fewer_seeds() -> None:
    for cases in (
        [Case(n=5, difference=10, std=std) for std in (5, 10, 20, 30, 40, 60)],
        [Case(n=5, difference=10, std=20, level=level) for level in (0.04, 0.01, 0.001, 0.0001)],
        [Case(n=5, difference=difference, std=20) for difference in (5, 10, 20, 30)],
        [Case(n=5, difference=10, std=20, may_be_equivalent=may) for may in (True, False)],
    ):
        for numbers in zip(*(case.advised for case in cases), strict=True):
            known = [number or 1_001 for number in numbers]
            assert known == sorted(known) and known[0] < known[-1]


def test_the_larger_number_is_no_smaller() -> None:
    for difference in (0, 20, -45, 50, 80):
        likely, safe = Case(n=3, difference=difference, std=30).advised
        assert likely is not None and likely <= (safe or 1_001)


def test_beyond_a_thousand_seeds_there_is_no_number() -> None:
    # Half of the thousand seeds showed no difference at all, and the margin is 0.4 standard errors of all.
    assert Case(n=500, difference=0, std=4_000).advised == (None, None)
    likely, safe = Case(n=10, difference=0, std=60, may_be_equivalent=False).advised
    assert (likely is not None, safe) == (True, None)


def test_a_difference_beyond_doubt_needs_one_more_seed() -> None:
    assert Case(n=2, difference=4_000, std=0.1).advised == (3, 3)
