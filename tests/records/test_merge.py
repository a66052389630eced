"""Merge: which runs of other folders are taken, what is refused, and that a merge is whole and can be repeated."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ablations.analysis.results import load_results
from ablations.errors import ConfigError
from ablations.records.looks import Look
from ablations.records.merge import merge
from ablations.records.record import RunRecord
from ablations.records.run_folder import RunFolder
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.plan import Plan
from benchmarks.synthetic_records import ENVIRONMENT
from tests.support.synthetic_suites import failed, make_plan, make_record, save, save_predictions

WRONG = 30
ONE_SEED = make_plan("cifar10", seeds=1, variants=("reduced", "short"))
TWO_SEEDS = make_plan("cifar10", seeds=2, variants=("reduced", "short"))


def train(suite_dir: Path, plan: Plan, **changes: Any) -> list[RunFolder]:
    """Leave what the plan's finished runs would, with weights of a few bytes; `changes` are of their records."""
    records = [replace(make_record(config, wrong=WRONG), **changes) for config in plan.runs]
    save(suite_dir, plan, records)
    return [complete(suite_dir, record) for record in records]


def complete(suite_dir: Path, record: RunRecord) -> RunFolder:
    folder = SuiteFolder(suite_dir).run(record.config)
    folder.claim()
    save_predictions(folder, wrong=np.arange(WRONG))
    folder.checkpoints.mkdir(exist_ok=True)
    weights = f"weights of {record.run_id}".encode()
    (folder.checkpoints / f"weights-{hashlib.sha256(weights).hexdigest()}.pt").write_bytes(weights)
    return folder


def look_at(plan: Plan, *seeds: int, **changes: Any) -> Look:
    runs = {run.seed: run.run_id for run in plan.runs if run.architecture.name == plan.baseline}
    return Look(**{"runs": tuple(runs[seed] for seed in seeds), "seeds": seeds, "level": 0.04, **changes})


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but locks."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.parent.name != "locks")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def own(tmp_path: Path) -> SuiteFolder:
    """A suite's folder with seed 1 of two variants."""
    folder = SuiteFolder(tmp_path / "own" / "cifar10")
    train(folder.path, ONE_SEED)
    return folder


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Another results folder, empty yet."""
    return tmp_path / "laptop"


def runs_of_seed(plan: Plan, seed: int) -> Plan:
    return replace(plan, runs=tuple(run for run in plan.runs if run.seed == seed))


SECOND_SEED = runs_of_seed(TWO_SEEDS, 2)


def test_seeds_and_variants_of_other_folders_count(own: SuiteFolder, results: Path, tmp_path: Path) -> None:
    theirs = train(results / "cifar10", SECOND_SEED)
    (theirs[0].checkpoints / f"epoch-000014-{'0' * 64}.pt").write_bytes(b"a state")
    (theirs[0].path / ".DS_Store").write_bytes(b"")
    long = make_plan("cifar10", seeds=2, variants=("reduced", "long"))
    other = train(tmp_path / "node" / "runs-of-long", replace(long, runs=long.runs[1::2]))
    outcomes = merge(own, [results, tmp_path / "node" / "runs-of-long"])
    assert [(each.copied, each.present, each.unfinished, each.others) for each in outcomes] == [(2, 0, 0, 0)] * 2
    assert {(run.architecture.name, run.seed) for run in own.read_plan().runs} == {
        (name, seed) for name in ("reduced", "short", "long") for seed in (1, 2)
    }
    for source, folder in ((results / "cifar10", theirs[0]), (tmp_path / "node" / "runs-of-long", other[0])):
        found = contents(own.run(folder.config).path)
        said = json.loads(found.pop("merged.json"))
        expected = {
            name: content
            for name, content in contents(folder.path).items()
            if name != ".DS_Store" and "epoch-0" not in name
        }
        assert found == expected and len(found) == 4
        assert said["sources"] == [str(source)]
        checksums = {entry["name"]: entry["sha256"] for entry in said["files"]}
        assert checksums == {name: hashlib.sha256(content).hexdigest() for name, content in expected.items()}
    found = load_results(own.path)
    assert list(found.summary["n"]) == [2, 2, 2] and found.complete
    assert found.runs["merged_from"].value_counts().tolist() == [2, 2]


def test_a_second_merge_changes_nothing(own: SuiteFolder, results: Path) -> None:
    train(results / "cifar10", SECOND_SEED)
    merge(own, [results])
    before = contents(own.path)
    (outcome,) = merge(own, [results / "cifar10"])
    assert (outcome.copied, outcome.present) == (0, 2)
    assert contents(own.path) == before


def test_a_run_that_was_merged_twice_names_all_folders_it_came_from(
    own: SuiteFolder, results: Path, tmp_path: Path
) -> None:
    (first, _) = train(results / "cifar10", SECOND_SEED)
    merge(own, [results])
    gathered = SuiteFolder(tmp_path / "new" / "cifar10")
    (outcome,) = merge(gathered, [own.path])
    assert outcome.copied == 4 and gathered.read_plan() == own.read_plan(), "a folder without a plan takes theirs"
    said = json.loads((gathered.run(first.config).path / "merged.json").read_text())
    assert said["sources"] == [str(results / "cifar10"), str(own.path)]


@pytest.mark.parametrize("place", ["here", "in another source"])
def test_one_run_with_two_results_is_refused_by_both_names(
    place: str, own: SuiteFolder, results: Path, tmp_path: Path
) -> None:
    train(results / "cifar10", TWO_SEEDS if place == "here" else SECOND_SEED)
    other = make_record(SECOND_SEED.runs[0], wrong=WRONG, seconds=7)
    sources = [results]
    if place == "here":
        changed = make_record(TWO_SEEDS.runs[0], wrong=WRONG, seconds=7)
        SuiteFolder(results / "cifar10").run(changed.config).write_result(changed)
        clashing, there = changed.run_id, own.path
    else:
        save(tmp_path / "b" / "cifar10", SECOND_SEED, [other])
        complete(tmp_path / "b" / "cifar10", other)
        sources.append(tmp_path / "b")
        clashing, there = other.run_id, tmp_path / "b" / "cifar10"
    before = contents(own.path)
    with pytest.raises(ConfigError, match=r"the same run with different result\.json; ") as raised:
        merge(own, sources)
    for folder in (there, results / "cifar10"):
        assert str(folder / "runs" / clashing) in str(raised.value)
    assert contents(own.path) == before


def test_runs_that_are_not_done_are_counted_and_stay_planned(own: SuiteFolder, results: Path) -> None:
    first, second = SECOND_SEED.runs
    record = failed(make_record(first, wrong=WRONG), status="diverged", message="the loss is not finite")
    save(results / "cifar10", SECOND_SEED, [record])
    SuiteFolder(results / "cifar10").run(second).claim()
    strange = make_plan("cifar10", seeds=1, variants=("reduced",), recipe="fast")
    complete(results / "cifar10", make_record(strange.runs[0], wrong=WRONG))
    (outcome,) = merge(own, [results])
    assert (outcome.copied, outcome.unfinished, outcome.others) == (0, 2, 1)
    assert load_results(own.path).why_incomplete.startswith("2 of 4 planned runs are not done")
    assert own.run_ids() == sorted(run.run_id for run in ONE_SEED.runs)


def test_a_run_that_has_begun_here_gives_way_and_one_that_is_trained_here_does_not(
    own: SuiteFolder, results: Path
) -> None:
    begun, trained = SECOND_SEED.runs
    train(results / "cifar10", SECOND_SEED)
    own.run(begun).claim()
    with own.locks.run(trained.run_id) as mine:
        assert mine
        (outcome,) = merge(own, [results])
    assert outcome.copied == 1 and outcome.busy == (trained.run_id,)
    assert [path.parent.name for path in own.superseded.glob("*/*/config.json")] == [begun.run_id]
    assert own.run(begun).read_result() is not None and not own.run(trained).path.exists()


def break_json(run: RunFolder) -> None:
    (run.path / "result.json").write_text("{")


def contradict(run: RunFolder) -> None:
    save_predictions(run, wrong=np.arange(WRONG + 3))


def damage_weights(run: RunFolder) -> None:
    next(run.checkpoints.iterdir()).write_bytes(b"damaged")


def link_out(run: RunFolder) -> None:
    outside = shutil.copy(run.path / "predictions.npz", run.path.parent.parent)
    (run.path / "predictions.npz").unlink()
    (run.path / "predictions.npz").symlink_to(outside)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_json, r"result\.json is not valid JSON"),
        (lambda run: (run.path / "predictions.npz").unlink(), r"predictions\.npz is missing"),
        (lambda run: (run.path / "predictions.npz").write_bytes(b"PK"), r"predictions\.npz cannot be read"),
        (contradict, r"\(10000, 33, 11\) and \(10000, 30, 10\)"),
        (damage_weights, r"weights-.*\.pt is damaged: its SHA-256 is"),
        (link_out, r"predictions\.npz is a link to .*; replace it by the file"),
        (lambda run: (run.path / "selection_bias.jsonl").write_text("no JSON\n"), r"selection_bias\.jsonl, line 1"),
        (lambda run: (run.path / "merged.json").write_text("{"), r"merged\.json is not valid JSON"),
    ],
    ids=["record", "no predictions", "predictions", "counts", "weights", "link", "lines", "origin"],
)
def test_damage_in_a_source_is_named_and_nothing_is_copied(
    damage: Callable[[RunFolder], object], message: str, own: SuiteFolder, results: Path
) -> None:
    *_, last = train(results / "cifar10", SECOND_SEED)
    damage(last)
    before = contents(own.path)
    with pytest.raises(ConfigError, match=rf"^nothing was merged: .*{message}") as raised:
        merge(own, [results])
    assert str(last.path) in str(raised.value) and "\n" not in str(raised.value)
    assert contents(own.path) == before


def test_folders_that_are_none_of_the_suite_or_its_own_are_refused(own: SuiteFolder, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(own.path)
    (own.path / "copy" / "cifar10" / "runs").mkdir(parents=True)
    for folder, message in (
        ("empty", "has no runs and no plan of suite cifar10"),
        ("not-there", "has no runs and no plan of suite cifar10"),
        ("own", "itself, or one is in the other"),
        ("link", "itself, or one is in the other"),
        ("own/cifar10/copy", "itself, or one is in the other"),
    ):
        with pytest.raises(ConfigError, match=message):
            merge(own, [tmp_path / folder])


def test_a_source_that_cannot_be_read_is_one_line(own: SuiteFolder, results: Path) -> None:
    (results / "cifar10" / "plan.json").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"^nothing was merged: .*plan\.json cannot be read \(.*; make it readable"):
        merge(own, [results])


def test_runs_of_other_settings_are_refused_unless_some_are_in_the_plan(own: SuiteFolder, results: Path) -> None:
    other = make_plan("cifar10", seeds=1, variants=("reduced", "short"), epochs=3)
    train(results / "cifar10", other)
    with pytest.raises(ConfigError, match=r"none of the 2 runs in .*there and here: recipe\.epochs was 3 and is 14"):
        merge(own, [results])
    # The last command there was of other settings; an earlier one was of these.
    own.write_plan(TWO_SEEDS)
    for run in SECOND_SEED.runs:
        record = make_record(run, wrong=WRONG)
        SuiteFolder(results / "cifar10").run(run).write_result(record)
        complete(results / "cifar10", record)
    (outcome,) = merge(own, [results])
    assert (outcome.copied, outcome.others) == (2, 2)
    assert own.read_plan() == TWO_SEEDS


def test_versions_that_compute_otherwise_are_refused_unless_declared(own: SuiteFolder, results: Path) -> None:
    newer = replace(ENVIRONMENT, versions=("torch 2.12.0", "numpy 2.0.0"))
    train(results / "cifar10", SECOND_SEED, environment=newer)
    with pytest.raises(
        ConfigError, match=r"by torch 2\.12\.0, and .* by torch 2\.11\.0; .*declared = \[\"versions\"\]"
    ):
        merge(own, [results])
    for folder, plan in ((own.path, ONE_SEED), (results / "cifar10", SECOND_SEED)):
        SuiteFolder(folder).write_plan(replace(plan, declared=("versions",)))
    assert merge(own, [results])[0].copied == 2


def test_times_of_merged_runs_of_other_hardware_stay_out_of_the_tables(own: SuiteFolder, results: Path) -> None:
    train(results / "cifar10", SECOND_SEED, environment=replace(ENVIRONMENT, device="Another GPU"))
    assert load_results(own.path).summary["train_seconds_mean"].notna().all()
    merge(own, [results])
    summary = load_results(own.path).summary
    assert list(summary["n"]) == [2, 2] and list(summary["n_timed"]) == [0, 0]
    assert summary["train_seconds_mean"].isna().all()


def test_looks_that_were_taken_elsewhere_count(own: SuiteFolder, results: Path) -> None:
    train(results / "cifar10", SECOND_SEED)
    theirs = SuiteFolder(results / "cifar10")
    four = make_plan("cifar10", seeds=4, variants=("reduced", "short"))
    own.write_plan(four)
    shared, ours, other = look_at(four, 1, 2), look_at(four, 1, 2, 3, level=0.004), look_at(four, 3, 4)
    stranger = look_at(make_plan("cifar10", seeds=2, recipe="fast"), 1, 2)
    own.looks.rewrite([shared, ours])
    theirs.looks.rewrite([stranger, shared, other])
    (outcome,) = merge(own, [results])
    assert outcome.looks == 1 and own.looks.read() == (shared, ours, other)
    assert merge(own, [results])[0].looks == 0 and own.looks.read() == (shared, ours, other)


@pytest.mark.parametrize(
    ("ours", "planned", "theirs", "agreed"),
    [
        ((2, 4), (), (2, 4), (2, 4)),
        (None, (), (2, 4), (2, 4)),
        (None, (2, 4), (2, 4), (2, 4)),
        (None, (2, 4), (), None),
        ((), (), (2, 4), None),
        ((2, 4), (), (3, 4), None),
    ],
    ids=["same", "theirs", "planned", "planned, not theirs", "theirs, not ours", "others"],
)
def test_declarations_of_looks_agree_or_are_refused(
    ours: tuple[int, ...] | None,
    planned: tuple[int, ...],
    theirs: tuple[int, ...],
    agreed: tuple[int, ...] | None,
    own: SuiteFolder,
    results: Path,
) -> None:
    train(results / "cifar10", SECOND_SEED)
    SuiteFolder(results / "cifar10").looks.rewrite([look_at(TWO_SEEDS, 1, 2, declared=theirs)])
    own.write_plan(replace(TWO_SEEDS, looks=planned))
    own.looks.rewrite([] if ours is None else [look_at(TWO_SEEDS, 1, 2, level=0.02, declared=ours)])
    before = contents(own.path)
    if agreed is None:
        with pytest.raises(ConfigError, match="so they have no level in common; report the folders apart"):
            merge(own, [results])
        assert contents(own.path) == before
    else:
        merge(own, [results])
        assert own.read_plan().looks == agreed


def test_a_merge_that_was_stopped_leaves_whole_runs_and_can_be_repeated(
    own: SuiteFolder, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = train(results / "cifar10", SECOND_SEED)
    copy, copied = shutil.copyfile, []

    def stopped(source: Path, target: Path) -> Path:
        if source.parent.name == second.path.name and copied.count(second.path.name) == 1:
            raise KeyboardInterrupt
        copied.append(source.parent.name)
        return copy(source, target)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(shutil, "copyfile", stopped)
        merge(own, [results])
    assert own.read_plan() == ONE_SEED
    assert own.run(first.config).read_result() is not None and not own.run(second.config).path.exists()
    assert {path.name for path in own.runs.iterdir()} == {*own.run_ids()}
    (own.runs / f".{second.path.name}.merging").mkdir()  # as a killed process leaves it
    (outcome,) = merge(own, [results])
    assert (outcome.copied, outcome.present) == (1, 1) and load_results(own.path).complete
    assert {path.name for path in own.runs.iterdir()} == {*own.run_ids()}


def test_a_file_that_changes_while_it_is_copied_is_refused(
    own: SuiteFolder, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(results / "cifar10", SECOND_SEED)
    copy = shutil.copyfile
    monkeypatch.setattr(shutil, "copyfile", lambda source, target: (source.write_bytes(b"new"), copy(source, target)))
    with pytest.raises(ConfigError, match=r"changed while it was copied"):
        merge(own, [results])
    assert own.run_ids() == sorted(run.run_id for run in ONE_SEED.runs)
