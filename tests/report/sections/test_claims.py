"""Evidence for the published claims in words: scipy's paired tests, exact counts, or the reason for none."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import stats as scipy_stats

from ablations.analysis.paired_tests import compare_all
from ablations.analysis.published_claims import Claim
from ablations.report.sections.claims import evidence_of

# Wrong images of 10,000 by seed.
WRONG = {"reduced": [3400, 3412, 3391, 3405, 3396], "short4": [3700, 3150, 3600, 3050, 3450]}


def test_evidence_is_that_of_scipys_paired_tests() -> None:
    errors = {name: [count / 1e4 for count in counts] for name, counts in WRONG.items()}
    comparisons = compare_all(
        errors, baseline="reduced", test_images=10_000, margin=0.005, rng=np.random.default_rng(0)
    )
    differences = (np.array(WRONG["short4"]) - np.array(WRONG["reduced"])) / 1e4
    two_sided: Any = scipy_stats.ttest_1samp(differences, 0)
    low, high = (100 * bound for bound in two_sided.confidence_interval())
    above: Any = scipy_stats.ttest_1samp(differences, -0.005, alternative="greater")
    below: Any = scipy_stats.ttest_1samp(differences, 0.005, alternative="less")
    expected = (
        f"short4 {100 * differences.mean():+.2f} points [{low:+.2f}, {high:+.2f}], p (Holm) {two_sided.pvalue:.4f}, "
        f"p of equivalence (Holm) {max(above.pvalue, below.pvalue):.4f}, n = 5"
    )
    one = Claim(claim="a claim", answer="cannot say", comparisons=tuple(comparisons))
    assert evidence_of(one) == expected
    three = Claim(claim="a claim", answer="agree", comparisons=tuple(comparisons) * 3)
    assert evidence_of(three) == "; ".join([expected] * 3)


def test_evidence_of_counts_has_their_ratio() -> None:
    claim = Claim(claim="a claim", answer="agree", params=(65_736_148, 6_258_500))
    assert evidence_of(claim) == "10.5 times: 65,736,148 and 6,258,500"


def test_without_comparisons_the_evidence_is_the_reason() -> None:
    claim = Claim(claim="a claim", answer="cannot say", reason="1 of 35 planned runs are not done")
    assert evidence_of(claim) == "1 of 35 planned runs are not done"
    one_seed = Claim(claim="a claim", answer="cannot say")
    assert evidence_of(one_seed) == "one seed tells nothing of the spread between seeds"
