"""Looks: which are at a plan's runs, there and back, and damage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ablations.errors import ConfigError
from ablations.records.looks import Look, looks_of
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.plan import Plan
from tests.support.synthetic_suites import make_plan

PLAN = make_plan("cifar10", seeds=3, variants=("reduced", "short"))


def look_at(plan: Plan, *seeds: int, **changes: Any) -> Look:
    """A look at the plan's baseline with these seeds."""
    runs = {run.seed: run.run_id for run in plan.runs if run.architecture.name == plan.baseline}
    return Look(runs=tuple(runs[seed] for seed in seeds), seeds=seeds, level=0.04, **changes)


def test_looks_are_at_a_plan_if_they_are_at_runs_of_its_baseline() -> None:
    other_recipe = make_plan("cifar10", seeds=3, recipe="fast")
    recorded = [look_at(other_recipe, 1, 2), look_at(PLAN, 1, 2), look_at(PLAN, 1, 2, 3)]
    assert looks_of(PLAN, recorded) == (recorded[1], recorded[2])
    assert looks_of(other_recipe, recorded) == (recorded[0],)
    other_variants = make_plan("cifar10", seeds=2, variants=("reduced", "long"))
    assert looks_of(other_variants, recorded) == (recorded[1], recorded[2])


def test_looks_come_back(tmp_path: Path) -> None:
    looks = [look_at(PLAN, 1, 2, declared=(2, 10)), look_at(PLAN, 1, 2, 3)]
    for look in looks:
        SuiteFolder(tmp_path).looks.append(look)
    assert SuiteFolder(tmp_path).looks.read() == tuple(looks)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"runs": ("a",)}, "a look has 1 runs and 2 seeds; it needs 2 or more of both"),
        ({"runs": ("a",), "seeds": (1,)}, "a look has 1 runs and 1 seeds"),
        ({"level": 1.5}, r"level is 1\.5; it must be a number in \[0, 1\]"),
        ({"declared": (10, 3)}, r"declared is \[10, 3\]; name increasing numbers of seeds"),
    ],
)
def test_an_impossible_look_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Look(**{"runs": ("a", "b"), "seeds": (1, 2), "level": 0.04, **changes})


def test_a_damaged_line_is_named_with_its_remedy(tmp_path: Path) -> None:
    (tmp_path / "looks.jsonl").write_text("no JSON\n")
    with pytest.raises(ConfigError, match=r"looks\.jsonl, line 1 is damaged .*; repair or remove the line$"):
        SuiteFolder(tmp_path).looks.read()
