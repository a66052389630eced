"""Published results beside those of these runs."""

from __future__ import annotations

from ablations.analysis.analyse import Analysis
from ablations.analysis.published_claims import load_published
from ablations.report.document import Column, Section, Table, Text
from ablations.report.formatting import count, percent, seconds, whole_percent
from ablations.suites.recipe import PUBLISHED

COLUMNS = (
    Column("variant", ("variant",)),
    Column("n", ("n",)),
    Column("top-1 % published", ("top1_error",), format=whole_percent),
    Column("top-1 % measured", ("top1_error_mean", "top1_error_std"), format=percent),
    Column("top-5 % published", ("top5_error",), format=whole_percent),
    Column("top-5 % measured", ("top5_error_mean", "top5_error_std"), format=percent),
    Column("params published", ("params_published",), format=count),
    Column("params measured", ("params",), format=count),
    Column("14 epochs, s published", ("train_seconds_14_epochs",), format=count),
    Column("train s measured", ("train_seconds_mean", "train_seconds_std"), format=seconds),
)


def published_section(analysis: Analysis) -> Section | None:
    """The published table beside the measured one; None for other data or another recipe."""
    results = analysis.results
    # Results of another recipe are not comparable with the published ones.
    published = load_published(results.plan.data.name if results.plan.recipe.name == PUBLISHED.name else "")
    frame = results.summary.join(published.rename(columns={"params": "params_published"}), on="variant", how="inner")
    if frame.empty:
        return None
    caveat = (
        "Published: one run per variant, errors rounded to whole percent, on an unnamed GPU of 2020. The parameter "
        "counts are reproduced exactly. The write-up does not list the modules of short3 and short4; they are "
        "reconstructions from those counts."
    )
    return Section("Published results", [Table("published", frame, columns=COLUMNS), Text(caveat)])
