"""Pareto fronts of top-1 error against each cost, with the bootstrap probability of being on one."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ablations.analysis.bootstrap import resample_seeds, weighted_means
from ablations.analysis.costs import COSTS, Cost
from ablations.analysis.intervals import FloatArray
from ablations.analysis.results import Results, by_seed_and_variant

COLUMNS = ("variant", "cost", "value", "error", "n", "on_front", "front_probability")


@dataclass(frozen=True, kw_only=True, eq=False)
class ParetoFronts:
    """The Pareto fronts of mean top-1 error and mean cost; `reason` says why there are none.

    `table` has a row a variant and comparable cost: the mean cost and error (a fraction) over n seeds, whether the
    variant is on the front, and in which share of bootstrap resamples of the seeds it is (NaN for one seed).
    """

    table: pd.DataFrame = field(default_factory=partial(pd.DataFrame, columns=list(COLUMNS)))
    reason: str = ""

    def of(self, cost: Cost) -> pd.DataFrame:
        """The rows of one cost, indexed by variant; empty if it has no front."""
        return self.table[self.table["cost"] == cost.name].set_index("variant")


def find_fronts(results: Results, *, rng: np.random.Generator) -> ParetoFronts:
    """The Pareto front of each comparable cost; an incomplete suite has none.

    Seeds are resampled for all variants together because they are paired.
    """
    if results.why_no_comparison:
        return ParetoFronts(reason=results.why_no_comparison)
    runs, variants = results.runs, results.variants
    errors = by_seed_and_variant(runs, "top1_error", variants=variants)
    draws = resample_seeds(len(errors), rng)
    mean_error, drawn_errors = weighted_means(errors), weighted_means(errors, draws)
    frames = []
    for cost in COSTS:
        if not cost.all_comparable(runs):
            continue
        costs = by_seed_and_variant(runs, cost.name, variants=variants)
        mean_cost = weighted_means(costs)
        drawn = on_front(weighted_means(costs, draws), drawn_errors)
        columns = {
            "variant": variants,
            "cost": cost.name,
            "value": mean_cost[0],
            "error": mean_error[0],
            "n": len(errors),
            "on_front": on_front(mean_cost, mean_error)[0],
            "front_probability": drawn.mean(axis=0) if len(draws) else np.nan,
        }
        frames.append(pd.DataFrame(columns, columns=list(COLUMNS)))
    return ParetoFronts(table=pd.concat(frames, ignore_index=True))


def on_front(costs: FloatArray, errors: FloatArray) -> NDArray[np.bool_]:
    """Which of V points no other point dominates, in each draw; arguments and result are (draws, V).

    A point dominates another if it is as good in both cost and error and better in one.
    """
    dominated = np.zeros(errors.shape, dtype=bool)
    for index in range(errors.shape[1]):
        cost, error = costs[:, index, None], errors[:, index, None]
        dominated |= (cost <= costs) & (error <= errors) & ((cost < costs) | (error < errors))
    return ~dominated
