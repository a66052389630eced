"""What is printed once a suite is run: its errors and verdicts in tables of 80 columns; the report has the rest."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from ablations.analysis.comparisons import Comparisons
from ablations.analysis.power import MOST_SEEDS
from ablations.analysis.results import Results
from ablations.report import formatting
from ablations.report.document import Column, Table
from ablations.report.sections.comparisons import UNDECIDED, comparisons_table


def errors_and_costs(results: Results) -> Table:
    """The top-1 error, parameters, MACs and training time of each variant, as it was trained."""
    columns = [
        Column("variant", ("variant",)),
        Column("n", ("n", "n_planned"), format=formatting.count_of),
        Column("top-1 error %", ("top1_error_mean", "top1_error_std"), format=formatting.percent),
        Column("params", ("params",), format=formatting.si),
        Column("MACs", ("macs",), format=formatting.si),
        Column("train s", ("train_seconds_mean",), format=formatting.seconds),
    ]
    return Table("summary", results.summary, columns=columns)


def verdicts(comparisons: Comparisons) -> Table | None:
    """The difference of each variant from the baseline with its verdict; for one seed, the test over images.

    None if there are neither.
    """
    table = comparisons_table(comparisons)
    if table is None or not comparisons.comparisons:
        return table
    columns = [
        Column("variant", ("variant",)),
        Column("n", ("n",)),
        Column("points", ("difference",), format=formatting.points),
        Column("95 % interval", ("interval_low", "interval_high"), format=formatting.signed_interval_of),
        Column("verdict", ("verdict",), style=lambda verdict: "plain" if verdict == UNDECIDED else "strong"),
        Column("seeds needed", ("seeds_needed", "verdict"), format=_seeds_needed),
    ]
    return replace(table, columns=columns)


def _seeds_needed(count: float | None, verdict: str) -> str:
    """How many seeds would settle an inconclusive comparison."""
    if verdict != UNDECIDED:
        return ""
    return f"> {MOST_SEEDS:,}" if pd.isna(count) else formatting.count(count)
