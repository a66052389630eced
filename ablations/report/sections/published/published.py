"""Published results beside those of these runs."""

from __future__ import annotations

from ablations.analysis.analyse import Analysis
from ablations.analysis.published.published_claims import differences_from_published, load_published
from ablations.report.document import Column, Section, Table, Text
from ablations.report.formats.markdown import escape
from ablations.report.formatting import count, percent, seconds, whole_percent

TITLE, FOLD = "Published results", "The table of 2020 beside the measured one"
NOTE = (
    "Published: one run per variant, errors rounded to whole percent. The published clock is unknown: the GPU of 2020 "
    "is unnamed, and what was timed is not said, so its seconds do not compare with the measured ones. The published "
    "runs set the eps of nine batch norms to their number of channels, by a slip, and flipped their test images at "
    "random; these runs do neither. The write-up prints the code of reduced. It does not give the modules of the "
    "others, only their parameter counts; the modules here reproduce all 14 counts. short3 and short4 are "
    "reconstructions: other modules could give the same counts."
)
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
    """The published table beside the measured one, or why the two do not compare; None if nothing was published."""
    results = analysis.results
    published = load_published(results.plan.data.name)
    frame = results.summary.join(published.rename(columns={"params": "params_published"}), on="variant", how="inner")
    if frame.empty or results.different_recipes:
        return None
    differing = differences_from_published(results.plan)
    if differing:
        listed = escape(", ".join(differing))
        return Section(
            TITLE, [Text(f"Not shown, because these runs do not compare with the published ones: {listed}.")], fold=FOLD
        )
    return Section(TITLE, [Table("published", frame, columns=COLUMNS), Text(NOTE)], fold=FOLD)
