"""TODO"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pandas as pd

from ablations.analysis.results import one_device_kind, one_hardware
from ablations.report import formatting


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
        describe=lambda count: f"{formatting.si(count)} MACs",
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


def is_comparable(runs: pd.DataFrame, cost: Cost) -> bool:
    """Whether every run has this cost, measured in a way that compares."""
    if cost.name == "train_seconds":
        return bool(runs["timing_valid"].eq(True).all()) and one_hardware(runs)
    if cost.name == "peak_memory_bytes":
        return bool(runs[cost.name].notna().all()) and one_device_kind(runs)
    return True
