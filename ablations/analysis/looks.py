"""Looks: at which level each report tests, so that all reports on added seeds share 5 % of false verdicts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ablations.analysis.results import Results
from ablations.analysis.statistics.intervals import MIN_SEEDS
from ablations.records.looks import Look, looks_of

FIRST = 0.042  # of the first look, where none were declared; it costs a tenth of the power of 5 % at three seeds
LATER = 0.006  # of all later ones together
TOTAL = FIRST + LATER  # what is left of 5 % is what leaving the count may cost (see `verdicts.shared_level`)


@dataclass(frozen=True, kw_only=True)
class Looks:
    """The looks at a suite's verdicts, in their order.

    `taken` are those whose seeds are all among the suite's, the present one included. `new` is the present one if it
    is not on record yet. `seeds` is the suite's number of seeds; without a look at these, the report gives no new
    verdict. `elsewhere` is the number of recorded looks that had other seeds too. `level_of_next` is the level that a
    look with more seeds would have.
    """

    taken: tuple[Look, ...] = ()
    new: Look | None = None
    declared: tuple[int, ...] = ()
    seeds: int = 0
    elsewhere: int = 0
    level_of_next: float = FIRST

    @property
    def level(self) -> float:
        """The level of the last look, or of the next one before any."""
        return self.taken[-1].level if self.taken else self.level_of_next


def looks_at(results: Results, recorded: Sequence[Look]) -> Looks:
    """The looks at these results, of those on record; the present one is new if no earlier one had all of its seeds.

    A report on fewer seeds than an earlier one had is no new look. It has the verdicts of the looks at its own seeds
    or, without any, that one's level.
    """
    plan = results.plan
    by_seed = {run.seed: run.run_id for run in plan.runs if run.architecture.name == plan.baseline}
    seed_of = {run_id: seed for seed, run_id in by_seed.items()}
    seeds = tuple(sorted({int(seed) for seed in results.runs["seed"]}))
    ours = tuple(dict.fromkeys(looks_of(plan, recorded)))
    declared = ours[0].declared if ours else plan.looks
    if len(seeds) < MIN_SEEDS or not by_seed.keys() >= set(seeds):
        return Looks(declared=declared)
    runs = tuple(by_seed[seed] for seed in seeds)
    inside = [look for look in ours if set(look.runs) <= set(runs)]
    taken = tuple(replace(look, seeds=tuple(seed_of[run] for run in look.runs)) for look in inside)
    covering = [look for look in ours if set(look.runs) >= set(runs)]
    level = covering[0].level if covering else level_of_look(ours, seeds=len(seeds), declared=declared)
    present = Look(runs=runs, seeds=seeds, level=level, declared=declared)
    new = None if covering or not level else present
    if new or (covering and not taken):
        taken = (*taken, present)
    if new:
        ours = (*ours, new)
    return Looks(
        taken=taken,
        new=new,
        declared=declared,
        seeds=len(seeds),
        elsewhere=len(ours) - len(inside) - (new is not None),
        level_of_next=level_of_look(ours, seeds=_next_seeds(len(seeds), declared), declared=declared),
    )


def level_of_look(earlier: Iterable[Look], *, seeds: int, declared: Sequence[int]) -> float:
    """The chance of any false verdict that a new look at so many seeds may have after these earlier ones.

    Declared looks have equal shares of the total, and one that was left out gives its share to the next. Otherwise the
    first one has most of it, and later ones shares that add up to the rest however many there are. So no rule for when
    to stop, or to add seeds, makes the chance of any false verdict larger than the total.

    0 where nothing is left: between two declared looks, and after the last one.
    """
    spent = [look.level for look in earlier]
    if declared:
        reached = sum(number <= seeds for number in declared)
        return max(0.0, round(TOTAL * reached / len(declared) - sum(spent), 12))
    return LATER * 0.5 ** len(spent) if spent else FIRST


def _next_seeds(seeds: int, declared: Sequence[int]) -> int:
    return min((number for number in declared if number > seeds), default=seeds + 1)
