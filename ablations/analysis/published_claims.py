"""The four conclusions of the 2020 CIFAR ablation, each held against the verdicts of measured runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ablations.analysis.comparisons import Comparisons
from ablations.analysis.intervals import ALPHA
from ablations.analysis.paired_tests import Comparison
from ablations.analysis.results import Results
from ablations.report import formatting

BASELINE = "reduced"
PARAMS_RATIO = 10
SHALLOWER = ("short", "short2", "short3")

Answer = Literal["agree", "disagree", "cannot say"]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One published conclusion, whether the measured runs agree, and the figures that say so."""

    claim: str
    answer: Answer
    evidence: str


def check_claims(results: Results, verdicts: Comparisons) -> list[Claim]:
    """Hold a suite against those of the four conclusions whose variants are among its own.

    The first is of exact counts at full size; the others follow from verdicts alone, so that one seed or an incomplete
    grid says nothing.
    """
    if results.plan.baseline != BASELINE:
        return []
    compared = {comparison.variant: comparison for comparison in verdicts.comparisons}
    planned = set(results.variants)
    margin = f"{100 * results.plan.margin:g} points"
    drawn = []
    if {"naive", BASELINE} <= planned:
        drawn += [_ten_times(results), _naive_no_better(compared, verdicts)]
    if {*SHALLOWER, BASELINE} <= planned:
        drawn.append(_depth_hardly_matters(compared, verdicts, margin=margin))
    if {"short4", BASELINE} <= planned:
        drawn.append(_short4_worse(compared, verdicts, margin=margin))
    return drawn


def evidence_of(comparison: Comparison) -> str:
    """A comparison in words: difference, interval, p-values and n."""
    return (
        f"{comparison.variant} {formatting.points(comparison.difference)} points "
        f"{formatting.interval(comparison.interval)}, p (Holm) {formatting.p_value(comparison.p_holm)}, "
        f"p of equivalence (Holm) {formatting.p_value(comparison.p_equivalent_holm)}, n = {comparison.n}"
    )


def _ten_times(results: Results) -> Claim:
    claim = f"naive has about {PARAMS_RATIO} times the parameters of {BASELINE}"
    params = results.summary.set_index("variant")["full_size_params"]
    naive, baseline = int(params["naive"]), int(params[BASELINE])
    agrees = naive >= PARAMS_RATIO * baseline
    return Claim(
        claim=claim,
        answer="agree" if agrees else "disagree",
        evidence=f"{naive / baseline:.1f} times: {naive:,} and {baseline:,}",
    )


def _naive_no_better(compared: dict[str, Comparison], verdicts: Comparisons) -> Claim:
    claim = f"the error of naive is no lower than that of {BASELINE}"
    if "naive" not in compared:
        return _unknown(claim, verdicts)
    answers: dict[str, Answer] = {"better": "disagree", "worse": "agree", "equivalent": "agree"}
    naive = compared["naive"]
    return Claim(claim=claim, answer=answers.get(naive.verdict, "cannot say"), evidence=evidence_of(naive))


def _depth_hardly_matters(compared: dict[str, Comparison], verdicts: Comparisons, *, margin: str) -> Claim:
    claim = f"error hardly depends on depth down to short2 and short3 (no loss beyond {margin})"
    if not set(SHALLOWER) <= set(compared):
        return _unknown(claim, verdicts)
    found = [compared[variant] for variant in SHALLOWER]
    if any(comparison.verdict == "worse" and not _within_margin(comparison) for comparison in found):
        answer: Answer = "disagree"
    else:
        harmless = all(_within_margin(comparison) or comparison.verdict == "better" for comparison in found)
        answer = "agree" if harmless else "cannot say"
    return Claim(claim=claim, answer=answer, evidence=_joined(found))


def _short4_worse(compared: dict[str, Comparison], verdicts: Comparisons, *, margin: str) -> Claim:
    claim = f"short4 is clearly worse than {BASELINE} (not equivalent within {margin})"
    if "short4" not in compared:
        return _unknown(claim, verdicts)
    short4 = compared["short4"]
    if short4.verdict == "worse" and not _within_margin(short4):
        answer: Answer = "agree"
    else:
        answer = "cannot say" if short4.verdict == "inconclusive" else "disagree"
    return Claim(claim=claim, answer=answer, evidence=evidence_of(short4))


def _within_margin(comparison: Comparison) -> bool:
    """Whether equivalence is shown; a small difference may be shown to be there and to be within the margin, both."""
    return comparison.p_equivalent_holm <= ALPHA


def _unknown(claim: str, verdicts: Comparisons) -> Claim:
    why = verdicts.reason or "one seed tells nothing of the spread between seeds"
    return Claim(claim=claim, answer="cannot say", evidence=why)


def _joined(comparisons: Sequence[Comparison]) -> str:
    return "; ".join(evidence_of(comparison) for comparison in comparisons)
