"""Headline: the verdicts in a few sentences, and the published claims checked against these runs."""

from __future__ import annotations

import pandas as pd

from ablations.analysis.analyse import Analysis
from ablations.analysis.comparisons import Comparisons
from ablations.analysis.convergence import Convergence
from ablations.analysis.paired_tests import Comparison
from ablations.analysis.published_claims import Claim, check_claims
from ablations.analysis.results import Results
from ablations.report import formatting
from ablations.report.document import Block, Items, Section, Table, Text
from ablations.report.formats.markdown import commands, escape
from ablations.suites.plan import Plan

SENTENCES = {  # by verdict
    "better": "Lower top-1 error than {baseline}",
    "worse": "Higher top-1 error than {baseline}",
    "equivalent": "Equivalent to {baseline} within {margin:g} points",
    "inconclusive": "Inconclusive against {baseline}",
}


def headline_section(analysis: Analysis) -> Section:
    """The verdicts in a few sentences; for an incomplete suite only the command that completes it."""
    results, comparisons = analysis.results, analysis.comparisons
    blocks: list[Block] = []
    if not results.complete:
        text = f"No headline: {results.why_incomplete}: {commands(results.plan.commands)}"
        blocks.append(Text(text, kind="note"))
    if comparisons.comparisons:
        seeds = f"{comparisons.comparisons[0].n} seeds"
        blocks += [
            Items(_sentences(comparisons, results.plan)),
            Text(f"Differences are in points of top-1 error, with 95 % intervals over {seeds}."),
        ]
    elif results.complete:
        blocks.append(Text(f"No verdict: {_why_no_verdict(comparisons)}."))
    return Section("Headline", [*blocks, *_published_claims(results, comparisons)])


def _sentences(comparisons: Comparisons, plan: Plan) -> list[str]:
    by_verdict: dict[str, list[Comparison]] = {}
    for comparison in comparisons.comparisons:
        by_verdict.setdefault(comparison.verdict, []).append(comparison)
    return [
        f"**{sentence.format(baseline=plan.baseline, margin=100 * plan.margin)}:** "
        + ", ".join(_in_short(comparison) for comparison in by_verdict[verdict])
        for verdict, sentence in SENTENCES.items()
        if verdict in by_verdict
    ]


def _in_short(comparison: Comparison) -> str:
    return f"{comparison.variant} {formatting.points(comparison.difference)} {formatting.interval(comparison.interval)}"


def _why_no_verdict(comparisons: Comparisons) -> str:
    return escape(comparisons.reason) or "one seed does not show the spread between seeds; use `--seeds 3` or more"


def _published_claims(results: Results, comparisons: Comparisons) -> list[Block]:
    claims = check_claims(results, comparisons)
    if not claims:
        return []
    frame = pd.DataFrame([(claim.claim, claim.answer, evidence_of(claim), claim.suite) for claim in claims])
    titles = ("published claim", "these runs", "evidence", "tested by")
    return [
        Text("Published claims, checked against these runs:"),
        Table.of("published_claims", frame.set_axis(titles, axis="columns")),
    ]


def evidence_of(claim: Claim) -> str:
    """The numbers that an answer rests on in words, or why there are none."""
    if claim.params is not None:
        variant, baseline = claim.params
        return f"{variant / baseline:.1f} times: {variant:,} and {baseline:,}"
    if claim.comparisons:
        return "; ".join(_in_words(comparison) for comparison in claim.comparisons)
    if claim.convergence is not None:
        return _epochs_in_words(claim.convergence)
    return claim.reason or "one seed does not show the spread between seeds"


def _in_words(comparison: Comparison) -> str:
    return (
        f"{comparison.variant} {formatting.points(comparison.difference)} points "
        f"{formatting.interval(comparison.interval)}, p (Holm) {formatting.p_value(comparison.p_holm)}, "
        f"p of equivalence (Holm) {formatting.p_value(comparison.p_equivalent_holm)}, n = {comparison.n}"
    )


def _epochs_in_words(found: Convergence) -> str:
    return (
        f"{found.variant} {found.variant_epochs:.2f} epochs and {found.baseline} {found.baseline_epochs:.2f} to a "
        f"training error of {formatting.percent(found.train_error)} %; difference {found.difference:+.2f} "
        f"{formatting.interval(found.interval, scale=1)}, n = {found.n}"
    )
