"""Errors by class and calibration, from the predictions for single test images."""

from __future__ import annotations

from ablations.analysis.analyse import Analysis
from ablations.analysis.images.calibration import BINS
from ablations.analysis.images.per_class import degraded_classes
from ablations.report import formatting
from ablations.report.document import Block, Column, Section, Table, Text
from ablations.report.formats.markdown import escape
from ablations.report.formatting import percent, plural

MOST_NOTES = 10
MOST_CLASSES = 3  # of a variant
CALIBRATION = (
    Column("variant", ("variant",)),
    Column("n", ("n",)),
    Column("calibration error %", ("ece_mean", "ece_std"), format=percent),
    Column("of a calibrated network %", ("calibrated_ece_mean",), format=percent),
    Column("mean confidence %", ("confidence_mean",), format=percent),
    Column("mean accuracy %", ("accuracy_mean",), format=percent),
)
DEGRADED = (
    Column("variant", ("variant",)),
    Column("class", ("class_name",)),
    Column("test images", ("images",), format=formatting.count),
    Column("error %", ("error_mean",), format=percent),
    Column("difference, points", ("difference",), format=formatting.points),
    Column("p (Holm)", ("p_holm",), format=formatting.p_value),
)


def per_class_section(analysis: Analysis) -> Section:
    """Calibration, the classes that a variant is shown to lose on, and predictions that cannot be read."""
    blocks: list[Block] = []
    if len(analysis.calibration):
        checked = int(analysis.calibration["n"].sum())
        text = (
            f"Top-1 and top-5 counts recomputed from the predictions of {plural(checked, 'run')} equal those of the "
            f"{'record' if checked == 1 else 'records'}. "
            f"Calibration error is the expected calibration error over {BINS} bins of confidence. A perfectly "
            "calibrated network with the same confidences has one above zero too, because the test images are few: "
            "only what exceeds it speaks of miscalibration. Errors of all classes are in `per_class.csv`."
        )
        blocks += [Table("calibration", analysis.calibration, columns=CALIBRATION), Text(text)]
    blocks += _losses(analysis)
    blocks += [Text(escape(line), kind="note") for line in analysis.unread[:MOST_NOTES]]
    if len(analysis.unread) > MOST_NOTES:
        blocks.append(Text(f"... and {len(analysis.unread) - MOST_NOTES:,} more", kind="note"))
    return Section(
        "Errors by class and calibration",
        blocks or [Text("No run is done.")],
        fold="Calibration, and the classes on which a variant loses",
    )


def _losses(analysis: Analysis) -> list[Block]:
    """The classes with a significantly higher error, up to three a variant, or that there are none."""
    baseline, tested = analysis.results.plan.baseline, int(analysis.per_class["p_holm"].notna().sum())
    if not tested:
        return []
    losses = degraded_classes(analysis.per_class, level=analysis.comparisons.looks.level)
    adjusted = f", Holm-adjusted for all {tested:,} pairs of a class and a variant" if tested > 1 else ""
    tests = f"paired t test{'s' if tested > 1 else ''}{adjusted}"
    if losses.empty:
        return [Text(f"On no class is the error of a variant shown to be higher than that of {baseline} ({tests}).")]
    listed = losses.groupby("variant").head(MOST_CLASSES)
    more = len(losses) - len(listed)
    text = f"Classes on which the error of a variant is shown to be higher than that of {baseline} ({tests})"
    if more:
        text += f"; the largest {MOST_CLASSES} of each variant, {more:,} more are in `per_class.csv`"
    return [Text(f"{text}:"), Table("per_class", listed, columns=DEGRADED)]
