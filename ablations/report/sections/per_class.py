"""Errors by class and calibration, from the predictions for single test images."""

from __future__ import annotations

from ablations.analysis.analyse import Analysis
from ablations.analysis.calibration import BINS
from ablations.analysis.per_class import most_degraded_classes
from ablations.report import formatting
from ablations.report.document import Block, Column, Section, Table, Text
from ablations.report.formats.markdown import escape
from ablations.report.formatting import percent

MOST_NOTES = 10
CALIBRATION = (
    Column("variant", ("variant",)),
    Column("n", ("n",)),
    Column("calibration error %", ("ece_mean", "ece_std"), format=percent),
    Column("mean confidence %", ("confidence_mean",), format=percent),
    Column("mean accuracy %", ("accuracy_mean",), format=percent),
)
MOST_DEGRADED = (
    Column("variant", ("variant",)),
    Column("class", ("class_name",)),
    Column("test images", ("images",), format=formatting.count),
    Column("error %", ("error_mean",), format=percent),
    Column("difference, points", ("difference",), format=formatting.points),
    Column("p (Holm)", ("p_holm",), format=formatting.p_value),
)


def per_class_section(analysis: Analysis) -> Section:
    """Calibration, the most degraded classes of each variant, and predictions that cannot be read."""
    blocks: list[Block] = []
    if len(analysis.calibration):
        checked = int(analysis.calibration["n"].sum())
        text = (
            f"Top-1 and top-5 counts recomputed from the predictions of {checked:,} runs equal those of their records. "
            f"Calibration error is the expected calibration error over {BINS} bins of confidence; errors of all "
            "classes are in `per_class.csv`."
        )
        blocks += [Table("calibration", analysis.calibration, columns=CALIBRATION), Text(text)]
    baseline = analysis.results.plan.baseline
    losses = most_degraded_classes(analysis.per_class, baseline=baseline)
    if len(losses):
        blocks.append(Text(f"The classes whose error rises most against {baseline}, for each variant:"))
        blocks.append(Table("per_class", losses, columns=MOST_DEGRADED))
    blocks += [Text(escape(line), kind="note") for line in analysis.unread[:MOST_NOTES]]
    if len(analysis.unread) > MOST_NOTES:
        blocks.append(Text(f"... and {len(analysis.unread) - MOST_NOTES:,} more", kind="note"))
    return Section(
        "Errors by class and calibration",
        blocks or [Text("No run is done.")],
        fold="Calibration, and the classes that each variant loses",
    )
