"""What the runs show: a report's sections on conclusions, verdicts, single images, and choosing on test images."""

from __future__ import annotations

from dataclasses import replace

from ablations.analysis.comparisons import Comparisons
from ablations.analysis.paired_tests import Comparison
from ablations.analysis.published import load_published
from ablations.analysis.published_claims import check_claims
from ablations.analysis.results import Results
from ablations.report import formatting
from ablations.report.document import Block, Items, Section, Table, Text
from ablations.report.formats.markdown import commands, escape
from ablations.report.sections.claims import evidence_of
from ablations.suites.recipe import PUBLISHED


def headline_section(results: Results, verdicts: Comparisons) -> Section:
    """The findings in a few sentences; an incomplete grid gets no headline but the way to complete it."""
    blocks: list[Block] = []
    if not results.complete:
        text = f"No headline: {results.why_incomplete}: {commands(results.plan.commands)}"
        blocks.append(Text(text, kind="note"))
    by_verdict: dict[str, list[Comparison]] = {}
    for comparison in verdicts.comparisons:
        by_verdict.setdefault(comparison.verdict, []).append(comparison)
    sentences = {
        "better": "Less top-1 error than {baseline}",
        "worse": "More top-1 error than {baseline}",
        "equivalent": "Equivalent to {baseline} within {margin:g} points",
        "inconclusive": "Not settled against {baseline} by these seeds",
    }
    items = [
        f"**{sentences[verdict].format(baseline=results.plan.baseline, margin=100 * results.plan.margin)}:** "
        + ", ".join(_headline(comparison) for comparison in by_verdict[verdict])
        for verdict in sentences
        if verdict in by_verdict
    ]
    if items:
        blocks.append(Items(items))
        seeds = f"{verdicts.comparisons[0].n} seeds"
        blocks.append(Text(f"Differences in points of top-1 error with their 95 % intervals, over {seeds} of each."))
    elif results.complete:
        blocks.append(Text(f"No verdict: {_why_no_verdict(verdicts)}."))
    drawn = check_claims(results, replace(verdicts, reason=escape(verdicts.reason)))
    if drawn:
        elsewhere = results.plan.recipe.name != PUBLISHED.name or load_published(results.plan.data.name).empty
        caveat = ", which have other data or another recipe" if elsewhere else ""
        blocks.append(Text(f"The conclusions of the ablation published in 2020, held against these runs{caveat}:"))
        rows = [
            {"published conclusion": each.claim, "these runs": each.answer, "evidence": evidence_of(each)}
            for each in drawn
        ]
        blocks.append(Table("conclusions", rows))
    return Section("What these runs show", blocks)


def _headline(comparison: Comparison) -> str:
    return f"{comparison.variant} {formatting.points(comparison.difference)} {formatting.interval(comparison.interval)}"


def _why_no_verdict(verdicts: Comparisons) -> str:
    return escape(verdicts.reason) or "one seed tells nothing of the spread between seeds; `--seeds 3` or more does"
