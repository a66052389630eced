"""What a report says first: on what it rests, the variants by verdict, or why there is no verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats as scipy_stats

from ablations.analysis.analyse import Analysis
from ablations.analysis.comparisons import Comparisons
from ablations.analysis.looks import FIRST
from ablations.report.sections.headline import headline_section
from tests.support.synthetic_suites import texts_of


def with_macs(analysis: Analysis, macs: Mapping[str, float]) -> Analysis:
    summary = analysis.results.summary
    changed = summary.assign(macs=summary["variant"].map(pd.Series(macs)))
    return replace(analysis, results=replace(analysis.results, summary=changed))


def on_new_images(analysis: Analysis, *variants: str) -> Analysis:
    """The analysis with the same verdicts of these variants on new images."""
    found = analysis.comparisons.comparisons
    known = tuple(replace(each, new=each.these) if each.variant in variants else each for each in found)
    return replace(analysis, comparisons=replace(analysis.comparisons, comparisons=known))


def test_a_complete_suite_sorts_its_variants_by_verdict(complete: Analysis, wrong: dict[str, list[int]]) -> None:
    macs = {"reduced": 400, "short": 100, "naive": 600, "long": 400}
    ends = {}
    for variant in ("short", "naive"):
        differences = np.subtract(wrong[variant], wrong["reduced"]) / 1e4
        interval = scipy_stats.ttest_1samp(differences, 0).confidence_interval(1 - FIRST)
        ends[variant] = f"[{100 * interval.low:+.2f}, {100 * interval.high:+.2f}]"
    _, found = texts_of(headline_section(on_new_images(with_macs(complete, macs), "short", "naive", "long")))
    assert found == (
        f"short is better than reduced: -2.00 points {ends['short']} with 75 % fewer MACs. "
        f"naive is worse than reduced: +2.00 points {ends['naive']} with 50 % more MACs. "
        "long (as many MACs) is equivalent to reduced within 0.5 points. Not settled: short2."
    )
    # A verdict that does not hold on new images says so, after the others.
    _, found = texts_of(headline_section(on_new_images(with_macs(complete, macs), "naive", "long")))
    assert found == (
        f"naive is worse than reduced: +2.00 points {ends['naive']} with 50 % more MACs. "
        "long (as many MACs) is equivalent to reduced within 0.5 points. "
        f"On these 10,000 test images, short has a lower error than reduced: -2.00 points {ends['short']} "
        "with 75 % fewer MACs. Not settled: short2."
    )


def test_of_several_variants_the_largest_difference_is_in_numbers_and_the_first_few_are_named(
    complete: Analysis,
) -> None:
    worse = next(each for each in complete.comparisons.comparisons if each.variant == "naive")
    within = worse.these._replace(verdict="worse, within the margin")
    many = [replace(worse, variant=f"v{place}", difference=place / 1000, new=worse.these) for place in range(1, 7)]
    small = replace(worse, variant="v0", difference=0.0004, these=within, new=within)
    summary = pd.DataFrame({"variant": ["reduced", "v0", *(each.variant for each in many)], "n": 4, "macs": None})
    results = replace(complete.results, summary=summary)
    comparisons = Comparisons(comparisons=(small, *many))
    _, found = texts_of(headline_section(replace(complete, results=results, comparisons=comparisons)))
    assert found.startswith("v6, v5, v4, v3 and 2 more are worse than reduced, v6 most of all: +0.60 points [")
    assert "]. v0 is worse than reduced, but within the margin of 0.5 points: +0.04 points [" in found
    assert found.endswith("]."), "MACs that are not known are left out"


def test_the_first_line_says_on_what_the_findings_rest(complete: Analysis, incomplete: Analysis) -> None:
    title = complete.results.plan.data.title
    first, _ = texts_of(headline_section(complete))
    images = "(50,000 training, 10,000 test images)"
    assert first == f"Top-1 error, 4 seeds a variant; {title} {images}; against reduced; recipe published."
    assert texts_of(headline_section(incomplete))[0].startswith("Top-1 error, 3 or 4 seeds a variant; ")
    plan = replace(complete.results.plan, limit_train=400, width=0.125)
    scaled, _ = texts_of(headline_section(replace(complete, results=replace(complete.results, plan=plan))))
    assert "(400 of 50,000 training, 10,000 test images)" in scaled
    assert scaled.endswith("networks of 0.125 times their width, which do not rank the full-size ones.")


def test_an_incomplete_suite_has_no_headline_but_the_command_that_completes_it(incomplete: Analysis) -> None:
    why = "2 of 20 planned runs are not done; run the suite again to finish them"
    assert texts_of(headline_section(incomplete))[1:] == [f"No headline: {why}: `python run_all.py --suite cifar10`"]


def test_one_seed_has_no_verdict(one_seed: Analysis) -> None:
    first, said = texts_of(headline_section(one_seed))
    assert first.startswith("Top-1 error, 1 seed a variant; ")
    assert said == "No verdict: one seed does not show the spread between seeds; use `--seeds 5` or more."


def test_without_a_pair_to_compare_the_remedy_is_said(one_seed: Analysis) -> None:
    reason = "the baseline reduced is not among these runs; add it to --variants"
    without = replace(one_seed, comparisons=Comparisons(reason=reason))
    assert texts_of(headline_section(without))[-1] == f"No verdict: {reason}."
