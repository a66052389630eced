"""TODO"""

from __future__ import annotations

from collections.abc import Iterable

from ablations.analysis.bootstrap import BOOTSTRAP_SEEDS
from ablations.analysis.comparisons import Comparisons
from ablations.analysis.intervals import ALPHA
from ablations.analysis.paired_tests import Comparison
from ablations.analysis.power import MOST_SEEDS, POWER
from ablations.analysis.results import Results
from ablations.report import formatting
from ablations.report.document import Block, Section, Table, Text
from ablations.report.formats.markdown import escape
from ablations.report.formatting import Cell


def verdict_section(results: Results, verdicts: Comparisons) -> Section:
    """Each variant against the baseline on top-1 error."""
    rows = verdict_table(verdicts)
    table: list[Block] = [Table("verdicts", rows)] if rows else []
    return Section("Verdicts", [*table, *(Text(note) for note in _verdict_notes(results, verdicts))])


def verdict_table(verdicts: Comparisons) -> list[dict[str, str]]:
    """The verdicts as text; differences are the variant's top-1 error less the baseline's, in points."""
    rows: list[dict[str, str]] = []
    bootstrapped = any(comparison.bootstrap for comparison in verdicts.comparisons)
    for comparison in verdicts.comparisons:
        bootstrap = {"bootstrap 95 %": formatting.interval(comparison.bootstrap)} if bootstrapped else {}
        rows.append(
            {
                "variant": comparison.variant,
                "n": Cell(str(comparison.n), comparison.n),
                "difference, points": formatting.points(comparison.difference),
                "95 % interval": formatting.interval(comparison.interval),
                "p": formatting.p_value(comparison.p),
                "p (Holm)": formatting.p_value(comparison.p_holm),
                "p, equivalent (Holm)": formatting.p_value(comparison.p_equivalent_holm),
                "p (signs)": formatting.p_value(comparison.p_signs),
                **bootstrap,
                "verdict": _verdict(comparison),
            }
        )
    for variant, test in (verdicts.image_tests or {}).items():
        rows.append(
            {
                "variant": variant,
                "images only it gets wrong": formatting.count(test.only_variant_wrong),
                "images only the baseline gets wrong": formatting.count(test.only_baseline_wrong),
                "p (McNemar)": formatting.p_value(test.p),
            }
        )
    return rows


def _verdict(comparison: Comparison) -> str:
    if comparison.verdict != "inconclusive":
        return f"**{comparison.verdict}**"
    if comparison.seeds_needed is None:
        return f"inconclusive; more than {MOST_SEEDS:,} seeds would be needed"
    return f"inconclusive; about {comparison.seeds_needed} seeds would settle it"


def _verdict_notes(results: Results, verdicts: Comparisons) -> Iterable[str]:
    plan = results.plan
    if verdicts.reason:
        yield f"No verdict: {escape(verdicts.reason)}."
        return
    if verdicts.image_tests is not None:
        yield (
            "With one seed there is no verdict on architectures. McNemar's exact test compares the two trained "
            f"networks, a variant's and {plan.baseline}'s, on the same {plan.data.test_images:,} images; another seed "
            "can turn it round."
        )
        return
    first = verdicts.comparisons[0]
    yield (
        f"Top-1 error less that of {plan.baseline}, paired by seed. Better or worse: paired t test, Holm-adjusted for "
        f"{len(verdicts.comparisons)} comparisons, p at most {ALPHA:g}. Equivalent: two one-sided t tests "
        f"against a margin of {100 * plan.margin:g} points, adjusted likewise. With the number of seeds that would "
        f"settle it, a comparison would be settled with {100 * POWER:.0f} % probability, if the true difference "
        "and spread equal the estimates."
    )
    yield (
        f"The sign-flip test makes no assumption of normality; with {first.n} seeds its p cannot go below "
        f"{formatting.p_value(first.smallest_p)}."
        + ("" if first.bootstrap else f" A bootstrap interval is given from {BOOTSTRAP_SEEDS} seeds on.")
    )
    disagreeing = [comparison.variant for comparison in verdicts.comparisons if comparison.checks_disagree]
    if disagreeing:
        yield (
            f"For {', '.join(disagreeing)} the t test and an assumption-free check disagree on whether there is a "
            "difference (before the adjustment); more seeds are needed to trust either."
        )
