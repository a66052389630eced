"""Looks at a suite's verdicts: a line of ``looks.jsonl`` for every report that gave verdicts on new seeds."""

from __future__ import annotations

from dataclasses import dataclass

FILE_NAME = "looks.jsonl"  # in a suite's folder


@dataclass(frozen=True, kw_only=True)
class Look:
    """A report that gave verdicts on a set of seeds which no earlier one had.

    `runs` are the ids of the baseline's runs with these `seeds`; they say which settings and data the look is at.
    `level` is the chance of any false verdict that the look may have, a fraction. `declared` are the numbers of seeds
    at which looks were declared before the first one; none if they were not.
    """

    runs: tuple[str, ...]
    seeds: tuple[int, ...]
    level: float
    declared: tuple[int, ...] = ()
