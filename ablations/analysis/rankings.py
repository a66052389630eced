"""Rankings of variants by top-1 error: their stability over seeds and epochs, and correlation between suites."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import kendalltau, rankdata

from ablations.analysis.bootstrap import resample_seeds, weighted_means
from ablations.analysis.intervals import FloatArray, Interval
from ablations.analysis.results import DIFFERENT_RECIPES, Results, by_seed_and_variant

# Columns of epochs that variants can be ranked by, in order of preference, and their names.
MEASURES = {"validation_error": "validation error", "test_error": "test error", "train_error": "training error"}
STABLE_TAU = 0.9  # Kendall's tau from which a ranking counts as the final one
MOST_SUBSETS = 500  # of one size: all are enumerated up to this number, and this many are sampled above it
MOST_SIZES = 20
MIN_SHARED = 3  # variants; a ranking of fewer says nothing
RANK_COLUMNS = ("variant", "n", "error", "rank", "rank_low", "rank_high", "best_probability")
SEED_COLUMNS = ("seeds", "tau", "tau_low", "tau_high", "top_agrees")
EPOCH_COLUMNS = ("epoch", "measure", "tau", "tau_low", "tau_high")


def _empty(columns: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame(columns=list(columns))


@dataclass(frozen=True, kw_only=True, eq=False)
class Rankings:
    """Rankings of a suite's variants by mean top-1 error, a fraction; `_low` and `_high` bound 95 % of the draws.

    `ranks` has a row a variant; rank 1 is the least error, and variants that tie for it share `best_probability`.
    `by_seeds` compares the ranking by k seeds with that by all n: mean Kendall's tau-b over subsets of the seeds, and
    the share of subsets in which the same variant is best. `by_epoch` compares the ranking by `measure` after an epoch
    with that by the final test error; its bounds are biased low, because a resample of the seeds scatters more than the
    seeds themselves. Draws in which all variants tie have no tau and are left out. `reason` says why all are empty.
    """

    ranks: pd.DataFrame = field(default_factory=partial(_empty, RANK_COLUMNS))
    by_seeds: pd.DataFrame = field(default_factory=partial(_empty, SEED_COLUMNS))
    by_epoch: pd.DataFrame = field(default_factory=partial(_empty, EPOCH_COLUMNS))
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class RankCorrelation:
    """Kendall's tau-b between two suites' rankings, by mean top-1 error, of the variants that both have.

    `p` is for the hypothesis of no association, given these means; `interval` is the bootstrap's over the seeds of
    both, None with one seed in either. `seeds` are the two numbers of seeds. `reason` says why there is no tau.
    """

    other: str
    variants: tuple[str, ...] = ()
    tau: float = math.nan
    interval: Interval | None = None
    p: float = math.nan
    seeds: tuple[int, int] = (0, 0)
    reason: str = ""


def rank_variants(results: Results, *, rng: np.random.Generator) -> Rankings:
    """Rank a suite's variants; an incomplete suite has no rankings.

    Seeds are resampled for all variants together because they are paired. With one seed, probabilities and bounds are
    NaN.
    """
    if results.why_no_comparison:
        return Rankings(reason=results.why_no_comparison)
    errors = by_seed_and_variant(results.runs, "top1_error", variants=results.variants)
    draws = resample_seeds(len(errors), rng)
    return Rankings(
        ranks=_ranks(results.variants, errors, draws=draws),
        by_seeds=_by_seeds(errors, rng),
        by_epoch=_by_epoch(results, errors, draws=draws),
    )


def first_stable_epoch(by_epoch: pd.DataFrame, *, tau: float = STABLE_TAU) -> int | None:
    """The first epoch from which on `by_epoch` stays at `tau` or above; None if the last epoch is below."""
    stable = None
    for epoch, found in zip(by_epoch["epoch"], by_epoch["tau"], strict=True):
        if not found >= tau:  # NaN included
            stable = None
        elif stable is None:
            stable = int(epoch)
    return stable


def correlate_rankings(first: Results, second: Results, *, rng: np.random.Generator) -> RankCorrelation:
    """Correlate two suites' rankings of the variants that both have; seeds are resampled independently."""
    names = first.plan.suite, second.plan.suite
    for name, results in zip(names, (first, second), strict=True):
        why = DIFFERENT_RECIPES if results.different_recipes else results.why_incomplete
        if why:
            return RankCorrelation(other=names[1], reason=f"suite {name}: {why}")
    others = set(second.variants)
    variants = [name for name in first.variants if name in others]
    if len(variants) < MIN_SHARED:
        reason = (
            f"suites {names[0]} and {names[1]} share {len(variants)} variants; an order needs at least {MIN_SHARED}, "
            "so add some to --variants"
        )
        return RankCorrelation(other=names[1], reason=reason)
    errors = [by_seed_and_variant(results.runs, "top1_error", variants=variants) for results in (first, second)]
    draws = [resample_seeds(len(grid), rng) for grid in errors]
    found: Any = kendalltau(*(weighted_means(grid)[0] for grid in errors))
    interval = None
    if all(map(len, draws)):
        taus = _tau_b(*(weighted_means(grid, weights) for grid, weights in zip(errors, draws, strict=True)))
        low, high = _bounds(taus)
        interval = None if math.isnan(low) else Interval(low, high)
    return RankCorrelation(
        other=names[1],
        variants=tuple(variants),
        tau=float(found.statistic),
        interval=interval,
        p=float(found.pvalue),
        seeds=(len(errors[0]), len(errors[1])),
    )


def _best(errors: FloatArray) -> FloatArray:
    """Whether each variant is the best of each draw, (draws, V); those that tie have equal shares of 1."""
    least = errors == errors.min(axis=1, keepdims=True)
    return least / least.sum(axis=1, keepdims=True)


def _ranks(variants: list[str], errors: FloatArray, *, draws: FloatArray) -> pd.DataFrame:
    error, drawn_errors = weighted_means(errors)[0], weighted_means(errors, draws)
    ranks = rankdata(drawn_errors, axis=1)
    low, high = np.percentile(ranks, [2.5, 97.5], axis=0) if len(draws) else (np.nan, np.nan)
    columns = {
        "variant": variants,
        "n": len(errors),
        "error": error,
        "rank": rankdata(error),
        "rank_low": low,
        "rank_high": high,
        "best_probability": _best(drawn_errors).mean(axis=0) if len(draws) else np.nan,
    }
    return pd.DataFrame(columns, columns=list(RANK_COLUMNS))


def _by_seeds(errors: FloatArray, rng: np.random.Generator) -> pd.DataFrame:
    """A row a number of seeds below n, at most `MOST_SIZES` of them, evenly spread."""
    n = len(errors)
    everything = weighted_means(errors)
    rows = []
    for size in np.unique(np.linspace(1, n - 1, min(n - 1, MOST_SIZES)).round().astype(int)).tolist():
        means = weighted_means(errors, np.array(list(_subsets(n, size, rng))))
        taus = _tau_b(means, everything)
        top_agrees = _best(means)[:, _best(everything)[0] > 0].sum(axis=1).mean()
        rows.append((size, _nan_mean(taus), *_bounds(taus), top_agrees))
    return pd.DataFrame(rows, columns=list(SEED_COLUMNS))


def _subsets(n: int, size: int, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Subsets of n seeds of this size, each as zeros and ones (n,)."""
    if math.comb(n, size) <= MOST_SUBSETS:
        for chosen in combinations(range(n), size):
            yield np.isin(np.arange(n), chosen).astype(float)
    else:
        for _ in range(MOST_SUBSETS):
            yield (rng.permutation(n) < size).astype(float)


def _by_epoch(results: Results, errors: FloatArray, *, draws: FloatArray) -> pd.DataFrame:
    epochs, variants = results.epochs, results.variants
    measures = [name for name in MEASURES if name in epochs and epochs[name].notna().all()]
    if not measures or len(epochs) != epochs["epoch"].nunique() * errors.size:
        return _empty(EPOCH_COLUMNS)
    measure = measures[0]
    final, drawn_final = weighted_means(errors), weighted_means(errors, draws)
    rows = []
    for epoch, group in epochs.groupby("epoch"):
        values = by_seed_and_variant(group, measure, variants=variants)
        tau = _tau_b(weighted_means(values), final)[0]
        rows.append((epoch, measure, tau, *_bounds(_tau_b(weighted_means(values, draws), drawn_final))))
    return pd.DataFrame(rows, columns=list(EPOCH_COLUMNS))


def _tau_b(first: FloatArray, second: FloatArray) -> FloatArray:
    """Kendall's tau-b between two rankings in each draw, (draws, V) or one draw (1, V) for all; NaN if all tie.

    Scipy's kendalltau over an axis is 700 times slower on 2,000 draws of seven variants.
    """
    x, y = first.T.copy(), second.T.copy()
    concordance, untied_x, untied_y = np.zeros(len(first)), np.zeros(len(first)), np.zeros(len(second))
    for index in range(len(x) - 1):
        order_x, order_y = _order(x, index), _order(y, index)
        concordance += (order_x * order_y).sum(axis=0)
        untied_x += np.count_nonzero(order_x, axis=0)
        untied_y += np.count_nonzero(order_y, axis=0)
    pairs = np.sqrt(untied_x * untied_y)
    return np.divide(concordance, pairs, out=np.full(len(first), np.nan), where=pairs > 0)


def _order(values: FloatArray, index: int) -> NDArray[np.int8]:
    """The sign of a variant's values less those of each later variant, (later, draws)."""
    own, later = values[index], values[index + 1 :]
    return (own > later).astype(np.int8) - (own < later).astype(np.int8)


def _nan_mean(values: FloatArray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def _bounds(values: FloatArray) -> tuple[float, float]:
    """The 2.5th and 97.5th percentile of the known values; NaN where there is none."""
    known = values[~np.isnan(values)]
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (math.nan, math.nan)
    return float(low), float(high)
