"""Selection bias: how much better each variant would look if test images had chosen the epoch."""

from __future__ import annotations

from ablations.analysis.analyse import Analysis
from ablations.analysis.selection_bias import measure_selection_bias
from ablations.report import formatting
from ablations.report.document import Column, Section, Table, Text

COLUMNS = (
    Column("variant", ("variant",)),
    Column("n", ("n",)),
    Column("reported error %", ("reported_mean",), format=formatting.percent),
    Column("least over epochs %", ("least_mean",), format=formatting.percent),
    Column("flattered by, points", ("selection_bias_mean", "selection_bias_std"), format=formatting.percent),
    Column("mean epoch chosen", ("epoch_mean",), format="{:.1f}".format),
)


def selection_bias_section(analysis: Analysis) -> Section | None:
    """The reported errors beside the least over epochs; None without the diagnostic."""
    found = measure_selection_bias(analysis.results)
    if found.empty:
        return None
    text = (
        "The reported error is that of an epoch that no test image chose. Had the epoch with the least test error been "
        "reported instead, each variant would have looked better by so many points. From `selection_bias.jsonl` of "
        "each run. No choice and no error in this report comes from it; only the order by epoch falls back on it where "
        "nothing was held out."
    )
    return Section("Selection bias", [Table("selection_bias", found, columns=COLUMNS), Text(text)])
