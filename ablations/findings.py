"""What the runs show: a report's sections on conclusions, verdicts, single images, and choosing on test images."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pandas as pd

from . import cells, conclusions, power, published, selection, stats
from .cells import Cell
from .config import PUBLISHED
from .document import Block, Items, Section, Table, Text
from .evidence import BINS, Evidence, lost
from .markdown import commands, escape
from .stats import Comparison
from .tables import Results
from .verdicts import Verdicts


def headline_section(results: Results, verdicts: Verdicts) -> Section:
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
    drawn = conclusions.draw(results, replace(verdicts, reason=escape(verdicts.reason)))
    if drawn:
        elsewhere = results.plan.recipe.name != PUBLISHED.name or published.load(results.plan.data.name).empty
        caveat = ", which have other data or another recipe" if elsewhere else ""
        blocks.append(Text(f"The conclusions of the ablation published in 2020, held against these runs{caveat}:"))
        rows = [
            {"published conclusion": each.claim, "these runs": each.answer, "evidence": each.evidence} for each in drawn
        ]
        blocks.append(Table("conclusions", rows))
    return Section("What these runs show", blocks)


def verdict_section(results: Results, verdicts: Verdicts) -> Section:
    """Each variant against the baseline on top-1 error."""
    rows = verdict_table(verdicts)
    table: list[Block] = [Table("verdicts", rows)] if rows else []
    return Section("Verdicts", [*table, *(Text(note) for note in _verdict_notes(results, verdicts))])


def verdict_table(verdicts: Verdicts) -> list[dict[str, str]]:
    """The verdicts as text; differences are the variant's top-1 error less the baseline's, in points."""
    rows: list[dict[str, str]] = []
    bootstrapped = any(comparison.bootstrap for comparison in verdicts.comparisons)
    for comparison in verdicts.comparisons:
        bootstrap = {"bootstrap 95 %": cells.interval(comparison.bootstrap)} if bootstrapped else {}
        rows.append(
            {
                "variant": comparison.variant,
                "n": Cell(str(comparison.n), comparison.n),
                "difference, points": cells.points(comparison.difference),
                "95 % interval": cells.interval(comparison.interval),
                "p": cells.p_value(comparison.p),
                "p (Holm)": cells.p_value(comparison.p_holm),
                "p, equivalent (Holm)": cells.p_value(comparison.p_equivalent_holm),
                "p (signs)": cells.p_value(comparison.p_signs),
                **bootstrap,
                "verdict": _verdict(comparison),
            }
        )
    for variant, test in (verdicts.image_tests or {}).items():
        rows.append(
            {
                "variant": variant,
                "images only it gets wrong": cells.count(test.only_variant_wrong),
                "images only the baseline gets wrong": cells.count(test.only_baseline_wrong),
                "p (McNemar)": cells.p_value(test.p),
            }
        )
    return rows


def selection_section(results: Results) -> Section | None:
    """How much choosing the epoch on test images would have flattered; none without the diagnostic."""
    found = selection.flattery(results)
    if found.empty:
        return None
    rows = [
        {
            "variant": str(row["variant"]),
            "n": cells.count(row["n"]),
            "reported error %": cells.percent(row["reported_mean"]),
            "least over epochs %": cells.percent(row["least_mean"]),
            "flattered by, points": cells.percent(row["flattery_mean"], row["flattery_std"]),
            "mean epoch chosen": Cell(f"{row['epoch_mean']:.1f}", row["epoch_mean"]),
        }
        for _, row in found.iterrows()
    ]
    text = (
        "The reported error is that of an epoch that no test image chose. Had the epoch with the least test error been "
        "reported instead, each variant would have looked better by so many points. From `selection_bias.jsonl` of "
        "each run. No choice and no error in this report comes from it; only the order by epoch falls back on it where "
        "nothing was held out."
    )
    return Section("Selection bias", [Table("selection", rows), Text(text)])


def evidence_section(results: Results, evidence: Evidence) -> Section:
    """What single predictions say: calibration, and the classes that a variant loses."""
    blocks: list[Block] = []
    if len(evidence.calibration):
        blocks.append(Table("calibration", _calibration_rows(evidence.calibration)))
        checked = int(evidence.calibration["n"].sum())
        blocks.append(
            Text(
                f"Top-1 and top-5 counts recomputed from the predictions of {checked:,} runs equal their records'. "
                f"Calibration error is the expected one over {BINS} bins of confidence; errors of every class are in "
                "`per_class.csv`."
            )
        )
    losses = lost(evidence, baseline=results.plan.baseline)
    if len(losses):
        blocks.append(Text(f"The classes on which each variant loses most against {results.plan.baseline}:"))
        blocks.append(Table("classes", _loss_rows(losses)))
    blocks += [Text(escape(line), kind="note") for line in evidence.unread[:10]]
    if len(evidence.unread) > 10:
        blocks.append(Text(f"... and {len(evidence.unread) - 10:,} more", kind="note"))
    return Section("Per-image evidence", blocks or [Text("No run is done.")])


def _headline(comparison: Comparison) -> str:
    return f"{comparison.variant} {cells.points(comparison.difference)} {cells.interval(comparison.interval)}"


def _why_no_verdict(verdicts: Verdicts) -> str:
    return escape(verdicts.reason) or "one seed tells nothing of the spread between seeds; `--seeds 3` or more does"


def _verdict(comparison: Comparison) -> str:
    if comparison.verdict != "inconclusive":
        return f"**{comparison.verdict}**"
    if comparison.seeds_needed is None:
        return f"inconclusive; more than {power.MOST_SEEDS:,} seeds would be needed"
    return f"inconclusive; about {comparison.seeds_needed} seeds would settle it"


def _verdict_notes(results: Results, verdicts: Verdicts) -> Iterable[str]:
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
        f"{len(verdicts.comparisons)} comparisons, p at most {stats.ALPHA:g}. Equivalent: two one-sided t tests "
        f"against a margin of {100 * plan.margin:g} points, adjusted likewise. With the number of seeds that would "
        f"settle it, a comparison would be settled with {100 * power.POWER:.0f} % probability, if the true difference "
        "and spread equal the estimates."
    )
    yield (
        f"The sign-flip test makes no assumption of normality; with {first.n} seeds its p cannot go below "
        f"{cells.p_value(first.smallest_p)}."
        + ("" if first.bootstrap else f" A bootstrap interval is given from {stats.BOOTSTRAP_SEEDS} seeds on.")
    )
    disagreeing = [comparison.variant for comparison in verdicts.comparisons if comparison.checks_disagree]
    if disagreeing:
        yield (
            f"For {', '.join(disagreeing)} the t test and an assumption-free check disagree on whether there is a "
            "difference (before the adjustment); more seeds are needed to trust either."
        )


def _calibration_rows(calibration: pd.DataFrame) -> list[dict[str, str]]:
    return [
        {
            "variant": str(row["variant"]),
            "n": cells.count(row["n"]),
            "calibration error %": cells.percent(row["ece_mean"], row["ece_std"]),
            "mean confidence %": cells.percent(row["confidence_mean"]),
            "mean accuracy %": cells.percent(row["accuracy_mean"]),
        }
        for _, row in calibration.iterrows()
    ]


def _loss_rows(losses: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {
            "variant": str(row["variant"]),
            "class": escape(str(row["class_name"])),
            "test images": cells.count(row["images"]),
            "error %": cells.percent(row["error_mean"]),
            "difference, points": cells.points(row["difference"]),
            "p (Holm)": Cell(cells.NONE) if pd.isna(row["p_holm"]) else cells.p_value(row["p_holm"]),
        }
        for _, row in losses.iterrows()
    ]
