"""What variants cost, and which of them no other one beats in both error and cost: fronts, and how sure they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from . import cells, stats, tables
from .tables import Results

Values = NDArray[np.float64]

COLUMNS = ("variant", "cost", "value", "error", "n", "on_front", "front_probability")


class Cost(NamedTuple):
    """What error is traded for: where its values are, and how they are named and written."""

    name: str  # the column of a run
    column: str  # that of a variant: a mean where runs of one variant differ
    title: str
    axis: str
    scale: float  # from the column to the axis
    describe: Callable[[float], str]
    file_name: str  # of the figure of error against it


COSTS = (
    Cost(
        name="params",
        column="params",
        title="parameters",
        axis="trainable parameters (millions)",
        scale=1e-6,
        describe=lambda count: f"{count:,.0f} parameters",
        file_name="error_vs_params",
    ),
    Cost(
        name="macs",
        column="macs",
        title="multiply-adds",
        axis="multiply-adds for one image (million MACs)",
        scale=1e-6,
        describe=lambda count: f"{cells.si(count)} MACs",
        file_name="error_vs_macs",
    ),
    Cost(
        name="train_seconds",
        column="train_seconds_mean",
        title="training time",
        axis="training time (s)",
        scale=1,
        describe=lambda seconds: f"{seconds:,.1f} s of training",
        file_name="error_vs_seconds",
    ),
    Cost(
        name="peak_memory_bytes",
        column="peak_memory_bytes_mean",
        title="peak memory",
        axis="peak memory (GB)",
        scale=1e-9,
        describe=lambda count: f"peak memory {count / 1e9:.2f} GB",
        file_name="error_vs_memory",
    ),
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Fronts:
    """The fronts of mean top-1 error and mean cost; `reason` says why there is none.

    `table` has a row a variant and cost that compares: the mean cost and error (a fraction) over n seeds, whether it is
    on the front, and the share of bootstrap resamples of the seeds in which it is, which is NaN for one seed.
    """

    table: pd.DataFrame = field(default_factory=partial(pd.DataFrame, columns=list(COLUMNS)))
    reason: str = ""

    def of(self, cost: Cost) -> pd.DataFrame:
        """The rows of one cost by variant; none where there is no front."""
        return self.table[self.table["cost"] == cost.name].set_index("variant")


def find(results: Results, *, random_source: np.random.Generator) -> Fronts:
    """The fronts of a suite all of whose planned runs are done; an incomplete one has none.

    Seeds are resampled for all variants together, as they are paired.
    """
    if results.why_no_comparison:
        return Fronts(reason=results.why_no_comparison)
    runs, variants = results.runs, results.variants
    errors = tables.grid(runs, "top1_error", variants=variants)
    draws = stats.resamples(len(errors), random_source)
    mean_error, drawn_errors = stats.means(errors), stats.means(errors, draws)
    frames = []
    for cost in COSTS:
        if not _compares(runs, cost):
            continue
        costs = tables.grid(runs, cost.name, variants=variants)
        mean_cost = stats.means(costs)
        drawn = on_front(stats.means(costs, draws), drawn_errors)
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
    return Fronts(table=pd.concat(frames, ignore_index=True))


def on_front(costs: Values, errors: Values) -> NDArray[np.bool_]:
    """Which of V points are on the front: no other one is as good in both and better in one; each (draws, V)."""
    dominated = np.zeros(errors.shape, dtype=bool)
    for index in range(errors.shape[1]):
        cost, error = costs[:, index, None], errors[:, index, None]
        dominated |= (cost <= costs) & (error <= errors) & ((cost < costs) | (error < errors))
    return ~dominated


def _compares(runs: pd.DataFrame, cost: Cost) -> bool:
    """Whether every run has this cost, measured in a way that compares."""
    if cost.name == "train_seconds":
        return bool(runs["timing_valid"].eq(True).all()) and tables.one_hardware(runs)
    if cost.name == "peak_memory_bytes":
        return bool(runs[cost.name].notna().all()) and tables.one_device_kind(runs)
    return True
