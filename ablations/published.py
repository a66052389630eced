"""The published results of the 2020 CIFAR ablation, and whether measured runs agree with what it concluded."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

TABLE = Path(__file__).with_name("published.csv")

# The published table draws its conclusions from one run a variant with errors rounded to 0.01.
NO_BETTER_MARGIN = 0.01  # single-run differences below one point are within what seeds alone bring about
DEPTH_MARGIN = 0.02  # the largest published loss against `reduced` down to short3
PARAMS_RATIO = 10
BASELINE = "reduced"
SHALLOWER = ("short", "short2", "short3")

Answer = Literal["agree", "disagree", "cannot say"]
Rows = dict[str, dict[Hashable, Any]]  # rows of a summary by variant


@dataclass(frozen=True)
class Conclusion:
    """One published conclusion, whether the measured runs agree, and the figures that say so."""

    claim: str
    answer: Answer
    evidence: str


def load(dataset: str) -> pd.DataFrame:
    """The published rows of "cifar10" or "cifar100", indexed by variant; empty for any other dataset.

    Errors are fractions rounded to 0.01; seconds are for 14 epochs on an unnamed GPU of 2020.
    """
    table = pd.read_csv(TABLE)
    return table[table["dataset"] == dataset].drop(columns="dataset").set_index("variant")


def conclusions(summary: pd.DataFrame) -> list[Conclusion]:
    """Hold a suite's summary (a row a variant, as `tables.summarise` makes it) against the four conclusions.

    Means are compared; the evidence names the n behind them, as one run a variant cannot tell a difference between
    architectures from one between seeds.
    """
    done: Rows = {row["variant"]: row for row in summary.to_dict("records") if row["n"]}
    return [_ten_times(done), _naive_no_better(done), _depth_hardly_matters(done), _short4_worse(done)]


def _ten_times(done: Rows) -> Conclusion:
    claim = f"naive has about {PARAMS_RATIO} times the parameters of {BASELINE}"
    if missing := _missing(done, "naive"):
        return Conclusion(claim, "cannot say", missing)
    ratio = done["naive"]["params"] / done[BASELINE]["params"]
    return Conclusion(claim, "agree" if ratio >= PARAMS_RATIO else "disagree", f"{ratio:.1f} times")


def _naive_no_better(done: Rows) -> Conclusion:
    claim = f"naive has no better error than {BASELINE} (by more than {100 * NO_BETTER_MARGIN:g} point)"
    if missing := _missing(done, "naive"):
        return Conclusion(claim, "cannot say", missing)
    better = _loss(done, "naive") < -NO_BETTER_MARGIN
    return Conclusion(claim, "disagree" if better else "agree", _evidence(done, "naive"))


def _depth_hardly_matters(done: Rows) -> Conclusion:
    claim = f"error hardly depends on depth down to short2 and short3 (within {100 * DEPTH_MARGIN:g} points)"
    if missing := _missing(done, *SHALLOWER):
        return Conclusion(claim, "cannot say", missing)
    within = all(_loss(done, variant) <= DEPTH_MARGIN for variant in SHALLOWER)
    return Conclusion(claim, "agree" if within else "disagree", _evidence(done, *SHALLOWER))


def _short4_worse(done: Rows) -> Conclusion:
    claim = f"short4 is clearly worse than {BASELINE} (by more than {100 * DEPTH_MARGIN:g} points)"
    if missing := _missing(done, "short4"):
        return Conclusion(claim, "cannot say", missing)
    worse = _loss(done, "short4") > DEPTH_MARGIN
    return Conclusion(claim, "agree" if worse else "disagree", _evidence(done, "short4"))


def _loss(done: Rows, variant: str) -> float:
    """How much more error than the baseline, rounded so that counts a hair off a margin do not decide."""
    return round(done[variant]["top1_error_mean"] - done[BASELINE]["top1_error_mean"], 9)


def _missing(done: Rows, *variants: str) -> str:
    absent = [variant for variant in (BASELINE, *variants) if variant not in done]
    return f"no finished run of {', '.join(absent)}" if absent else ""


def _evidence(done: Rows, *variants: str) -> str:
    parts = []
    for variant in (BASELINE, *variants):
        mean, std, n = (done[variant][column] for column in ("top1_error_mean", "top1_error_std", "n"))
        spread = f" ± {100 * std:.2f}" if n > 1 else ""
        parts.append(f"{variant} {100 * mean:.2f}{spread} % (n = {n})")
    return ", ".join(parts)
