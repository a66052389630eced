"""Published systems: the published figures of architectures with their own recipes, beside those of these runs."""

from __future__ import annotations

import pandas as pd

from ablations.analysis.analyse import Analysis
from ablations.analysis.published.references import compare_with_references
from ablations.report import formatting
from ablations.report.document import Column, Section, Table, Text
from ablations.report.formatting import count, count_of, megabytes, percent, seconds, si


def references_section(analysis: Analysis) -> Section | None:
    """The published figures beside the measured ones; None unless each variant has its own recipe."""
    frame = compare_with_references(analysis.results)
    if frame.empty:
        return None
    note = (
        "Published figures are for the data, number of classes and image size in their column. Measured ones are for "
        "the data and recipes at the head of this report; only runs of the same data, epochs and precision compare "
        "with them. Params include auxiliary heads. MACs are for one image of the size that was trained. Test loss is "
        "the mean cross-entropy. Each variant has its own recipe, so no difference between rows is due to the "
        "architecture alone."
    )
    return Section("Published systems", [Table("references", frame, columns=COLUMNS), Text(note)])


def _published_for(data: str, classes: int, side: int) -> str:
    size = f"{classes:,} classes, {side}x{side} pixels"
    return size if pd.isna(data) else f"{data}: {size}"


COLUMNS = (
    Column("variant", ("variant",)),
    Column("published for", ("published_data", "published_classes", "published_image_size"), format=_published_for),
    Column("epochs published", ("published_epochs",), format=count),
    Column("epochs measured", ("planned_epochs",), format=count),
    Column("params published", ("published_params",), format=count),
    Column("params measured", ("params",), format=count),
    Column("MACs published", ("published_macs",), format=si),
    Column("MACs measured", ("macs",), format=si),
    Column("results published", ("published_results",)),
    Column("n", ("n", "n_planned"), format=count_of),
    Column("top-1 error %", ("top1_error_mean", "top1_error_std"), format=percent),
    Column("top-5 error %", ("top5_error_mean", "top5_error_std"), format=percent),
    Column("training error %", ("train_error_mean", "train_error_std"), format=percent),
    Column("test loss", ("test_loss_mean", "test_loss_std"), format=formatting.number),
    Column("train s", ("train_seconds_mean", "train_seconds_std"), format=seconds),
    Column("memory MB", ("peak_memory_bytes_mean", "peak_memory_bytes_std"), format=megabytes),
)
