"""What stands before a suite's runs: which earlier ones they join, which are refused, and which are moved aside."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from made_records import ENVIRONMENT, make_plan, make_record, save

from ablations import plan_file
from ablations.config import RunConfig
from ablations.errors import ConfigError, HeldElsewhere
from ablations.locks import Locks
from ablations.plan import Plan
from ablations.preparation import prepare, set_aside
from ablations.run_folder import RunFolder


@pytest.fixture
def configs() -> list[RunConfig]:
    """Three runs of one suite."""
    return list(make_plan("cifar10", seeds=3, variants=("reduced",)).runs)


def fill(config: RunConfig, suite_dir: Path, content: str) -> None:
    folder = RunFolder(suite_dir / "runs", config).path
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
    assert prepare(plan, suite_dir=tmp_path, environment=ENVIRONMENT) == []
    assert plan_file.read_plan(tmp_path) == plan


def test_a_plan_of_more_seeds_and_variants_joins_the_earlier_one(tmp_path: Path) -> None:
    train(make_plan("cifar10", seeds=2, variants=("reduced", "long")), tmp_path)
    more = make_plan("cifar10", seeds=3, variants=("reduced", "short"))
    assert prepare(more, suite_dir=tmp_path, environment=ENVIRONMENT, resume=True) == []
    reported = plan_file.read_plan(tmp_path)
    assert {(config.architecture.name, config.seed) for config in reported.runs} == {
        *(("reduced", seed) for seed in (1, 2, 3)),
        *(("short", seed) for seed in (1, 2, 3)),
        *(("long", seed) for seed in (1, 2)),
    }


def test_a_plan_of_another_recipe_replaces_the_earlier_one_and_its_runs_stay(tmp_path: Path) -> None:
    train(make_plan("cifar10", seeds=1), tmp_path)
    before = contents(tmp_path / "runs")
    other = make_plan("cifar10", seeds=1, recipe="fast")
    assert prepare(other, suite_dir=tmp_path, environment=ENVIRONMENT) == []
    assert plan_file.read_plan(tmp_path) == other
    assert contents(tmp_path / "runs") == before


def test_resuming_refuses_a_plan_of_another_recipe_and_changes_nothing(tmp_path: Path) -> None:
    train(make_plan("cifar10", seeds=1), tmp_path)
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match=r"--resume.*optimizer.*--fresh"):
        prepare(make_plan("cifar10", seeds=1, recipe="fast"), suite_dir=tmp_path, environment=ENVIRONMENT, resume=True)
    assert contents(tmp_path) == before


def test_other_versions_are_refused_and_a_fresh_start_takes_them(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=1)
    train(plan, tmp_path)
    newer = replace(ENVIRONMENT, versions=("torch 2.12.0", "numpy 2.0.0"))
    with pytest.raises(ConfigError, match=r"7 of the finished runs .*torch 2\.11\.0, and here it is 2\.12\.0"):
        prepare(plan, suite_dir=tmp_path, environment=newer)
    assert names(prepare(plan, suite_dir=tmp_path, environment=newer, fresh=True)) == run_ids(plan)


def test_a_fresh_start_of_other_settings_moves_the_earlier_runs_too(tmp_path: Path) -> None:
    earlier, now = make_plan("cifar10", seeds=1), make_plan("cifar10", seeds=1, recipe="fast")
    train(earlier, tmp_path)
    moved = prepare(now, suite_dir=tmp_path, environment=ENVIRONMENT, fresh=True)
    assert names(moved) == run_ids(earlier)
    assert plan_file.read_plan(tmp_path) == now and not any((tmp_path / "runs").iterdir())


def test_a_fresh_start_of_some_runs_leaves_the_others(tmp_path: Path) -> None:
    earlier, now = make_plan("cifar10", seeds=2), make_plan("cifar10", seeds=1)
    train(earlier, tmp_path)
    moved = prepare(now, suite_dir=tmp_path, environment=ENVIRONMENT, fresh=True)
    assert names(moved) == run_ids(now)
    assert names(list((tmp_path / "runs").iterdir())) == run_ids(earlier) - run_ids(now)


# Moving aside


def test_setting_aside_moves_the_planned_runs_and_deletes_nothing(configs: list[RunConfig], tmp_path: Path) -> None:
    for config in configs:
        fill(config, tmp_path, config.run_id)
    before = contents(tmp_path)
    moved = set_aside([configs[0], configs[2]], suite_dir=tmp_path)
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
        moved += set_aside(configs, suite_dir=tmp_path)
    assert [(path / "result.json").read_text() for path in moved] == ["number 0", "number 1", "number 2"]


def test_there_may_be_nothing_to_set_aside(configs: list[RunConfig], tmp_path: Path) -> None:
    assert set_aside(configs, suite_dir=tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_where_one_run_is_being_trained_none_is_set_aside(configs: list[RunConfig], tmp_path: Path) -> None:
    for config in configs:
        fill(config, tmp_path, config.run_id)
    before = contents(tmp_path)
    with Locks(tmp_path).run(configs[1].run_id), pytest.raises(HeldElsewhere, match=configs[1].run_id) as raised:
        set_aside(configs, suite_dir=tmp_path)
    assert contents(tmp_path) == before
    assert raised.value.exit_status == 5
