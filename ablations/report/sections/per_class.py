"""TODO"""

from __future__ import annotations

from typing import Any

import pandas as pd

from ablations.analysis.analyse import Analysis
from ablations.analysis.calibration import BINS
from ablations.analysis.per_class import most_degraded_classes
from ablations.report import formatting
from ablations.report.document import Block, Section, Table, Text
from ablations.report.formats.markdown import escape
from ablations.report.formatting import Cell


def per_class_section(analysis: Analysis) -> Section:
    """What single predictions say: calibration, and the classes that a variant loses."""
    blocks: list[Block] = []
    if len(analysis.calibration):
        blocks.append(Table("calibration", _calibration_rows(analysis.calibration)))
        checked = int(analysis.calibration["n"].sum())
        blocks.append(
            Text(
                f"Top-1 and top-5 counts recomputed from the predictions of {checked:,} runs equal their records'. "
                f"Calibration error is the expected one over {BINS} bins of confidence; errors of every class are in "
                "`per_class.csv`."
            )
        )
    baseline = analysis.results.plan.baseline
    losses = most_degraded_classes(analysis.per_class, baseline=baseline)
    if len(losses):
        blocks.append(Text(f"The classes on which each variant loses most against {baseline}:"))
        blocks.append(Table("classes", _loss_rows(losses)))
    blocks += [Text(escape(line), kind="note") for line in analysis.unread[:10]]
    if len(analysis.unread) > 10:
        blocks.append(Text(f"... and {len(analysis.unread) - 10:,} more", kind="note"))
    return Section("Per-image evidence", blocks or [Text("No run is done.")])


def _calibration_rows(calibration: pd.DataFrame) -> list[dict[str, str]]:
    return [
        {
            "variant": str(row["variant"]),
            "n": formatting.count(row["n"]),
            "calibration error %": formatting.percent(row["ece_mean"], row["ece_std"]),
            "mean confidence %": formatting.percent(row["confidence_mean"]),
            "mean accuracy %": formatting.percent(row["accuracy_mean"]),
        }
        for _, row in calibration.iterrows()
    ]


def _loss_rows(losses: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            "variant": str(row["variant"]),
            "class": escape(str(row["class_name"])),
            "test images": formatting.count(row["images"]),
            "error %": formatting.percent(row["error_mean"]),
            "difference, points": formatting.points(row["difference"]),
            "p (Holm)": Cell(formatting.NONE) if pd.isna(row["p_holm"]) else formatting.p_value(row["p_holm"]),
        }
        for _, row in losses.iterrows()
    ]
