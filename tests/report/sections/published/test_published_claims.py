"""The published claims, with the answers of these runs and the evidence."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats as scipy_stats

from ablations.analysis.analyse import Analysis
from ablations.analysis.published.published_claims import Claim
from ablations.report.sections.published.published_claims import evidence_of, published_claims_section
from tests.support.paired_suites import compare, results_of
from tests.support.synthetic_suites import tables_of


def test_claims_are_answered_by_runs_that_compare_with_the_published_ones(complete: Analysis) -> None:
    rows = tables_of(published_claims_section(complete))["published_claims"]
    assert [row["these runs"] for row in rows] == ["agree", "agree"]
    subset = replace(complete.results, plan=replace(complete.results.plan, limit_train=64))
    rows = tables_of(published_claims_section(replace(complete, results=subset)))["published_claims"]
    why = "these runs do not compare with the published ones: 64 training images instead of 50,000"
    assert [(row["these runs"], row["evidence"]) for row in rows][1:] == [("cannot say", why)]


def test_an_incomplete_suite_answers_no_claim_about_errors(incomplete: Analysis) -> None:
    rows = tables_of(published_claims_section(incomplete))["published_claims"]
    why = "2 of 20 planned runs are not done; run the suite again to finish them"
    assert [(row["these runs"], row["evidence"]) for row in rows][1] == ("cannot say", why)


def test_evidence_is_that_of_scipys_paired_tests() -> None:
    counts = {"reduced": [3400, 3412, 3391, 3405, 3396], "short4": [3700, 3150, 3600, 3050, 3450]}
    (comparison,) = compare(results_of(counts), level=0.04).comparisons
    differences = (np.array(counts["short4"]) - np.array(counts["reduced"])) / 1e4
    two_sided: Any = scipy_stats.ttest_1samp(differences, 0)
    low, high = (100 * bound for bound in two_sided.confidence_interval(0.96))
    above: Any = scipy_stats.ttest_1samp(differences, -0.005, alternative="greater")
    below: Any = scipy_stats.ttest_1samp(differences, 0.005, alternative="less")
    expected = (
        f"short4 {100 * differences.mean():+.2f} points [{low:+.2f}, {high:+.2f}], p of a difference within the margin "
        f"{comparison.p_beyond:.4f}, p of one beyond it {max(above.pvalue, below.pvalue):.4f} (each against 0.0400), "
        "n = 5"
    )
    one = Claim(claim="a claim", suite="--suite cifar10", answer="cannot say", comparisons=(comparison,))
    assert evidence_of(one) == expected
    three = Claim(claim="a claim", suite="--suite cifar10", answer="agree", comparisons=(comparison,) * 3)
    assert evidence_of(three) == "; ".join([expected] * 3)


@pytest.mark.parametrize(
    ("claim", "text"),
    [
        ({"params": (65_736_148, 6_258_500)}, "10.5 times: 65,736,148 and 6,258,500"),
        ({"reason": "1 of 35 planned runs is not done"}, "1 of 35 planned runs is not done"),
        ({}, "one seed does not show the spread between seeds"),
    ],
)
def test_evidence_without_comparisons_is_a_count_or_a_reason(claim: dict[str, Any], text: str) -> None:
    assert evidence_of(Claim(claim="a claim", suite="--suite cifar10", answer="cannot say", **claim)) == text
