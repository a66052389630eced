"""Design of a study: what a number of seeds can show, and how many seeds fit a budget."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import optimize, special

from ablations.analysis.looks import level_of_look
from ablations.analysis.planning.run_costs import makespan
from ablations.analysis.statistics.intervals import MIN_SEEDS
from ablations.records.looks import Look
from ablations.records.record import RunRecord

POWER = 0.8  # probability with which what can be shown is shown
_STDS = (np.arange(500) + 0.5) / 500  # probabilities at which the distribution of a sample's deviation is averaged


def detectable_difference(seeds: int, *, std: float, level: float) -> float:
    """The smallest true difference that a two-sided paired t test at `level` detects with 80 % probability.

    `std` is the standard deviation of a difference over seeds, in the unit of the result. NaN for a single seed, which
    has no spread.

    Source: the power of the t test, from the noncentral t distribution.
    """
    if seeds < MIN_SEEDS:
        return math.nan
    critical = special.stdtrit(seeds - 1, 1 - level / 2)
    return float(special.nctdtrinc(seeds - 1, 1 - POWER, critical)) * std / math.sqrt(seeds)


def detectable_margin(seeds: int, *, std: float, level: float) -> float:
    """The smallest margin within which two one-sided t tests at `level` show a difference of zero to be, as often.

    Exact for the two tests together: given the sample's standard deviation s, the mean has to lie within
    margin - t s / sqrt(n), so the normal probability of that is averaged over the distribution of s. Units as in
    `detectable_difference`.
    """
    if seeds < MIN_SEEDS:
        return math.nan
    reach = special.stdtrit(seeds - 1, 1 - level) * np.sqrt(special.chdtri(seeds - 1, _STDS) / (seeds - 1))

    def shown(margin: float) -> float:
        """How often equivalence is shown within a margin in standard errors, less what is asked for."""
        room = margin - reach
        return float(np.where(room > 0, 2 * special.ndtr(room) - 1, 0).mean()) - POWER

    found = optimize.root_scalar(shown, bracket=(0.0, float(reach.max()) + 10))
    return found.root * std / math.sqrt(seeds)


class Spread(NamedTuple):
    """The standard deviation of a difference from the baseline over seeds, as a fraction, pooled over V variants.

    `differences` is how many it is of, over at most `seeds` seeds each; both are 0 where it is assumed.
    """

    std: float
    differences: int = 0
    seeds: int = 0


def assumed_spread(std_of_run: float) -> Spread:
    """The spread of differences between runs that each have this standard deviation and are not correlated."""
    return Spread(math.sqrt(2) * std_of_run)


def pooled_spread(records: Sequence[RunRecord], *, baseline: str, least_std: float) -> Spread | None:
    """The spread of the differences in top-1 error from the baseline; None with fewer than two seeds of any variant.

    Each variant's variance counts by its degrees of freedom. The deviation is never taken to be less than `least_std`.
    """
    errors: dict[str, dict[int, float]] = {}
    for record in records:
        if record.test is not None:
            errors.setdefault(record.config.architecture.name, {})[record.config.seed] = record.test.top1_error
    base = errors.pop(baseline, {})
    samples = [[error - base[seed] for seed, error in of.items() if seed in base] for of in errors.values()]
    samples = [sample for sample in samples if len(sample) >= MIN_SEEDS]
    if not samples:
        return None
    squares = sum(float(np.var(sample)) * len(sample) for sample in samples)
    return Spread(
        max(math.sqrt(squares / sum(len(sample) - 1 for sample in samples)), least_std),
        differences=sum(map(len, samples)),
        seeds=max(map(len, samples)),
    )


class Variant(NamedTuple):
    """Seconds of a run of a variant, and how many of its runs are done."""

    seconds: float
    done: int


def seconds_of(seeds: int, variants: Sequence[Variant], *, slots: int) -> float:
    """Seconds until the runs that are left to have so many seeds of each variant end, `slots` of them side by side."""
    return makespan([variant.seconds for variant in variants for _ in range(variant.done, seeds)], slots)


def seeds_within(seconds: float, variants: Sequence[Variant], *, slots: int, most: int) -> int:
    """The largest number of seeds up to `most`, the same for every variant, whose runs that are left fit; 0 for none.

    `slots` runs train side by side.

    Raises:
        ValueError: if a variant's seconds are not known, or none takes any.
    """
    a_seed = sum(variant.seconds for variant in variants)
    if not 0 < a_seed < math.inf:
        raise ValueError(f"a seed of all variants takes {a_seed} s; it must be a positive number")
    low, high = 0, most + 1
    while high - low > 1:
        middle = (low + high) // 2
        least = seconds_of(middle, variants, slots=1) / slots  # quicker, and no schedule takes less
        fits = least <= seconds and seconds_of(middle, variants, slots=slots) <= seconds
        low, high = (middle, high) if fits else (low, middle)
    return low


def design_table(
    numbers: Sequence[int],
    *,
    spread: Spread | None,
    comparisons: int,
    looks: Sequence[Look],
    declared: Sequence[int],
    variants: Mapping[str, Variant],
    slots: int,
) -> pd.DataFrame:
    """What each number of seeds takes and can show at the next look after these, shared by the comparisons.

    Columns: `seeds`; `seconds` until the runs that are left end, `slots` of them side by side; `level` of each
    comparison; `difference`, the smallest one that is detected, and `margin`, the smallest within which no difference
    is shown to be, both fractions and on these test images. NaN where it is not known, or where a declared look gives
    no verdict.
    """
    rows = []
    std = math.nan if spread is None else spread.std
    for seeds in numbers:
        level = level_of_look(looks, seeds=seeds, declared=declared) / comparisons if comparisons else 0.0
        rows.append(
            {
                "seeds": seeds,
                "seconds": seconds_of(seeds, list(variants.values()), slots=slots),
                "level": level,
                "difference": detectable_difference(seeds, std=std, level=level) if level else math.nan,
                "margin": detectable_margin(seeds, std=std, level=level) if level else math.nan,
            }
        )
    return pd.DataFrame(rows)
