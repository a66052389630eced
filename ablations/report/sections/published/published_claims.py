"""Published claims: those of the write-ups that this suite can test, checked against its runs."""

from __future__ import annotations

import pandas as pd

from ablations.analysis.analyse import Analysis
from ablations.analysis.comparisons import Comparison
from ablations.analysis.epochs.convergence import Convergence
from ablations.analysis.published.published_claims import Claim, check_claims
from ablations.report import formatting
from ablations.report.document import Section, Table


def published_claims_section(analysis: Analysis) -> Section | None:
    """Each published claim with the answer of these runs and the evidence; None if none is about this dataset."""
    claims = check_claims(analysis.results, analysis.comparisons)
    if not claims:
        return None
    frame = pd.DataFrame([(claim.claim, claim.answer, evidence_of(claim), claim.suite) for claim in claims])
    titles = ("published claim", "these runs", "evidence", "tested by")
    return Section(
        "Published claims",
        [Table.of("published_claims", frame.set_axis(titles, axis="columns"))],
        fold="Claims of published write-ups, checked against these runs",
    )


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
        f"{formatting.interval(comparison.interval)}, p of a difference within the margin "
        f"{formatting.p_value(comparison.p_beyond)}, p of one beyond it {formatting.p_value(comparison.p_equivalent)} "
        f"(each against {formatting.p_value(comparison.level)}), n = {comparison.n}"
    )


def _epochs_in_words(found: Convergence) -> str:
    return (
        f"{found.variant} {found.variant_epochs:.2f} epochs and {found.baseline} {found.baseline_epochs:.2f} to a "
        f"training error of {formatting.percent(found.train_error)} %; difference {found.difference:+.2f} "
        f"{formatting.interval(found.interval, scale=1)}, n = {found.n}"
    )
