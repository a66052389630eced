"""TODO"""

from __future__ import annotations

import pandas as pd

from ablations.analysis.published import load_published
from ablations.analysis.results import Results
from ablations.report import formatting
from ablations.report.document import Section, Table, Text
from ablations.suites.recipe import PUBLISHED


def published_section(results: Results) -> Section | None:
    """The published table beside the measured one; none for other data or another recipe."""
    # Another recipe's results say nothing of what the published ones were drawn from.
    table = load_published(results.plan.data.name if results.plan.recipe.name == PUBLISHED.name else "")
    rows = _published_rows(results.summary, table)
    if not rows:
        return None
    caveat = (
        "Published: one run a variant, errors rounded to whole percents, on an unnamed GPU of 2020. Its parameter "
        "counts are reproduced exactly; its write-up does not give the modules of short3 and short4, which are "
        "reconstructions from those counts."
    )
    return Section("Published and measured", [Table("published", rows), Text(caveat)])


def _published_rows(summary: pd.DataFrame, table: pd.DataFrame) -> list[dict[str, str]]:
    rows = []
    for _, row in summary[summary["variant"].isin(table.index)].iterrows():
        known = table.loc[row["variant"]]
        rows.append(
            {
                "variant": row["variant"],
                "n": formatting.count(row["n"]),
                "top-1 % published": formatting.percent(known["top1_error"], digits=0),
                "top-1 % measured": formatting.percent(row["top1_error_mean"], row["top1_error_std"]),
                "top-5 % published": formatting.percent(known["top5_error"], digits=0),
                "top-5 % measured": formatting.percent(row["top5_error_mean"], row["top5_error_std"]),
                "params published": formatting.count(known["params"]),
                "params measured": formatting.count(row["params"]),
                "14 epochs, s published": formatting.count(known["train_seconds_14_epochs"]),
                "train s measured": formatting.seconds(row["train_seconds_mean"], row["train_seconds_std"]),
            }
        )
    return rows
