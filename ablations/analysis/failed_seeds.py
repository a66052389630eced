"""Finished runs that failed to train: errors near chance, or far above those of the variant's other seeds."""

from __future__ import annotations

import pandas as pd

from ablations.analysis.costs import is_done
from ablations.analysis.statistics.intervals import ALPHA

NEAR_CHANCE = 0.9  # of the error of guessing
ROBUST_DEVIATIONS = 12  # above the variant's median
LEAST_EXCESS = 0.02  # above it; what is less is a bad seed, not a failure
MIN_RUNS = 3  # for a median that one failed run does not move
NORMAL = 1.4826  # a normal distribution's standard deviation by its median absolute deviation


def failed_to_train(runs: pd.DataFrame, *, num_classes: int, test_images: int) -> pd.Series:
    """By run, whether it is done and failed to train; `runs` has the columns variant, status and top1_error.

    A run failed if its top-1 error is at least 0.9 times that of guessing, or, among three or more runs of its variant
    that are done, more than 2 points and more than 12 robust deviations above their median. A robust deviation is
    1.4826 times the median absolute deviation, never less than the suite's median of these or than one image.

    In simulated suites of 1 to 7 variants and 3 to 20 seeds that all trained, none in 1,000 has such a run if errors
    are normal with a standard deviation of 0.2 or 0.5 points, and up to 1 in 100 with 1 point. If errors have the tails
    of t(3) up to 1 in 100 have one with 3 to 5 seeds, and up to 6 in 100 with 20. Of failures by 10 points 95 % are
    found with 3 seeds and all from 5 on at a standard deviation of 0.2 points; 56 %, 76 %, 92 % and 98 % with 3, 5, 10
    and 20 seeds at 0.5 points.
    """
    error = runs["top1_error"].astype(float).where(is_done(runs))
    by_variant = error.groupby(runs["variant"])
    enough = by_variant.transform("count") >= MIN_RUNS
    excess = error - by_variant.transform("median")
    deviation = NORMAL * excess.abs().where(enough).groupby(runs["variant"]).median()
    floored = deviation.clip(lower=max(float(deviation.median()), 1 / test_images) if enough.any() else None)
    far = enough & (excess > LEAST_EXCESS) & (excess > ROBUST_DEVIATIONS * runs["variant"].map(floored))
    return (error >= NEAR_CHANCE * (1 - 1 / num_classes)) | far


def failed_by_variant(runs: pd.DataFrame) -> dict[str, int]:
    """The number of runs of each variant that failed to train, from the column `failed_to_train` of `Results.runs`."""
    failed = runs.groupby("variant", sort=False)["failed_to_train"].sum()
    return {str(name): int(count) for name, count in failed.items()}


def failures_not_excluded(n: int) -> float:
    """The largest share of seeds that may fail though none of n did: 95 % confidence bound, about 3 / n.

    Source: Hanley and Lippman-Hand 1983, JAMA 249(13), 1743-1745, who call 3 / n the rule of three.
    """
    return 1 - ALPHA ** (1 / n)
