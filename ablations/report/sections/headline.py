"""Headline: what was found in a few sentences, after a line that says on what."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from ablations.analysis.analyse import Analysis
from ablations.analysis.comparisons import Comparison, Comparisons
from ablations.analysis.costs import macs_change
from ablations.analysis.failed_seeds import failed_by_variant
from ablations.analysis.results import Results
from ablations.analysis.statistics.verdicts import DIFFERS, INCONCLUSIVE
from ablations.report import formatting
from ablations.report.document import Block, Section, Text
from ablations.report.formats.markdown import commands, escape
from ablations.report.sections.answers import answer_sentences

MOST = 4  # variants that a sentence names


def headline_section(analysis: Analysis) -> Section:
    """What was found; for an incomplete suite only the command that completes it.

    With controls that is an answer for each part, and else a verdict on each variant.
    """
    results, comparisons = analysis.results, analysis.comparisons
    blocks: list[Block] = [Text(_context(results))]
    if not results.complete:
        text = f"No headline: {results.why_incomplete}: {commands(results.plan.commands)}"
        blocks.append(Text(text, kind="note"))
    if answers := answer_sentences(analysis):
        blocks.append(Text(" ".join(answers), kind="lead"))
    elif comparisons.comparisons:
        change = macs_change(results.summary, baseline=results.plan.baseline)
        images = results.plan.data.test_images
        said = _sentences(comparisons.comparisons, macs=change, test_images=images)
        blocks.append(Text(" ".join(said), kind="lead"))
    elif results.complete:
        blocks.append(Text(f"No verdict: {_why_no_verdict(comparisons)}.", kind="lead"))
    return Section("", blocks)


def _context(results: Results) -> str:
    """On what the findings rest: n, dataset, baseline, recipe and width."""
    plan, data = results.plan, results.plan.data
    counts = sorted({int(n) for n in results.summary["n"]})
    seeds = f"{' or '.join(map(str, counts))} seed{'' if counts == [1] else 's'} a variant"
    images = f"{data.train_images:,}" if plan.limit_train is None else f"{plan.limit_train:,} of {data.train_images:,}"
    parts = [
        f"Top-1 error, {seeds}",
        f"{escape(data.title)} ({images} training, {data.test_images:,} test images)",
    ]
    if results.different_recipes:
        parts.append("a recipe for each variant")
    else:
        parts += [f"against {escape(plan.baseline)}"] if plan.baseline in results.variants else []
        parts.append(f"recipe {escape(plan.recipe.name)}")
    done = results.done.groupby("variant").size()
    for name, count in failed_by_variant(results.runs).items():
        if count:
            parts.append(f"{count} of {done[name]} runs of {escape(name)} failed to train")
    if plan.width != 1:
        parts.append(f"networks of {plan.width:g} times their width, which do not rank the full-size ones")
    return "; ".join(parts) + "."


def _sentences(comparisons: Sequence[Comparison], *, macs: pd.Series, test_images: int) -> Iterator[str]:
    """A sentence for each verdict that there is; of a better or worse error, the largest difference in numbers.

    Verdicts on new images come first: only they are about architectures.
    """
    baseline = escape(comparisons[0].baseline)
    ordered = sorted(comparisons, key=lambda comparison: -abs(comparison.difference))
    general = [each for each in ordered if each.new and each.new.verdict == each.verdict]
    here = f"On these {test_images:,} test images, "
    for of, start in ((general, ""), ([each for each in ordered if each not in general], here)):
        by_verdict: dict[str, list[Comparison]] = {}
        for comparison in of:
            by_verdict.setdefault(comparison.verdict, []).append(comparison)
        for verdict in DIFFERS:
            if found := by_verdict.get(verdict):
                yield start + _differing(found, verdict=verdict, baseline=baseline, macs=macs, general=not start)
        if equivalent := by_verdict.get("equivalent"):
            names = [_name(each) + _change_of(macs[each.variant], " ({})") for each in equivalent]
            verb = "is" if len(names) == 1 else "are"
            margin = 100 * equivalent[0].margin
            yield f"{start}{_listed(names)} {verb} equivalent to {baseline} within {margin:g} points."
    if unsettled := [each for each in ordered if each.verdict == INCONCLUSIVE]:
        yield f"Not settled: {_listed(map(_name, unsettled))}."


def _differing(found: Sequence[Comparison], *, verdict: str, baseline: str, macs: pd.Series, general: bool) -> str:
    word, *within = verdict.split(", ")
    if general:
        said = f"{_listed(map(_name, found))} {'is' if len(found) == 1 else 'are'} {word} than {baseline}"
    else:
        error = "a lower error" if word == "better" else "a higher error"
        said = f"{_listed(map(_name, found))} {'has' if len(found) == 1 else 'have'} {error} than {baseline}"
    margin = f", but within the margin of {100 * found[0].margin:g} points" if within else ""
    most = "" if len(found) == 1 else f", {_name(found[0])} most of all"
    return f"{said}{margin}{most}: {_in_numbers(found[0], macs=macs)}."


def _name(comparison: Comparison) -> str:
    return escape(comparison.variant)


def _in_numbers(comparison: Comparison, *, macs: pd.Series) -> str:
    difference = f"{formatting.points(comparison.difference)} points {formatting.interval(comparison.interval)}"
    earlier = comparison.verdict_seeds not in (None, comparison.n)
    shown = f" at {comparison.n} seeds, shown at {comparison.verdict_seeds}" if earlier else ""
    return difference + shown + _change_of(macs[comparison.variant], " with {}")


def _change_of(change: float, form: str) -> str:
    """A relative change of MACs in words, put into the form; empty where it is not known."""
    if pd.isna(change):
        return ""
    percent = round(100 * change)
    return form.format(f"{abs(percent)} % {'more' if percent > 0 else 'fewer'} MACs" if percent else "as many MACs")


def _listed(said: Iterable[str]) -> str:
    """The first few names, and how many more there are."""
    names = list(said)
    if len(names) > MOST + 1:  # "and 1 more" would be as long as a name
        return f"{', '.join(names[:MOST])} and {len(names) - MOST} more"
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _why_no_verdict(comparisons: Comparisons) -> str:
    return escape(comparisons.reason) or "one seed does not show the spread between seeds; use `--seeds 5` or more"
