"""Selection bias: how much lower each variant's error would be if the epoch were chosen on test images."""

from __future__ import annotations

from ablations.analysis.analyse import Analysis
from ablations.analysis.epochs.selection_bias import measure_selection_bias
from ablations.report import formatting
from ablations.report.document import Column, Section, Table, Text

COLUMNS = (
    Column("variant", ("variant",)),
    Column("n", ("n",)),
    Column("reported error %", ("reported_mean",), format=formatting.percent),
    Column("lowest over epochs %", ("least_mean",), format=formatting.percent),
    Column("selection bias, points", ("selection_bias_mean", "selection_bias_std"), format=formatting.percent),
    Column("mean epoch of the lowest", ("epoch_mean",), format="{:.1f}".format),
)


def selection_bias_section(analysis: Analysis) -> Section | None:
    """The reported errors beside the lowest over epochs; None without the diagnostic."""
    found = measure_selection_bias(analysis.results)
    if found.empty:
        return None
    text = (
        "The reported error is from an epoch that was chosen without test images. Reporting the epoch with the lowest "
        "test error instead would have lowered each variant's error by the selection bias. Measured from "
        "`selection_bias.jsonl` of each run. No choice and no error in this report comes from it; only the ranking by "
        "epoch falls back on it where no images were held out."
    )
    return Section("Selection bias", [Table("selection_bias", found, columns=COLUMNS), Text(text)])
