"""Advice: how many seeds would settle a comparison, with which probability, given what its seeds showed so far."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import special

from ablations.analysis.statistics.intervals import FloatArray

# The second number is to settle 80 % of comparisons whatever is true. That takes 90 % on average over what the seeds
# leave open: differences near half the margin are the hardest, and unsettled comparisons had bad luck so far.
ASSURANCES = (0.5, 0.9)
MOST_SEEDS = 1000  # that are worth asking for
_DRAWS = 1024


class SeedsNeeded(NamedTuple):
    """Numbers of seeds, those that are there included, that settle a comparison in about half and in 80 % of cases.

    None where no number up to 1,000 does.
    """

    likely: int | None
    safe: int | None


class Found(NamedTuple):
    """What n seeds showed of a difference: its mean and standard deviation, and the least that the latter may be."""

    n: int
    difference: float
    std: float
    least_std: float


def seeds_needed(found: Found, *, margin: float, level: float, may_be_equivalent: bool) -> SeedsNeeded:
    """How many seeds would settle the comparison if the next look tests it at `level`.

    The probability is assurance: power averaged over what the seeds so far leave open, the true difference and
    deviation given the found ones (a normal sample, with the usual prior that is flat in the mean and in the logarithm
    of the deviation). It counts the seeds that are there. A comparison is settled by a difference or, where that may
    be, by equivalence.

    Source: O'Hagan, Stevens and Campbell 2005, "Assurance in clinical trial design".
    """

    def assurance(seeds: int) -> float:
        mean, std = _pooled(found, more=seeds - found.n)
        error = std / math.sqrt(seeds)
        settled = np.abs(mean) >= special.stdtrit(seeds - 1, 1 - level / 2) * error
        if may_be_equivalent:
            settled |= np.abs(mean) + special.stdtrit(seeds - 1, 1 - level) * error <= margin
        return float(settled.mean())

    likely, safe = (_fewest(assurance, least, found.n) for least in ASSURANCES)
    return SeedsNeeded(likely, safe)


_UNIFORM = np.random.default_rng(0).random((4, _DRAWS))  # the same for every comparison
_MEAN, _LATER_MEAN = special.ndtri(_UNIFORM[:2])


@functools.cache
def _chi_square(df: int, row: int) -> FloatArray:
    return special.chdtri(df, _UNIFORM[row])


def _pooled(found: Found, *, more: int) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of all seeds after so many more, in each draw of the true ones, (draws,)."""
    n, seeds = found.n, found.n + more
    std = found.std * np.sqrt((n - 1) / _chi_square(n - 1, 2))
    later = found.difference + std * (_MEAN / math.sqrt(n) + _LATER_MEAN / math.sqrt(more))
    scatter = std**2 * _chi_square(more - 1, 3) if more > 1 else 0.0
    squares = (n - 1) * found.std**2 + scatter + n * more / seeds * (later - found.difference) ** 2
    mean = (n * found.difference + more * later) / seeds
    return mean, np.maximum(np.sqrt(squares / (seeds - 1)), found.least_std)


def _fewest(assurance: Callable[[int], float], least: float, n: int) -> int | None:
    """The smallest number of seeds above n with enough assurance, which grows with it, by bisection."""
    low, high = n, n
    while assurance(high + 1) < least:
        low, high = high + 1, min(2 * high, MOST_SEEDS - 1)
        if low >= MOST_SEEDS:
            return None
    high += 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if assurance(middle) >= least else (middle, high)
    return high
