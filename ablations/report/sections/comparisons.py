"""Comparisons: each variant against the baseline on top-1 error, with verdicts."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from ablations.analysis.analyse import Analysis
from ablations.analysis.bootstrap import BOOTSTRAP_SEEDS
from ablations.analysis.comparisons import Comparisons
from ablations.analysis.intervals import ALPHA
from ablations.analysis.power import MOST_SEEDS, POWER
from ablations.report import formatting
from ablations.report.document import Block, Column, Section, Style, Table, Text
from ablations.report.formats.markdown import escape
from ablations.suites.plan import Plan

UNDECIDED = "inconclusive"


def comparisons_section(analysis: Analysis) -> Section:
    """Each variant against the baseline on top-1 error."""
    table = comparisons_table(analysis.comparisons)
    blocks: list[Block] = [table] if table else []
    notes = _notes(analysis.comparisons, analysis.results.plan)
    return Section(
        "Comparisons",
        [*blocks, *(Text(note) for note in notes)],
        fold="Tests of each variant against the baseline, with p-values",
    )


def comparisons_table(comparisons: Comparisons) -> Table | None:
    """The comparisons over seeds, or with one seed those over images; None if there are neither.

    Differences are the variant's top-1 error minus the baseline's, in points.
    """
    caption = "Top-1 error of each variant against the baseline's, paired by seed."
    if comparisons.comparisons:
        frame, columns = comparisons.frame(), _seed_columns(bootstrap=any(c.bootstrap for c in comparisons.comparisons))
    elif comparisons.image_tests:
        frame = pd.DataFrame(
            {"variant": variant, **test._asdict()} for variant, test in comparisons.image_tests.items()
        )
        columns = _image_columns()
    else:
        return None
    return Table("comparisons", frame, columns=columns, caption=caption)


def _seed_columns(*, bootstrap: bool) -> list[Column]:
    interval, p_value = formatting.signed_interval_of, formatting.p_value
    by_bootstrap = Column("bootstrap 95 %", ("bootstrap_low", "bootstrap_high"), format=interval)
    return [
        Column("variant", ("variant",)),
        Column("n", ("n",)),
        Column("difference, points", ("difference",), format=formatting.points),
        Column("95 % interval", ("interval_low", "interval_high"), format=interval),
        Column("p", ("p",), format=p_value),
        Column("p (Holm)", ("p_holm",), format=p_value),
        Column("p, equivalent (Holm)", ("p_equivalent_holm",), format=p_value),
        Column("p (signs)", ("p_signs",), format=p_value),
        *([by_bootstrap] if bootstrap else []),
        Column("verdict", ("verdict", "seeds_needed"), format=_verdict, style=_verdict_style),
    ]


def _image_columns() -> list[Column]:
    return [
        Column("variant", ("variant",)),
        Column("images only the variant gets wrong", ("only_variant_wrong",), format=formatting.count),
        Column("images only the baseline gets wrong", ("only_baseline_wrong",), format=formatting.count),
        Column("p (McNemar)", ("p",), format=formatting.p_value),
    ]


def _verdict(verdict: str, seeds_needed: float | None) -> str:
    if verdict != UNDECIDED:
        return verdict
    if pd.isna(seeds_needed):
        return f"{verdict}; more than {MOST_SEEDS:,} seeds would be needed"
    return f"{verdict}; about {seeds_needed:.0f} seeds would settle it"


def _verdict_style(verdict: str, _: float | None) -> Style:
    return "plain" if verdict == UNDECIDED else "strong"


def _notes(comparisons: Comparisons, plan: Plan) -> Iterable[str]:
    if comparisons.reason:
        yield f"No verdict: {escape(comparisons.reason)}."
        return
    if comparisons.image_tests is not None:
        yield (
            "One seed gives no verdict on architectures. McNemar's exact test compares two trained networks, the "
            f"variant's and {plan.baseline}'s, on the same {plan.data.test_images:,} images; another seed may reverse "
            "it."
        )
        return
    first = comparisons.comparisons[0]
    yield (
        f"Differences are the variant's top-1 error minus that of {plan.baseline}, paired by seed. Better or worse: "
        f"paired t test, Holm-adjusted for {len(comparisons.comparisons)} comparisons, p at most {ALPHA:g}. "
        f"Equivalent: two one-sided t tests with a margin of {100 * plan.margin:g} points, adjusted the same way. The "
        f"number of seeds that would settle a comparison does so with {100 * POWER:.0f} % probability, if the true "
        "difference and spread equal the estimates."
    )
    yield (
        f"The sign-flip test, p (signs), does not assume normality; with {first.n} seeds its p cannot be below "
        f"{formatting.p_value(first.smallest_p)}."
        + ("" if first.bootstrap else f" Bootstrap intervals need at least {BOOTSTRAP_SEEDS} seeds.")
    )
    disagreeing = [comparison.variant for comparison in comparisons.comparisons if comparison.checks_disagree]
    if disagreeing:
        yield (
            f"For {', '.join(disagreeing)}, the t test and a nonparametric check disagree on whether there is a "
            "difference (before adjustment); more seeds are needed to trust either."
        )
