"""Answers: does a part matter, or only its capacity? From each variant and its twin of the baseline's capacity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from ablations.analysis.comparisons import Comparison, Comparisons
from ablations.analysis.costs import COSTS
from ablations.analysis.results import Results
from ablations.analysis.statistics.verdicts import DIFFERS, EQUIVALENT, Verdict
from googlenet.controls import CAPACITIES, Capacity, equals_capacity, original_of, twin_name

Word = Literal[
    "matters",
    "matters, but within the margin",
    "matters only by its capacity",
    "makes no difference within the margin",
    "not settled",
]
REMOVAL_MARKS = ("without-", "no-")  # begin the name of a variant that leaves a part out
NO_TWIN = "no variant has a twin of the baseline's capacity; run the suite with --control params"
ONE_SEED = "one seed does not show the spread between seeds; use --seeds 5 or more"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Whether the part that a variant leaves out or changes matters, or only its capacity.

    `comparison` is the variant's with the baseline, `control` that of its twin; a variant that has the baseline's
    capacity is its own control. `cost_changes` are the variant's costs relative to the baseline's, as fractions by
    the name of the cost: -0.25 is a quarter less. A cost whose values do not compare is missing (NaN).
    """

    variant: str
    capacity: Capacity
    comparison: Comparison
    control: Comparison
    cost_changes: Mapping[str, float]

    @property
    def answer(self) -> Word:
        """The answer in words, on these test images."""
        return answer_from(self.comparison.verdict, control=self.control.verdict)

    @property
    def holds_on_new_images(self) -> bool:
        """Whether new test images of the same kind have the same answer."""
        variant, control = self.comparison.new, self.control.new
        if variant is None or control is None or self.answer == "not settled":
            return False
        return answer_from(variant.verdict, control=control.verdict) == self.answer

    @property
    def removes(self) -> bool:
        """Whether the variant leaves the part out, as its name says; else it changes or adds one."""
        return self.part != self.variant

    @property
    def part(self) -> str:
        """The part that the variant leaves out, "5x5" for "without-5x5"; for another change the variant's name."""
        marks = [mark for mark in REMOVAL_MARKS if self.variant.startswith(mark)]
        return (self.variant.removeprefix(marks[0]) if marks else "") or self.variant


@dataclass(frozen=True, kw_only=True)
class Answers:
    """One answer for each variant and capacity, or the reason why there are none.

    `uncontrolled` are variants that have neither a twin nor the baseline's capacity, so no answer. `controlled` says
    whether the suite has any twin.
    """

    answers: tuple[Answer, ...] = ()
    uncontrolled: tuple[str, ...] = ()
    controlled: bool = False
    reason: str = NO_TWIN

    def frame(self) -> pd.DataFrame:
        """One row an answer; differences, 95 % intervals and changes of costs are fractions."""
        return pd.DataFrame([_row(answer) for answer in self.answers], columns=list(COLUMNS))


def answer_from(variant: Verdict, *, control: Verdict) -> Word:
    """The answer from the verdicts on a variant and on its control."""
    if control in DIFFERS:
        return "matters, but within the margin" if control in EQUIVALENT else "matters"
    if control not in EQUIVALENT or variant == "inconclusive":
        return "not settled"
    return "makes no difference within the margin" if variant in EQUIVALENT else "matters only by its capacity"


def answer_all(results: Results, comparisons: Comparisons) -> Answers:
    """An answer for each variant with a control, by each capacity in which the suite has twins."""
    names = set(results.variants)
    originals = [name for name in results.variants if original_of(name) is None and name != results.plan.baseline]
    capacities: list[Capacity] = [by for by in CAPACITIES if any(twin_name(name, by) in names for name in originals)]
    if not capacities:
        return Answers()
    if not comparisons.comparisons:
        return Answers(controlled=True, reason=comparisons.reason or ONE_SEED)
    compared = {comparison.variant: comparison for comparison in comparisons.comparisons}
    changes = _cost_changes(results)
    answers, uncontrolled = [], []
    for by in capacities:
        own = _with_own_capacity(results, by)
        for name in originals:
            control = compared.get(twin_name(name, by), compared[name] if name in own else None)
            if control is None:
                uncontrolled.append(name)
                continue
            answers.append(
                Answer(
                    variant=name,
                    capacity=by,
                    comparison=compared[name],
                    control=control,
                    cost_changes=changes[name],
                )
            )
    return Answers(answers=tuple(answers), uncontrolled=tuple(dict.fromkeys(uncontrolled)), controlled=True, reason="")


def _with_own_capacity(results: Results, by: Capacity) -> set[str]:
    """The variants whose trained network has the baseline's count of parameters or MACs."""
    plan = results.plan
    trained = {run.architecture.name: run.architecture for run in plan.runs}
    baseline, classes = trained[plan.baseline], plan.data.num_classes
    return {name for name, arch in trained.items() if equals_capacity(arch, baseline, by=by, num_classes=classes)}


def _cost_changes(results: Results) -> dict[str, dict[str, float]]:
    """By variant and cost, the variant's value relative to the baseline's; the summary has only values that compare."""
    summary = results.summary.set_index("variant")
    costs = summary[[cost.column for cost in COSTS]].apply(pd.to_numeric)
    relative = costs / costs.loc[results.plan.baseline] - 1
    relative.columns = [cost.name for cost in COSTS]
    return {str(name): {str(cost): float(change) for cost, change in row.items()} for name, row in relative.iterrows()}


COLUMNS = (
    "variant",
    "part",
    "capacity",
    "n",
    "difference",
    "interval_low",
    "interval_high",
    "verdict",
    "control",
    "control_difference",
    "control_interval_low",
    "control_interval_high",
    "control_verdict",
    "answer",
    "holds_on_new_images",
    *(f"{cost.name}_change" for cost in COSTS),
)


def _row(answer: Answer) -> dict[str, Any]:
    variant, control = answer.comparison, answer.control
    return {
        "variant": answer.variant,
        "part": answer.part,
        "capacity": answer.capacity,
        "n": variant.n,
        "difference": variant.difference,
        "interval_low": variant.these.interval_95.low,
        "interval_high": variant.these.interval_95.high,
        "verdict": variant.verdict,
        "control": control.variant,
        "control_difference": control.difference,
        "control_interval_low": control.these.interval_95.low,
        "control_interval_high": control.these.interval_95.high,
        "control_verdict": control.verdict,
        "answer": answer.answer,
        "holds_on_new_images": answer.holds_on_new_images,
        **{f"{name}_change": change for name, change in answer.cost_changes.items()},
    }
