"""The cost metrics that error is traded off against: one entry each, with the rule by which its runs compare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A cost metric: where its values are, which of them compare, and how it is named and written.

    `comparable` takes all runs of a suite and gives, by run, whether its value may be compared with the others'. With
    a `count_column` the cost is measured, so it varies from run to run: the summary has its mean, its standard
    deviation and, in that column, the number of runs that they are of. Without one it is the same for all runs of a
    variant.
    """

    name: str  # the column of a run
    title: str
    heading: str  # of a table's column
    axis: str
    scale: float  # from the column to the axis
    describe: Callable[[float], str]
    file_name: str  # of the figure of error against it
    comparable: Callable[[pd.DataFrame], pd.Series]
    count_column: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the summary: the mean and the standard deviation if the cost is measured."""
        return (self.name,) if self.count_column is None else (f"{self.name}_mean", f"{self.name}_std")

    @property
    def column(self) -> str:
        """The column of the summary that has a variant's cost."""
        return self.columns[0]

    def all_comparable(self, runs: pd.DataFrame) -> bool:
        """Whether every run has a value of this cost that compares with all others."""
        return bool(self.comparable(runs).all() and runs[self.name].notna().all())


def macs_change(summary: pd.DataFrame, *, baseline: str) -> pd.Series:
    """By variant, the relative change of its MACs from the baseline's; NaN where either is not known."""
    macs = pd.to_numeric(summary.set_index("variant")["macs"])
    return macs / macs[baseline] - 1


def is_done(runs: pd.DataFrame) -> pd.Series:
    """By run, whether it is done: what does not depend on the machine compares for all of these."""
    return runs["status"] == "done"


def has_comparable_time(runs: pd.DataFrame) -> pd.Series:
    """By run, whether its timing is valid; no run's is comparable if hardware or engine differ between them."""
    return is_done(runs) & _timing_valid(runs) & one_hardware(runs)


def has_comparable_memory(runs: pd.DataFrame) -> pd.Series:
    """By run, whether it is done; no run's memory is comparable if some ran on a CPU and some on a GPU."""
    return is_done(runs) & one_device_kind(runs)


def one_hardware(runs: pd.DataFrame) -> bool:
    """Whether all runs with a valid timing used the same device, engine, determinism and number of threads."""
    timed = runs[_timing_valid(runs)]
    return len(timed[["device", "engine", "deterministic", "threads"]].drop_duplicates()) <= 1


def one_device_kind(runs: pd.DataFrame) -> bool:
    """Whether all runs that are done used a CPU, or all a GPU; peak memory means something else on each."""
    return runs.loc[is_done(runs), "device_kind"].nunique() <= 1


def si(value: float) -> str:
    """A count to four digits of its thousands, millions or billions."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:#.4g} {unit}"
    return f"{value:.0f}"


def _timing_valid(runs: pd.DataFrame) -> pd.Series:
    return runs["timing_valid"].eq(True)  # None, of a run that is not done, counts as False


COSTS = (
    Cost(
        name="params",
        title="parameters",
        heading="params",
        axis="trainable parameters (millions)",
        scale=1e-6,
        describe=lambda count: f"{count:,.0f} parameters",
        file_name="error_vs_params",
        comparable=is_done,
    ),
    Cost(
        name="macs",
        title="multiply-adds",
        heading="MACs",
        axis="multiply-adds for one image (million MACs)",
        scale=1e-6,
        describe=lambda count: f"{si(count)} MACs",
        file_name="error_vs_macs",
        comparable=is_done,
    ),
    Cost(
        name="train_seconds",
        title="training time",
        heading="train s",
        axis="training time (s)",
        scale=1,
        describe=lambda seconds: f"{seconds:,.1f} s of training",
        file_name="error_vs_seconds",
        comparable=has_comparable_time,
        count_column="n_timed",
    ),
    Cost(
        name="peak_memory_bytes",
        title="peak memory",
        heading="memory MB",
        axis="peak memory (GB)",
        scale=1e-9,
        describe=lambda count: f"peak memory {count / 1e9:.2f} GB",
        file_name="error_vs_memory",
        comparable=has_comparable_memory,
        count_column="n_memory",
    ),
)
