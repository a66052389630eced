"""What variants trade error for, and how sure their order is: over seeds, over epochs, and from suite to suite."""

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

from . import power, stats, tables
from .stats import Interval
from .tables import Results

Values = NDArray[np.float64]

COSTS = ("params", "macs", "train_seconds", "peak_memory_bytes")
MEASURES = ("validation_error", "test_error", "train_error")  # of an epoch, the best to judge by first
RESAMPLES = 2000
MOST_SUBSETS = 500  # of one size that are gone through, or drawn where there are more
MOST_SIZES = 20
MIN_SHARED = 3  # variants whose order is worth comparing
FRONT_COLUMNS = ("variant", "cost", "value", "error", "n", "on_front", "front_probability")
RANK_COLUMNS = ("variant", "n", "error", "rank", "rank_low", "rank_high", "best_probability")
SEED_COLUMNS = ("seeds", "tau", "tau_low", "tau_high", "top_agrees")
EPOCH_COLUMNS = ("epoch", "measure", "tau", "tau_low", "tau_high")


def _empty(columns: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame(columns=list(columns))


@dataclass(frozen=True, kw_only=True, eq=False)
class Tradeoffs:
    """Fronts and orders of a suite's variants; errors are fractions, `_low` and `_high` bound 95 % of what was drawn.

    `fronts` has a row a variant and cost: whether it is on the front of mean costs and mean top-1 errors, and the share
    of bootstrap resamples of the seeds in which it is. `ranks` has a row a variant, rank 1 being the least error;
    variants that tie for the best share `best_probability`. `by_seeds` tells how far the order by k seeds agrees with
    that by all n: Kendall's tau-b over subsets, and the share in which the same variant is best. `by_epoch` tells how
    far the order by `measure` at an epoch agrees with that by the final test error; its bounds lie rather low, as a
    resample of the seeds scatters more than the seeds themselves. Draws in which all variants tie have no tau and are
    left out. `reason` says why all are empty.
    """

    fronts: pd.DataFrame = field(default_factory=partial(_empty, FRONT_COLUMNS))
    ranks: pd.DataFrame = field(default_factory=partial(_empty, RANK_COLUMNS))
    by_seeds: pd.DataFrame = field(default_factory=partial(_empty, SEED_COLUMNS))
    by_epoch: pd.DataFrame = field(default_factory=partial(_empty, EPOCH_COLUMNS))
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class RankAgreement:
    """Kendall's tau-b between the orders of the variants that two suites share, by mean top-1 error.

    `p` is that of no association, given these means; `interval` is the bootstrap's over the seeds of both, None with
    one seed in either. `seeds` are the two numbers of seeds. `reason` says why there is no tau.
    """

    variants: tuple[str, ...] = ()
    tau: float = math.nan
    interval: Interval | None = None
    p: float = math.nan
    seeds: tuple[int, int] = (0, 0)
    reason: str = ""


def weigh(results: Results, *, random_source: np.random.Generator) -> Tradeoffs:
    """Fronts and orders of a suite all of whose planned runs are done; an incomplete one gets none.

    Seeds are resampled for all variants together, as they are paired. With one seed there are no probabilities and no
    bounds, which are NaN.
    """
    reason = _incomplete(results)
    variants = _variants(results)
    if not reason and len(variants) < 2:
        reason = f"there is no variant beside {variants[0]}; add one to --variants"
    if reason:
        return Tradeoffs(reason=reason)
    errors = _grid(results.runs, "top1_error", variants)
    draws = _resamples(len(errors), random_source)
    return Tradeoffs(
        fronts=_fronts(results.runs, variants, errors=errors, draws=draws),
        ranks=_ranks(variants, errors, draws=draws),
        by_seeds=_by_seeds(errors, random_source),
        by_epoch=_by_epoch(results.epochs, variants, errors=errors, draws=draws),
    )


def settled_epoch(by_epoch: pd.DataFrame, *, tau: float = 0.9) -> int | None:
    """The first epoch from which on the order agrees with the final one at least by `tau`; None if it never does."""
    settled = None
    for epoch, agreement in zip(by_epoch["epoch"], by_epoch["tau"], strict=True):
        if not agreement >= tau:  # NaN neither
            settled = None
        elif settled is None:
            settled = int(epoch)
    return settled


def compare_rankings(first: Results, second: Results, *, random_source: np.random.Generator) -> RankAgreement:
    """Whether two suites order the variants alike that both have; seeds are resampled independently in the two."""
    for results in (first, second):
        reason = _incomplete(results)
        if reason:
            return RankAgreement(reason=f"suite {results.plan.suite}: {reason}")
    others = set(_variants(second))
    variants = [name for name in _variants(first) if name in others]
    if len(variants) < MIN_SHARED:
        reason = (
            f"suites {first.plan.suite} and {second.plan.suite} share {len(variants)} variants; an order needs at "
            f"least {MIN_SHARED}, so add some to --variants"
        )
        return RankAgreement(reason=reason)
    errors = [_grid(results.runs, "top1_error", variants) for results in (first, second)]
    draws = [_resamples(len(grid), random_source) for grid in errors]
    found: Any = kendalltau(*(_mean(grid) for grid in errors))
    interval = None
    if all(map(len, draws)):
        taus = _tau_b(*(_means(grid, weights) for grid, weights in zip(errors, draws, strict=True)))
        low, high = _bounds(taus)
        interval = None if math.isnan(low) else Interval(low, high)
    return RankAgreement(
        variants=tuple(variants),
        tau=float(found.statistic),
        interval=interval,
        p=float(found.pvalue),
        seeds=(len(errors[0]), len(errors[1])),
    )


def _incomplete(results: Results) -> str:
    """Why the suite is no complete grid of variants and seeds; empty if it is."""
    runs = results.runs
    missing = int((runs["status"] != "done").sum())
    if missing:
        return f"{missing} of {len(runs)} planned runs are not done; run the suite again to finish them"
    if len({tuple(sorted(group["seed"])) for _, group in runs.groupby("variant", sort=False)}) > 1:
        return "variants were trained with different seeds; run all of them with the same --seeds"
    return ""


def _variants(results: Results) -> list[str]:
    return [str(name) for name in dict.fromkeys(results.runs["variant"])]


def _grid(runs: pd.DataFrame, column: str, variants: list[str]) -> Values:
    """A column by seed and variant, (n, V)."""
    table = runs.assign(**{column: pd.to_numeric(runs[column])})
    return table.pivot(index="seed", columns="variant", values=column)[variants].to_numpy(dtype=float)


def _resamples(seeds: int, random_source: np.random.Generator) -> Values:
    """How often each seed is in each bootstrap resample, (RESAMPLES, n); no resample of a single seed."""
    count = RESAMPLES if seeds >= power.MIN_SEEDS else 0
    return random_source.multinomial(seeds, np.full(seeds, 1 / seeds), size=count).astype(float)


def _means(grid: Values, weights: Values) -> Values:
    """Means over seeds, (draws, V), of a grid (n, V) for the seeds' weights in each draw (draws, n)."""
    # Sums that are equal but for rounding have to tie; two that differ do so by an image at least.
    return np.round(weights @ grid, 9) / weights.sum(axis=1, keepdims=True)


def _mean(grid: Values) -> Values:
    return _means(grid, np.ones((1, len(grid))))[0]


def _fronts(runs: pd.DataFrame, variants: list[str], *, errors: Values, draws: Values) -> pd.DataFrame:
    error, drawn_errors = _mean(errors), _means(errors, draws)
    frames = []
    for cost in COSTS:
        if not _comparable(runs, cost):
            continue
        costs = _grid(runs, cost, variants)
        value = _mean(costs)
        columns = {
            "variant": variants,
            "cost": cost,
            "value": value,
            "error": error,
            "n": len(errors),
            "on_front": stats.pareto_front(value.tolist(), error.tolist()),
            "front_probability": _shares(_on_front(_means(costs, draws), drawn_errors)),
        }
        frames.append(pd.DataFrame(columns, columns=list(FRONT_COLUMNS)))
    return pd.concat(frames, ignore_index=True)


def _comparable(runs: pd.DataFrame, cost: str) -> bool:
    """Whether every run has this cost, measured in a way that compares."""
    if cost == "train_seconds":
        return bool(runs["timing_valid"].eq(True).all()) and tables.one_hardware(runs)
    if cost == "peak_memory_bytes":
        return bool(runs[cost].notna().all()) and runs["device_kind"].nunique() == 1
    return True


def _on_front(costs: Values, errors: Values) -> NDArray[np.bool_]:
    """Which points are on the front of each draw, (draws, V), as `stats.pareto_front` has it."""
    dominated = np.zeros(errors.shape, dtype=bool)
    for index in range(errors.shape[1]):
        cost, error = costs[:, index, None], errors[:, index, None]
        dominated |= (cost <= costs) & (error <= errors) & ((cost < costs) | (error < errors))
    return ~dominated


def _shares(found: NDArray[np.bool_] | Values) -> Values:
    """The mean over draws, (V,); NaN where there is no draw."""
    return found.mean(axis=0) if len(found) else np.full(found.shape[1], np.nan)


def _best(errors: Values) -> Values:
    """Each variant's part in being the best of each draw, (draws, V); those that tie share it."""
    least = errors == errors.min(axis=1, keepdims=True)
    return least / least.sum(axis=1, keepdims=True)


def _ranks(variants: list[str], errors: Values, *, draws: Values) -> pd.DataFrame:
    error, drawn_errors = _mean(errors), _means(errors, draws)
    ranks = rankdata(drawn_errors, axis=1)
    low, high = np.percentile(ranks, [2.5, 97.5], axis=0) if len(draws) else np.full((2, len(variants)), np.nan)
    columns = {
        "variant": variants,
        "n": len(errors),
        "error": error,
        "rank": rankdata(error),
        "rank_low": low,
        "rank_high": high,
        "best_probability": _shares(_best(drawn_errors)),
    }
    return pd.DataFrame(columns, columns=list(RANK_COLUMNS))


def _by_seeds(errors: Values, random_source: np.random.Generator) -> pd.DataFrame:
    """A row a number of seeds below n, at most `MOST_SIZES` of them, evenly spread."""
    n = len(errors)
    everything = _mean(errors)[None]
    rows = []
    for size in np.unique(np.linspace(1, n - 1, min(n - 1, MOST_SIZES)).round().astype(int)).tolist():
        means = _means(errors, np.array(list(_subsets(n, size, random_source))))
        taus = _tau_b(means, everything)
        top_agrees = _best(means)[:, _best(everything)[0] > 0].sum(axis=1).mean()
        rows.append((size, _nan_mean(taus), *_bounds(taus), top_agrees))
    return pd.DataFrame(rows, columns=list(SEED_COLUMNS))


def _subsets(n: int, size: int, random_source: np.random.Generator) -> Iterator[Values]:
    """Which of n seeds are in each subset of this size, as zeros and ones (n,)."""
    if math.comb(n, size) <= MOST_SUBSETS:
        for chosen in combinations(range(n), size):
            yield np.isin(np.arange(n), chosen).astype(float)
    else:
        for _ in range(MOST_SUBSETS):
            yield (random_source.permutation(n) < size).astype(float)


def _by_epoch(epochs: pd.DataFrame, variants: list[str], *, errors: Values, draws: Values) -> pd.DataFrame:
    whole = [name for name in MEASURES if name in epochs and epochs[name].notna().all()]
    if not whole or len(epochs) != epochs["epoch"].nunique() * errors.size:
        return _empty(EPOCH_COLUMNS)
    measure = whole[0]
    final, drawn_final = _mean(errors)[None], _means(errors, draws)
    rows = []
    for epoch, group in epochs.groupby("epoch"):
        values = _grid(group, measure, variants)
        tau = _tau_b(_mean(values)[None], final)[0]
        rows.append((epoch, measure, tau, *_bounds(_tau_b(_means(values, draws), drawn_final))))
    return pd.DataFrame(rows, columns=list(EPOCH_COLUMNS))


def _tau_b(first: Values, second: Values) -> Values:
    """Kendall's tau-b of each draw's two orders (draws, V), `second` possibly being one for all; NaN if all tie."""
    x, y = first.T.copy(), second.T.copy()
    agreement, untied_x, untied_y = np.zeros(len(first)), np.zeros(len(first)), np.zeros(len(second))
    for index in range(len(x) - 1):
        order_x, order_y = _order(x, index), _order(y, index)
        agreement += (order_x * order_y).sum(axis=0)
        untied_x += np.count_nonzero(order_x, axis=0)
        untied_y += np.count_nonzero(order_y, axis=0)
    pairs = np.sqrt(untied_x * untied_y)
    return np.divide(agreement, pairs, out=np.full(len(first), np.nan), where=pairs > 0)


def _order(values: Values, index: int) -> NDArray[np.int8]:
    """The sign of a variant's values less those of each later one, (later, draws)."""
    own, later = values[index], values[index + 1 :]
    return (own > later).astype(np.int8) - (own < later).astype(np.int8)


def _nan_mean(values: Values) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def _bounds(values: Values) -> tuple[float, float]:
    """The 2.5th and 97.5th percentile of the known values; NaN where there is none."""
    known = values[~np.isnan(values)]
    low, high = np.percentile(known, [2.5, 97.5]) if len(known) else (math.nan, math.nan)
    return float(low), float(high)
