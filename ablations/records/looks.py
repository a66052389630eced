"""Looks at a suite's verdicts: a line of ``looks.jsonl`` for every report that gave verdicts on new seeds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ablations.suites.plan import Plan
from ablations.suites.suite import MIN_LOOK, check_looks
from googlenet.validation import check_range

FILE_NAME = "looks.jsonl"  # in a suite's folder
REMEDY = "repair or remove the line"


@dataclass(frozen=True, kw_only=True)
class Look:
    """A report that gave verdicts on a set of seeds which no earlier one had.

    `runs` are the ids of the baseline's runs with these `seeds`; they say which settings and data the look is at.
    `level` is the chance of any false verdict that the look may have, a fraction. `declared` are the numbers of seeds
    at which looks were declared before the first one; none if they were not.

    Raises:
        ValueError: on construction, if a value is impossible.
    """

    runs: tuple[str, ...]
    seeds: tuple[int, ...]
    level: float
    declared: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not MIN_LOOK <= len(self.seeds) == len(self.runs):
            raise ValueError(
                f"a look has {len(self.runs)} runs and {len(self.seeds)} seeds; it needs {MIN_LOOK} or more of both"
            )
        check_range("level", self.level, low=0, high=1)
        check_looks("declared", self.declared)


def looks_of(plan: Plan, recorded: Iterable[Look]) -> tuple[Look, ...]:
    """Those of the recorded looks that are at runs of the plan's baseline, in their order.

    Runs that start afresh keep their ids, and so their looks: the same seeds are no new evidence.
    """
    runs = {run.run_id for run in plan.runs if run.architecture.name == plan.baseline}
    return tuple(look for look in recorded if not runs.isdisjoint(look.runs))
