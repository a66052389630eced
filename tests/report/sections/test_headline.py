"""What a report says first: variants by verdict, or why there is no verdict, and the published claims."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats as scipy_stats

from ablations.analysis.analyse import Analysis
from ablations.analysis.comparisons import Comparisons
from ablations.analysis.paired_tests import compare_all
from ablations.analysis.published_claims import Claim
from ablations.report.sections.headline import evidence_of, headline_section
from tests.support.synthetic_suites import items_of, tables_of, texts_of


def test_a_complete_suite_sorts_its_variants_by_verdict(complete: Analysis, wrong: dict[str, list[int]]) -> None:
    section = headline_section(complete)
    starts = {
        "short": "**Lower top-1 error than reduced:** short -2.00 [",
        "naive": "**Higher top-1 error than reduced:** naive +2.00 [",
        "long": "**Equivalent to reduced within 0.5 points:** long +0.03 [",
        "short2": "**Inconclusive against reduced:** short2 +0.18 [",
    }
    for item, (variant, start) in zip(items_of(section), starts.items(), strict=True):
        differences = np.subtract(wrong[variant], wrong["reduced"]) / 1e4
        interval = scipy_stats.ttest_1samp(differences, 0).confidence_interval()
        assert item.startswith(start)
        assert item.endswith(f" [{100 * interval.low:+.2f}, {100 * interval.high:+.2f}]")
    assert "over 4 seeds" in " ".join(texts_of(section))


def test_the_published_claims_stand_below_for_runs_that_compare_with_the_published_ones(complete: Analysis) -> None:
    rows = tables_of(headline_section(complete))["published_claims"]
    assert [row["these runs"] for row in rows] == ["agree", "agree"]
    assert "checked against these runs:" in texts_of(headline_section(complete))[-1]
    subset = replace(complete.results, plan=replace(complete.results.plan, limit_train=64))
    rows = tables_of(headline_section(replace(complete, results=subset)))["published_claims"]
    why = "these runs do not compare with the published ones: 64 training images instead of 50,000"
    assert [(row["these runs"], row["evidence"]) for row in rows][1:] == [("cannot say", why)]


def test_an_incomplete_suite_has_no_headline_but_the_command_that_completes_it(incomplete: Analysis) -> None:
    section = headline_section(incomplete)
    why = "2 of 20 planned runs are not done; run the suite again to finish them"
    assert texts_of(section)[0] == f"No headline: {why}: `python run_all.py --suite cifar10`"
    assert not items_of(section)
    rows = tables_of(section)["published_claims"]
    assert [(row["these runs"], row["evidence"]) for row in rows][1] == ("cannot say", why)


def test_one_seed_has_no_verdict(one_seed: Analysis) -> None:
    said = "No verdict: one seed does not show the spread between seeds; use `--seeds 3` or more."
    assert texts_of(headline_section(one_seed)) == [said]


def test_without_a_pair_to_compare_the_remedy_is_said(one_seed: Analysis) -> None:
    reason = "the baseline reduced is not among these runs; add it to --variants"
    without = replace(one_seed, comparisons=Comparisons(reason=reason))
    assert texts_of(headline_section(without))[0] == f"No verdict: {reason}."


def test_evidence_is_that_of_scipys_paired_tests() -> None:
    counts = {"reduced": [3400, 3412, 3391, 3405, 3396], "short4": [3700, 3150, 3600, 3050, 3450]}
    comparisons = compare_all(
        {name: [count / 1e4 for count in of_variant] for name, of_variant in counts.items()},
        baseline="reduced",
        test_images=10_000,
        margin=0.005,
        rng=np.random.default_rng(0),
    )
    differences = (np.array(counts["short4"]) - np.array(counts["reduced"])) / 1e4
    two_sided: Any = scipy_stats.ttest_1samp(differences, 0)
    low, high = (100 * bound for bound in two_sided.confidence_interval())
    above: Any = scipy_stats.ttest_1samp(differences, -0.005, alternative="greater")
    below: Any = scipy_stats.ttest_1samp(differences, 0.005, alternative="less")
    expected = (
        f"short4 {100 * differences.mean():+.2f} points [{low:+.2f}, {high:+.2f}], p (Holm) {two_sided.pvalue:.4f}, "
        f"p of equivalence (Holm) {max(above.pvalue, below.pvalue):.4f}, n = 5"
    )
    one = Claim(claim="a claim", suite="--suite cifar10", answer="cannot say", comparisons=tuple(comparisons))
    assert evidence_of(one) == expected
    three = Claim(claim="a claim", suite="--suite cifar10", answer="agree", comparisons=tuple(comparisons) * 3)
    assert evidence_of(three) == "; ".join([expected] * 3)


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        ({"params": (65_736_148, 6_258_500)}, "10.5 times: 65,736,148 and 6,258,500"),
        ({"reason": "1 of 35 planned runs are not done"}, "1 of 35 planned runs are not done"),
        ({}, "one seed does not show the spread between seeds"),
    ],
)
def test_evidence_without_comparisons_is_a_count_or_a_reason(claim: dict[str, Any], text: str) -> None:
    assert evidence_of(Claim(claim="a claim", suite="--suite cifar10", answer="cannot say", **claim)) == text
