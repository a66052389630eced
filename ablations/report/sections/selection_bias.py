"""TODO"""

from __future__ import annotations

from ablations.analysis.results import Results
from ablations.analysis.selection_bias import measure_selection_bias
from ablations.report import formatting
from ablations.report.document import Section, Table, Text
from ablations.report.formatting import Cell


def selection_bias_section(results: Results) -> Section | None:
    """How much choosing the epoch on test images would have flattered; none without the diagnostic."""
    found = measure_selection_bias(results)
    if found.empty:
        return None
    rows = [
        {
            "variant": str(row["variant"]),
            "n": formatting.count(row["n"]),
            "reported error %": formatting.percent(row["reported_mean"]),
            "least over epochs %": formatting.percent(row["least_mean"]),
            "flattered by, points": formatting.percent(row["selection_bias_mean"], row["selection_bias_std"]),
            "mean epoch chosen": Cell(f"{row['epoch_mean']:.1f}", row["epoch_mean"]),
        }
        for _, row in found.iterrows()
    ]
    text = (
        "The reported error is that of an epoch that no test image chose. Had the epoch with the least test error been "
        "reported instead, each variant would have looked better by so many points. From `selection_bias.jsonl` of "
        "each run. No choice and no error in this report comes from it; only the order by epoch falls back on it where "
        "nothing was held out."
    )
    return Section("Selection bias", [Table("selection", rows), Text(text)])
