"""What stands before a suite's runs: which earlier ones they join, which are refused, and which are moved aside."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ablations.errors import ConfigError, HeldElsewhere
from ablations.execution.prepare import prepare
from ablations.records import suite_folder
from ablations.records.locks import Locks
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.plan import Plan
from ablations.suites.run_config import RunConfig
from benchmarks.synthetic_records import ENVIRONMENT
from tests.support.synthetic_suites import make_plan, make_record, save


@pytest.fixture
def configs() -> list[RunConfig]:
    """Three runs of one suite."""
    return list(make_plan("cifar10", seeds=3, variants=("reduced",)).runs)


def fill(config: RunConfig, suite_dir: Path, content: str) -> None:
    folder = SuiteFolder(suite_dir).run(config).path
    (folder / "checkpoint").mkdir(parents=True)
    (folder / "result.json").write_text(content)
    (folder / "checkpoint" / "weights.pt").write_text(content)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but locks."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.parent.name != "locks")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def train(plan: Plan, suite_dir: Path) -> None:
    """Leave what its runs would."""
    save(suite_dir, plan, [make_record(config, wrong=1_000) for config in plan.runs])


def names(paths: list[Path]) -> set[str]:
    return {path.name for path in paths}


def run_ids(plan: Plan) -> set[str]:
    return {config.run_id for config in plan.runs}


# Plans


def test_a_first_plan_is_saved(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=2)
    assert prepare(plan, suite=SuiteFolder(tmp_path), environment=ENVIRONMENT) == []
    assert suite_folder.read_plan(tmp_path) == plan


def test_a_plan_of_more_seeds_and_variants_joins_the_earlier_one(tmp_path: Path) -> None:
    train(make_plan("cifar10", seeds=2, variants=("reduced", "long")), tmp_path)
    more = make_plan("cifar10", seeds=3, variants=("reduced", "short"))
    assert prepare(more, suite=SuiteFolder(tmp_path), environment=ENVIRONMENT, resume=True) == []
    reported = suite_folder.read_plan(tmp_path)
    assert {(config.architecture.name, config.seed) for config in reported.runs} == {
        *(("reduced", seed) for seed in (1, 2, 3)),
        *(("short", seed) for seed in (1, 2, 3)),
        *(("long", seed) for seed in (1, 2)),
    }


def test_a_plan_of_another_recipe_replaces_the_earlier_one_and_its_runs_stay(tmp_path: Path) -> None:
    train(make_plan("cifar10", seeds=1), tmp_path)
    before = contents(tmp_path / "runs")
    other = make_plan("cifar10", seeds=1, recipe="fast")
    assert prepare(other, suite=SuiteFolder(tmp_path), environment=ENVIRONMENT) == []
    assert suite_folder.read_plan(tmp_path) == other
    assert contents(tmp_path / "runs") == before


def test_resuming_refuses_a_plan_of_another_recipe_and_changes_nothing(tmp_path: Path) -> None:
    train(make_plan("cifar10", seeds=1), tmp_path)
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match=r"--resume.*optimizer.*--fresh"):
        prepare(
            make_plan("cifar10", seeds=1, recipe="fast"),
            suite=SuiteFolder(tmp_path),
            environment=ENVIRONMENT,
            resume=True,
        )
    assert contents(tmp_path) == before


def test_other_versions_are_refused_and_a_fresh_start_takes_them(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=1)
    train(plan, tmp_path)
    newer = replace(ENVIRONMENT, versions=("torch 2.12.0", "numpy 2.0.0"))
    with pytest.raises(ConfigError, match=r"7 of the finished runs .*torch 2\.11\.0, and here it is 2\.12\.0"):
        prepare(plan, suite=SuiteFolder(tmp_path), environment=newer)
    assert names(prepare(plan, suite=SuiteFolder(tmp_path), environment=newer, fresh=True)) == run_ids(plan)


def test_a_fresh_start_of_other_settings_moves_the_earlier_runs_too(tmp_path: Path) -> None:
    earlier, now = make_plan("cifar10", seeds=1), make_plan("cifar10", seeds=1, recipe="fast")
    train(earlier, tmp_path)
    moved = prepare(now, suite=SuiteFolder(tmp_path), environment=ENVIRONMENT, fresh=True)
    assert names(moved) == run_ids(earlier)
    assert suite_folder.read_plan(tmp_path) == now and not any((tmp_path / "runs").iterdir())


def test_a_fresh_start_of_some_runs_leaves_the_others(tmp_path: Path) -> None:
    earlier, now = make_plan("cifar10", seeds=2), make_plan("cifar10", seeds=1)
    train(earlier, tmp_path)
    moved = prepare(now, suite=SuiteFolder(tmp_path), environment=ENVIRONMENT, fresh=True)
    assert names(moved) == run_ids(now)
    assert names(list((tmp_path / "runs").iterdir())) == run_ids(earlier) - run_ids(now)


def with_other_variant(plan: Plan, variant: str, **recipe: Any) -> Plan:
    """The plan as if this variant had another third branch or, where that is given, another recipe."""

    def changed(run: RunConfig) -> RunConfig:
        if recipe:
            return replace(run, recipe=replace(run.recipe, **recipe))
        return replace(run, architecture=replace(run.architecture, branch5x5="5x5"))

    return replace(plan, runs=tuple(changed(run) if run.architecture.name == variant else run for run in plan.runs))


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        ({}, r"variant short: branch5x5 was '3x3\+3x3' and is '5x5'\. Without"),
        ({"learning_rate": 0.5}, r"variant short: recipe\.learning_rate was 1\.0 and is 0\.5\. Without"),
    ],
    ids=["architecture", "recipe"],
)
def test_resuming_refuses_another_variant_behind_a_known_name(
    recipe: dict[str, float], said: str, tmp_path: Path
) -> None:
    earlier = make_plan("cifar10", seeds=1, variants=("reduced", "short"))
    train(earlier, tmp_path)
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match=f"--resume.*{said}.*--fresh"):
        prepare(
            with_other_variant(earlier, "short", **recipe),
            suite=SuiteFolder(tmp_path),
            environment=ENVIRONMENT,
            resume=True,
        )
    assert contents(tmp_path) == before


def test_resuming_takes_a_variant_that_is_new(tmp_path: Path) -> None:
    train(make_plan("cifar10", seeds=1, variants=("reduced", "short")), tmp_path)
    others = make_plan("cifar10", seeds=1, variants=("reduced", "long"))
    assert prepare(others, suite=SuiteFolder(tmp_path), environment=ENVIRONMENT, resume=True) == []


def test_a_fresh_start_moves_the_runs_of_a_changed_variant_too(tmp_path: Path) -> None:
    earlier = make_plan("cifar10", seeds=2, variants=("reduced", "short", "long"))
    train(earlier, tmp_path)
    now = with_other_variant(make_plan("cifar10", seeds=1, variants=("reduced", "short")), "short")
    moved = prepare(now, suite=SuiteFolder(tmp_path), environment=ENVIRONMENT, fresh=True)
    kept = {(run.architecture.name, run.seed): run.run_id for run in earlier.runs}
    assert names(moved) == {kept["reduced", 1], kept["short", 1], kept["short", 2]}


@pytest.mark.parametrize("content", ["no JSON", '{"schema": 2}', "[" * 100_000], ids=["damaged", "older", "nested"])
def test_an_earlier_plan_that_cannot_be_read_is_replaced_with_a_warning_and_refused_by_resume(
    content: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan = make_plan("cifar10", seeds=1)
    path = tmp_path / suite_folder.PLAN_FILE
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"--resume: the earlier plan cannot be read.*--fresh") as raised:
        prepare(plan, suite=SuiteFolder(tmp_path), environment=ENVIRONMENT, resume=True)
    assert str(path) in str(raised.value) and path.read_text() == content and caplog.messages == []
    prepare(plan, suite=SuiteFolder(tmp_path), environment=ENVIRONMENT)
    ((name, level, message),) = caplog.record_tuples
    assert (name, level) == ("ablations.plan_file", logging.WARNING)
    assert str(path) in message and "is replaced" in message
    assert suite_folder.read_plan(tmp_path) == plan


# Moving aside


def test_setting_aside_moves_the_planned_runs_and_deletes_nothing(configs: list[RunConfig], tmp_path: Path) -> None:
    for config in configs:
        fill(config, tmp_path, config.run_id)
    before = contents(tmp_path)
    moved = SuiteFolder(tmp_path).archive_runs([configs[0], configs[2]])
    assert [path.name for path in moved] == [configs[0].run_id, configs[2].run_id]
    assert {path.parent.parent for path in moved} == {tmp_path / "superseded"}
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [configs[1].run_id]
    assert sorted(contents(tmp_path).values()) == sorted(before.values())
    for path in moved:
        assert (path / "result.json").read_text() == path.name


def test_setting_aside_again_at_once_keeps_every_earlier_one(configs: list[RunConfig], tmp_path: Path) -> None:
    # Three times, so that at least two are in the same second.
    moved = []
    for number in range(3):
        fill(configs[0], tmp_path, f"number {number}")
        moved += SuiteFolder(tmp_path).archive_runs(configs)
    assert [(path / "result.json").read_text() for path in moved] == ["number 0", "number 1", "number 2"]


def test_there_may_be_nothing_to_set_aside(configs: list[RunConfig], tmp_path: Path) -> None:
    assert SuiteFolder(tmp_path).archive_runs(configs) == []
    assert list(tmp_path.iterdir()) == []


def test_where_one_run_is_being_trained_none_is_set_aside(configs: list[RunConfig], tmp_path: Path) -> None:
    for config in configs:
        fill(config, tmp_path, config.run_id)
    before = contents(tmp_path)
    with Locks(tmp_path).run(configs[1].run_id), pytest.raises(HeldElsewhere, match=configs[1].run_id) as raised:
        SuiteFolder(tmp_path).archive_runs(configs)
    assert contents(tmp_path) == before
    assert raised.value.exit_status == 5
