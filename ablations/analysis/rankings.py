"""Rankings of variants by top-1 error: their stability over seeds and epochs, and correlation between suites."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import kendalltau, rankdata

from ablations.analysis.mean_draws import SHARE_SEEDS, draw_errors, least_stds, seed_means
from ablations.analysis.results import DIFFERENT_RECIPES, Results, by_seed_and_variant
from ablations.analysis.statistics.expected_tau import MIN_VARIANTS, expected_tau, measure_spread, noise_ceiling
from ablations.analysis.statistics.intervals import FloatArray

# Columns of epochs that variants can be ranked by, in order of preference, and their names.
MEASURES = {"validation_error": "validation error", "test_error": "test error", "train_error": "training error"}
STABLE_TAU = 0.9  # Kendall's tau from which a ranking counts as the final one
RANGE_DRAWS = 98  # percent of the draws in a rank range; near ties make 95 % of them hold fewer than 95 % of true ranks
MOST_SIZES = 20
PLANNED_SEEDS = (5, 10, 20)  # to look ahead to
RANK_COLUMNS = ("variant", "n", "error", "rank", "rank_low", "rank_high", "best_probability")
SEED_COLUMNS = ("seeds", "tau")
EPOCH_COLUMNS = ("epoch", "measure", "tau")


def _empty(columns: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame(columns=list(columns))


@dataclass(frozen=True, kw_only=True, eq=False)
class Rankings:
    """Rankings of a suite's variants by mean top-1 error, a fraction.

    `ranks` has a row a variant; rank 1 is the least error. `rank_low` and `rank_high` bound 98 % of the ranks in draws
    of the true errors, which hold the true rank in at least 95 % of suites; `best_probability` is the share of draws in
    which the variant is best, NaN below five seeds. `by_seeds` has the Kendall's tau that a ranking by that number of
    seeds is expected to have with the true order; `spread_p` is of the F test of no spread between variants, without
    which there is no true order. `by_epoch` has the tau-b of the ranking by `measure` after an epoch with that by the
    final test error, NaN where all variants tie. `reason` says why all are empty.
    """

    ranks: pd.DataFrame = field(default_factory=partial(_empty, RANK_COLUMNS))
    by_seeds: pd.DataFrame = field(default_factory=partial(_empty, SEED_COLUMNS))
    by_epoch: pd.DataFrame = field(default_factory=partial(_empty, EPOCH_COLUMNS))
    spread_p: float = math.nan
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class RankCorrelation:
    """Kendall's tau-b between two suites' rankings, by mean top-1 error, of the variants that both have.

    `p` is for the hypothesis of no association, given these means. `ceiling` is the noise ceiling: the tau that two
    suites with the same true order would have on average with these numbers of `seeds`; NaN with one seed in either,
    0 where the means of one spread no more than seeds make them. `reason` says why there is no tau.
    """

    other: str
    variants: tuple[str, ...] = ()
    tau: float = math.nan
    ceiling: float = math.nan
    p: float = math.nan
    seeds: tuple[int, int] = (0, 0)
    reason: str = ""


def rank_variants(
    results: Results, *, least_std: Mapping[str, float] | None = None, rng: np.random.Generator
) -> Rankings:
    """Rank a suite's variants; an incomplete suite has no rankings.

    No standard deviation of errors is taken to be less than the variant's in `least_std`, or than rounding to one image
    makes it. With one seed, probabilities and bounds are NaN.
    """
    if results.why_no_comparison:
        return Rankings(reason=results.why_no_comparison)
    errors = by_seed_and_variant(results.runs, "top1_error", variants=results.variants)
    floor = least_stds(results, least_std)
    spread = measure_spread(errors, least_std=floor)
    return Rankings(
        ranks=_ranks(results.variants, errors, drawn=draw_errors(errors, least_std=floor, rng=rng)),
        by_seeds=_empty(SEED_COLUMNS) if spread is None else _by_seeds(spread.ratio, n=len(errors)),
        by_epoch=_by_epoch(results, errors),
        spread_p=math.nan if spread is None else spread.p,
    )


def rank_ranges(drawn: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The lower and upper ends (V,) of the ranges of ranks in draws of the errors (draws, V)."""
    ranks = rankdata(drawn, axis=1)
    outside = (100 - RANGE_DRAWS) / 2
    low = np.percentile(ranks, outside, axis=0, method="lower")
    return low, np.percentile(ranks, 100 - outside, axis=0, method="higher")


def first_stable_epoch(by_epoch: pd.DataFrame, *, tau: float = STABLE_TAU) -> int | None:
    """The first epoch from which on `by_epoch` stays at `tau` or above; None if the last epoch is below."""
    stable = None
    for epoch, found in zip(by_epoch["epoch"], by_epoch["tau"], strict=True):
        if not found >= tau:  # NaN included
            stable = None
        elif stable is None:
            stable = int(epoch)
    return stable


def correlate_rankings(first: Results, second: Results) -> RankCorrelation:
    """Correlate two suites' rankings of the variants that both have."""
    names = first.plan.suite, second.plan.suite
    for name, results in zip(names, (first, second), strict=True):
        why = DIFFERENT_RECIPES if results.different_recipes else results.why_incomplete
        if why:
            return RankCorrelation(other=names[1], reason=f"suite {name}: {why}")
    others = set(second.variants)
    variants = [name for name in first.variants if name in others]
    if len(variants) < MIN_VARIANTS:
        reason = (
            f"suites {names[0]} and {names[1]} share {len(variants)} variants; an order needs at least {MIN_VARIANTS}, "
            "so add some to --variants"
        )
        return RankCorrelation(other=names[1], reason=reason)
    errors = [by_seed_and_variant(results.runs, "top1_error", variants=variants) for results in (first, second)]
    found: Any = kendalltau(*map(seed_means, errors))
    spreads = [
        measure_spread(grid, least_std=least_stds(results))
        for grid, results in zip(errors, (first, second), strict=True)
    ]
    seeds = len(errors[0]), len(errors[1])
    known = [(spread.ratio, n) for spread, n in zip(spreads, seeds, strict=True) if spread is not None]
    return RankCorrelation(
        other=names[1],
        variants=tuple(variants),
        tau=float(found.statistic),
        ceiling=noise_ceiling(known[0], known[1]) if len(known) == 2 else math.nan,
        p=float(found.pvalue),
        seeds=seeds,
    )


def _ranks(variants: list[str], errors: FloatArray, *, drawn: FloatArray) -> pd.DataFrame:
    error = seed_means(errors)
    low, high = rank_ranges(drawn) if len(drawn) else (np.nan, np.nan)
    best = drawn == drawn.min(axis=1, keepdims=True)
    columns = {
        "variant": variants,
        "n": len(errors),
        "error": error,
        "rank": rankdata(error),
        "rank_low": low,
        "rank_high": high,
        "best_probability": best.mean(axis=0) if len(errors) >= SHARE_SEEDS else np.nan,
    }
    return pd.DataFrame(columns, columns=list(RANK_COLUMNS))


def _by_seeds(ratio: float, *, n: int) -> pd.DataFrame:
    """A row a number of seeds up to n, at most `MOST_SIZES` of them, evenly spread, and a few beyond."""
    sizes = np.unique(np.linspace(1, n, min(n, MOST_SIZES)).round().astype(int)).tolist()
    sizes += [seeds for seeds in PLANNED_SEEDS if seeds > n]
    return pd.DataFrame([(k, expected_tau(ratio, seeds=k)) for k in sizes], columns=list(SEED_COLUMNS))


def _by_epoch(results: Results, errors: FloatArray) -> pd.DataFrame:
    epochs, variants = results.epochs, results.variants
    measures = [name for name in MEASURES if name in epochs and epochs[name].notna().all()]
    if not measures or len(epochs) != epochs["epoch"].nunique() * errors.size:
        return _empty(EPOCH_COLUMNS)
    measure, final = measures[0], seed_means(errors)
    rows = []
    for epoch, group in epochs.groupby("epoch"):
        found: Any = kendalltau(seed_means(by_seed_and_variant(group, measure, variants=variants)), final)
        rows.append((epoch, measure, float(found.statistic)))
    return pd.DataFrame(rows, columns=list(EPOCH_COLUMNS))
