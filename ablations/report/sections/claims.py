"""Evidence for the published claims in words: the figures that each answer rests on."""

from __future__ import annotations

from ablations.analysis.paired_tests import Comparison
from ablations.analysis.published_claims import Claim
from ablations.report import formatting


def evidence_of(claim: Claim) -> str:
    """The figures behind an answer, or why there are none."""
    if claim.params is not None:
        variant, baseline = claim.params
        return f"{variant / baseline:.1f} times: {variant:,} and {baseline:,}"
    if claim.comparisons:
        return "; ".join(_in_words(comparison) for comparison in claim.comparisons)
    return claim.reason or "one seed tells nothing of the spread between seeds"


def _in_words(comparison: Comparison) -> str:
    return (
        f"{comparison.variant} {formatting.points(comparison.difference)} points "
        f"{formatting.interval(comparison.interval)}, p (Holm) {formatting.p_value(comparison.p_holm)}, "
        f"p of equivalence (Holm) {formatting.p_value(comparison.p_equivalent_holm)}, n = {comparison.n}"
    )
