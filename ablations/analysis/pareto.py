"""Pareto fronts of top-1 error against each cost, with shares of draws of the true means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ablations.analysis.costs import COSTS, Cost
from ablations.analysis.mean_draws import SHARE_SEEDS, draw_errors, draw_means, least_stds, seed_means
from ablations.analysis.results import Results, by_seed_and_variant
from ablations.analysis.statistics.intervals import FloatArray

COLUMNS = ("variant", "cost", "value", "error", "n", "on_front", "front_probability")


@dataclass(frozen=True, kw_only=True, eq=False)
class ParetoFronts:
    """The Pareto fronts of mean top-1 error and mean cost; `reason` says why there are none.

    `table` has a row a variant and comparable cost: the mean cost and error (a fraction) over n seeds, whether the
    variant is on the front, and in which share of draws of the true means it is (NaN below five seeds).
    """

    table: pd.DataFrame = field(default_factory=partial(pd.DataFrame, columns=list(COLUMNS)))
    reason: str = ""

    def of(self, cost: Cost) -> pd.DataFrame:
        """The rows of one cost, indexed by variant; empty if it has no front."""
        return self.table[self.table["cost"] == cost.name].set_index("variant")


def find_fronts(
    results: Results, *, least_std: Mapping[str, float] | None = None, rng: np.random.Generator
) -> ParetoFronts:
    """The Pareto front of each comparable cost; an incomplete suite has none.

    No standard deviation of errors is taken to be less than the variant's in `least_std`, or than rounding to one image
    makes it. Costs that are measured are drawn like errors; the others are the same in every draw.
    """
    if results.why_no_comparison:
        return ParetoFronts(reason=results.why_no_comparison)
    errors = by_seed_and_variant(results.runs, "top1_error", variants=results.variants)
    drawn_errors = draw_errors(errors, least_std=least_stds(results, least_std), rng=rng)
    frames = [
        _front(results, cost, errors=errors, drawn_errors=drawn_errors, rng=rng)
        for cost in COSTS
        if cost.all_comparable(results.runs)
    ]
    return ParetoFronts(table=pd.concat(frames, ignore_index=True))


def _front(
    results: Results, cost: Cost, *, errors: FloatArray, drawn_errors: FloatArray, rng: np.random.Generator
) -> pd.DataFrame:
    """The rows of one cost."""
    costs = by_seed_and_variant(results.runs, cost.name, variants=results.variants)
    mean_cost, mean_error = seed_means(costs), seed_means(errors)
    drawn = on_front(draw_means(costs, std=_cost_std(costs), rng=rng), drawn_errors)
    columns = {
        "variant": results.variants,
        "cost": cost.name,
        "value": mean_cost,
        "error": mean_error,
        "n": len(errors),
        "on_front": on_front(mean_cost[None], mean_error[None])[0],
        "front_probability": drawn.mean(axis=0) if len(errors) >= SHARE_SEEDS else np.nan,
    }
    return pd.DataFrame(columns, columns=list(COLUMNS))


def _cost_std(costs: FloatArray) -> FloatArray:
    """The standard deviation of each variant's cost over seeds, (V,), of costs (n, V)."""
    # Costs that do not vary have to tie in every draw, but their computed deviation may be a rounding error.
    varies = np.ptp(costs, axis=0) > 0
    return np.where(varies, costs.std(axis=0, ddof=1), 0.0) if varies.any() else np.zeros(costs.shape[1])


def on_front(costs: FloatArray, errors: FloatArray) -> NDArray[np.bool_]:
    """Which of V points no other point dominates, in each draw; arguments and result are (draws, V).

    A point dominates another if it is as good in both cost and error and better in one.
    """
    dominated = np.zeros(errors.shape, dtype=bool)
    for index in range(errors.shape[1]):
        cost, error = costs[:, index, None], errors[:, index, None]
        dominated |= (cost <= costs) & (error <= errors) & ((cost < costs) | (error < errors))
    return ~dominated
