"""Looks: levels by hand, and which reports are looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from ablations.analysis.looks import FIRST, TOTAL, Looks, level_of_look, looks_at
from ablations.analysis.results import Results
from ablations.records.looks import Look
from ablations.suites.plan import Plan
from tests.support.synthetic_suites import make_plan, make_results, with_recipes

VARIANTS = ("reduced", "short")
SECOND = (TOTAL - FIRST) / 2  # the level of a second look that was not declared


def take(*numbers: int, declared: tuple[int, ...] = ()) -> list[float]:
    """The levels of looks at so many seeds, one after the other."""
    looks: list[Look] = []
    for number in numbers:
        level = level_of_look(looks, seeds=number, declared=declared)
        looks.append(Look(runs=("one", "two"), seeds=(1, 2), level=level, declared=declared))
    return [look.level for look in looks]


# Levels


@pytest.mark.parametrize(
    ("numbers", "thirds"),
    [
        ((3, 5, 10), [1, 1, 1]),
        ((5, 10), [2, 1]),
        ((10,), [3]),
        ((3, 4, 5, 9, 10, 11), [1, 0, 1, 0, 1, 0]),
        ((2, 4), [0, 1]),
    ],
)
def test_declared_looks_share_the_level_and_those_left_out_give_theirs_to_the_next(
    numbers: tuple[int, ...], thirds: list[int]
) -> None:
    assert take(*numbers, declared=(3, 5, 10)) == pytest.approx([TOTAL * each / 3 for each in thirds])


def test_looks_that_were_not_declared_have_shares_that_add_up_to_the_level_however_many_there_are() -> None:
    levels = take(*range(3, 63))
    assert levels[:4] == pytest.approx([FIRST, SECOND, SECOND / 2, SECOND / 4])
    assert min(levels) > 0 and sum(levels) == pytest.approx(TOTAL) and TOTAL < 0.05


# Reports


def results_at(seeds: int, *, plan: Plan | None = None, looks: tuple[int, ...] = ()) -> Results:
    plan = replace(plan or make_plan("cifar10", seeds=seeds, variants=VARIANTS), looks=looks)
    names = tuple(dict.fromkeys(run.architecture.name for run in plan.runs))
    return replace(make_results(np.full((seeds, len(names)), 0.1), names=names), plan=plan)


def read_at(*numbers: int, looks: tuple[int, ...] = ()) -> tuple[list[Look], Looks]:
    """The looks on record after reports at so many seeds, and those at the last one."""
    recorded: list[Look] = []
    found = Looks()
    for number in numbers:
        found = looks_at(results_at(number, looks=looks), recorded)
        recorded += [found.new] if found.new else []
    return recorded, found


def numbers_of(looks: Sequence[Look]) -> list[int]:
    return [len(look.seeds) for look in looks]


def test_a_report_on_new_seeds_is_a_look_at_the_baselines_runs() -> None:
    recorded, found = read_at(3, 5)
    plan = make_plan("cifar10", seeds=5, variants=VARIANTS)
    baseline = [run.run_id for run in plan.runs if run.architecture.name == "reduced"]
    assert [(look.runs, look.seeds) for look in recorded] == [
        (tuple(baseline[:3]), (1, 2, 3)),
        (tuple(baseline), (1, 2, 3, 4, 5)),
    ]
    assert found.taken == tuple(recorded) and found.new == recorded[-1]
    assert (found.level, found.level_of_next) == pytest.approx((SECOND, SECOND / 2))


def test_a_report_that_is_built_again_is_no_new_look() -> None:
    recorded, found = read_at(3, 5, 5)
    assert (numbers_of(recorded), found.new, found.taken) == ([3, 5], None, tuple(recorded))
    assert (found.level, found.level_of_next) == pytest.approx((SECOND, SECOND / 2))


def test_a_report_on_fewer_seeds_has_the_looks_at_these_or_the_level_of_the_one_that_had_them() -> None:
    recorded, found = read_at(3, 10, 5)
    assert (numbers_of(recorded), found.new, numbers_of(found.taken)) == ([3, 10], None, [3])
    recorded, found = read_at(5, 3)
    assert (numbers_of(recorded), found.new, numbers_of(found.taken)) == ([5], None, [3])
    assert (found.level, found.level_of_next) == pytest.approx((FIRST, SECOND))


def test_looks_at_other_seeds_count_although_they_show_nothing_of_these() -> None:
    # Seeds 4 and 5 after 1 to 3 have none of the first look's verdicts, but its level is spent.
    recorded, _ = read_at(3)
    full = make_plan("cifar10", seeds=5, variants=VARIANTS)
    results = results_at(5, plan=full)
    later = replace(results, runs=results.runs[results.runs["seed"] > 3])
    found = looks_at(later, recorded)
    assert (numbers_of(found.taken), found.level) == ([2], pytest.approx(SECOND))


def test_another_variant_is_no_new_look() -> None:
    recorded, _ = read_at(3)
    more = make_plan("cifar10", seeds=3, variants=(*VARIANTS, "naive"))
    found = looks_at(results_at(3, plan=more), recorded)
    assert (found.new, found.taken) == (None, tuple(recorded))


def test_runs_with_other_settings_have_looks_of_their_own() -> None:
    recorded, _ = read_at(3)
    plan = make_plan("cifar10", seeds=3, variants=VARIANTS)
    other = with_recipes(plan, dict.fromkeys(VARIANTS, {"epochs": 2}))
    found = looks_at(results_at(3, plan=other), recorded)
    assert found.new is not None and found.taken == (found.new,)
    assert found.level == FIRST


def test_declared_numbers_are_those_of_the_first_look() -> None:
    recorded, found = read_at(3, looks=(3, 6))
    assert (found.declared, found.level, found.level_of_next) == ((3, 6), TOTAL / 2, TOTAL / 2)
    later = looks_at(results_at(4, looks=(4, 8)), recorded)
    assert (later.declared, later.new, later.taken) == ((3, 6), None, tuple(recorded))
    late = looks_at(results_at(3, looks=(3,)), read_at(2)[0])
    assert (late.declared, late.level) == ((), pytest.approx(SECOND))


def test_before_the_first_declared_number_and_with_one_seed_there_is_no_look() -> None:
    recorded, found = read_at(2, looks=(3, 6))
    assert (recorded, found.taken, found.level_of_next) == ([], (), TOTAL / 2)
    recorded, found = read_at(1)
    assert (recorded, found.taken, found.level) == ([], (), FIRST)


def test_without_the_baseline_there_are_no_looks() -> None:
    assert looks_at(results_at(3, plan=make_plan("cifar10", seeds=3, variants=("short", "naive"))), []) == Looks()


def test_the_seeds_of_a_look_are_those_of_its_runs() -> None:
    recorded, _ = read_at(3)
    wrong = [replace(look, seeds=(7, 8, 9)) for look in recorded]
    found = looks_at(results_at(5), [*wrong, *wrong])  # a doubled line counts once
    assert [look.seeds for look in found.taken] == [(1, 2, 3), (1, 2, 3, 4, 5)]


def test_between_and_after_declared_numbers_no_look_is_taken_and_looks_elsewhere_are_counted() -> None:
    _, found = read_at(3, 8, looks=(3, 10))
    assert (numbers_of(found.taken), found.seeds, found.elsewhere, found.new) == ([3], 8, 0, None)
    _, found = read_at(3, 5, 10, 5)
    assert (numbers_of(found.taken), found.seeds, found.elsewhere) == ([3, 5], 5, 1)
