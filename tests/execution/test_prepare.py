"""Preparing a suite's folder: which earlier runs a plan joins, which are refused, and which are archived."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ablations.errors import ConfigError
from ablations.execution.prepare import _check_versions, prepare
from ablations.records import suite_folder
from ablations.records.looks import Look
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.plan import Plan
from ablations.suites.run_config import RunConfig
from benchmarks.synthetic_records import ENVIRONMENT
from tests.support.synthetic_suites import failed, make_plan, make_record, save


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
    assert SuiteFolder(tmp_path).read_plan() == plan


def test_a_plan_of_more_seeds_and_variants_joins_the_earlier_one(tmp_path: Path) -> None:
    train(make_plan("cifar10", seeds=2, variants=("reduced", "long")), tmp_path)
    more = make_plan("cifar10", seeds=3, variants=("reduced", "short"))
    assert prepare(more, suite=SuiteFolder(tmp_path), environment=ENVIRONMENT, resume=True) == []
    reported = SuiteFolder(tmp_path).read_plan()
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
    assert SuiteFolder(tmp_path).read_plan() == other
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
    assert SuiteFolder(tmp_path).read_plan() == now and not any((tmp_path / "runs").iterdir())


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
        ({}, r"variant short: architecture\.branch5x5 was '3x3\+3x3' and is '5x5'\. Without"),
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


@pytest.mark.parametrize("content", ["no JSON", '{"schema": 2}'], ids=["damaged", "older"])
def test_a_fresh_start_archives_a_record_that_cannot_be_read(content: str, tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=1, variants=("reduced",))
    train(plan, tmp_path)
    path = SuiteFolder(tmp_path).run(plan.runs[0]).path / "result.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match="--fresh moves the run aside") as raised:
        prepare(plan, suite=SuiteFolder(tmp_path), environment=ENVIRONMENT)
    assert str(path) in str(raised.value)
    (moved,) = prepare(plan, suite=SuiteFolder(tmp_path), environment=ENVIRONMENT, fresh=True)
    assert (moved / "result.json").read_text() == content


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
    assert (name, level) == ("ablations.records.suite_folder", logging.WARNING)
    assert str(path) in message and "is replaced" in message
    assert SuiteFolder(tmp_path).read_plan() == plan


# Looks


def declaring(*looks: int, seeds: int, **settings: Any) -> Plan:
    """A plan of two variants that declares looks."""
    return replace(make_plan("cifar10", seeds=seeds, variants=("reduced", "short"), **settings), looks=looks)


def take_look(suite_dir: Path, **changes: Any) -> None:
    """Note a look at the saved plan."""
    suite = SuiteFolder(suite_dir)
    plan = suite.read_plan()
    runs = {run.seed: run.run_id for run in plan.runs if run.architecture.name == plan.baseline}
    suite.looks.append(
        replace(Look(runs=tuple(runs.values()), seeds=tuple(runs), level=0.04, declared=plan.looks), **changes)
    )


def prepared(plan: Plan, suite_dir: Path, *, fresh: bool = False) -> Plan:
    """The plan that preparing the suite's folder saves."""
    prepare(plan, suite=SuiteFolder(suite_dir), environment=ENVIRONMENT, fresh=fresh)
    return SuiteFolder(suite_dir).read_plan()


def test_looks_are_declared_anew_until_one_is_taken(tmp_path: Path) -> None:
    assert prepared(declaring(2, 4, seeds=2), tmp_path).looks == (2, 4)
    assert prepared(declaring(2, 8, seeds=2), tmp_path).looks == (2, 8)
    take_look(tmp_path)
    assert prepared(declaring(2, 8, seeds=2), tmp_path).looks == prepared(declaring(seeds=8), tmp_path).looks == (2, 8)
    take_look(tmp_path)
    before = contents(tmp_path)
    with pytest.raises(ConfigError) as raised:
        prepared(declaring(2, 4, seeds=2), tmp_path)
    assert str(raised.value) == (
        "--looks 2,4 comes after 2 reports with verdicts on these runs (at 2, 8 seeds), for which --looks 2,8 was "
        "declared; leave it out (also of the suite file), or train other seeds in another folder, with --seed-list and "
        "--results"
    )
    assert contents(tmp_path) == before


def test_looks_are_not_declared_after_one_without_a_declaration(tmp_path: Path) -> None:
    prepared(declaring(seeds=2), tmp_path)
    take_look(tmp_path)
    with pytest.raises(ConfigError, match=r"--looks 2,4 comes after 1 report .* for which no looks were declared; "):
        prepared(declaring(2, 4, seeds=4), tmp_path)
    assert prepared(declaring(2, 4, seeds=4, recipe="fast"), tmp_path).looks == (2, 4), "of other runs"
    assert prepared(declaring(seeds=2), tmp_path).looks == (), "and of these again"


def test_a_declaration_is_kept_with_its_looks_when_other_runs_were_reported_in_between(tmp_path: Path) -> None:
    prepared(declaring(2, 4, seeds=2), tmp_path)
    take_look(tmp_path)
    assert prepared(declaring(seeds=2, recipe="fast"), tmp_path).looks == ()
    assert prepared(declaring(seeds=2), tmp_path).looks == (2, 4)


def test_a_fresh_start_of_the_same_seeds_keeps_their_looks(tmp_path: Path) -> None:
    train(declaring(2, 4, seeds=2), tmp_path)
    take_look(tmp_path)
    before = SuiteFolder(tmp_path).looks.read()
    with pytest.raises(ConfigError, match="--looks 2,8 comes after 1 report"):
        prepared(declaring(2, 8, seeds=2), tmp_path, fresh=True)
    assert prepared(declaring(seeds=2), tmp_path, fresh=True).looks == (2, 4)
    assert SuiteFolder(tmp_path).looks.read() == before


@pytest.mark.parametrize(("seeds", "said"), [(1, "1 seed is"), (3, "3 seeds are"), (2, ""), (4, "")])
def test_seeds_that_are_at_no_declared_look_are_said(
    seeds: int, said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    prepared(declaring(2, 4, seeds=seeds), tmp_path)
    assert caplog.messages == ([f"{said} none of the declared looks 2, 4; verdicts are read at these"] if said else [])


# Versions

HERE = replace(ENVIRONMENT, versions=("torch 2.11.0", "torchvision 0.26.0", "numpy 2.0.0", "CUDA 12.8"))


def records_of(checked: Plan, *, versions: Sequence[str], count: int) -> list[Any]:
    environment = replace(ENVIRONMENT, versions=tuple(versions))
    return [replace(make_record(run, wrong=1000), environment=environment) for run in checked.runs[:count]]


@pytest.mark.parametrize("other", ["torch 2.10.0", "numpy 1.26.4", "CUDA 13.0"])
def test_runs_of_other_versions_are_not_added_to(other: str) -> None:
    checked = make_plan("cifar10", seeds=2, variants=("reduced", "short"))
    name, version = other.split()
    old = [pair if pair.split()[0] != name else other for pair in HERE.versions]
    records = [
        *records_of(checked, versions=old, count=3),
        *records_of(checked, versions=HERE.versions, count=4)[3:],
    ]
    with pytest.raises(ConfigError) as raised:
        _check_versions(checked, records=records, environment=HERE)
    now = dict(pair.split() for pair in HERE.versions)[name]
    said = f"3 of the finished runs (such as {checked.runs[0].run_id}) were computed by {name} {version}, and here it"
    assert f"{said} is {now}" in str(raised.value)
    for remedy in ("--fresh", "--results", 'declared = ["versions"]'):
        assert remedy in str(raised.value)
    _check_versions(replace(checked, declared=("versions",)), records=records, environment=HERE)


def test_every_other_version_is_listed_with_its_count() -> None:
    checked = make_plan("cifar10", seeds=2, variants=("reduced", "short"))
    first = records_of(checked, versions=("torch 2.10.0", "numpy 1.26.4"), count=1)
    rest = records_of(checked, versions=("torch 2.9.1", "numpy 1.26.4"), count=3)[1:]
    with pytest.raises(ConfigError) as raised:
        _check_versions(checked, records=[*first, *rest], environment=HERE)
    counts = re.findall(
        r"(\d) of the finished runs \(such as [^)]+\) were computed by (\w+ [\d.]+),", str(raised.value)
    )
    assert counts == [("1", "torch 2.10.0"), ("3", "numpy 1.26.4"), ("2", "torch 2.9.1")]


@pytest.mark.parametrize(
    "versions",
    [
        ("torch 2.11.0", "numpy 2.0.0", "CUDA 12.8", "torchvision 0.20.0", "fvcore 0.1.4"),
        ("torch 2.11.0", "numpy 2.0.0"),  # on a CPU
    ],
)
def test_packages_that_do_not_compute_may_differ_and_a_cpu_has_no_cuda(versions: tuple[str, ...]) -> None:
    checked = make_plan("cifar10", seeds=1, variants=("reduced", "short"))
    _check_versions(checked, records=records_of(checked, versions=versions, count=2), environment=HERE)


def test_versions_of_runs_that_are_not_done_do_not_matter() -> None:
    checked = make_plan("cifar10", seeds=1, variants=("reduced", "short"))
    old = records_of(checked, versions=("torch 1.0.0",), count=2)
    unfinished = [failed(record, status="interrupted", message="stopped") for record in old]
    _check_versions(checked, records=unfinished, environment=HERE)
    with pytest.raises(ConfigError, match="1 of the finished runs"):
        _check_versions(checked, records=[unfinished[0], old[1]], environment=HERE)


def test_versions_in_an_unknown_form_are_passed_over() -> None:
    checked = make_plan("cifar10", seeds=1, variants=("reduced", "short"))
    _check_versions(checked, records=records_of(checked, versions=("odd",), count=1), environment=HERE)
