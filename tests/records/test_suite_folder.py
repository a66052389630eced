"""The folder of a suite: where its runs are, its plan there and back, and archived runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablations.errors import HeldElsewhere
from ablations.records.locks import Locks
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.run_config import RunConfig
from tests.support.synthetic_suites import make_plan, make_record


@pytest.fixture
def configs() -> list[RunConfig]:
    """Three runs of one suite."""
    return list(make_plan("cifar10", seeds=3, variants=("reduced",)).runs)


def test_runs_and_records_are_found_by_their_configurations(configs: list[RunConfig], tmp_path: Path) -> None:
    suite = SuiteFolder(tmp_path)
    assert suite.records(configs) == [] and suite.run_ids() == []
    record = make_record(configs[1], wrong=1_000)
    suite.run(configs[1]).write_result(record)
    assert suite.records(configs) == [record]
    assert suite.run_ids() == [configs[1].run_id]
    assert suite.run(configs[1]).path == suite.run_path(configs[1].run_id) == tmp_path / "runs" / configs[1].run_id


def test_a_plan_comes_back_and_its_runs_share_architectures_and_recipes(tmp_path: Path) -> None:
    plan = make_plan("cifar10", seeds=2)
    suite = SuiteFolder(tmp_path)
    assert suite.earlier_plan() is None
    suite.write_plan(plan)
    back = suite.read_plan()
    assert back == plan == suite.earlier_plan()
    assert len({id(run.architecture) for run in back.runs}) == 7


def test_only_folders_of_runs_are_counted(configs: list[RunConfig], tmp_path: Path) -> None:
    suite = SuiteFolder(tmp_path)
    suite.run(configs[0]).claim()
    suite.run(configs[1]).write_result(make_record(configs[1], wrong=1_000))
    for name in ("@eaDir", ".hidden", "__MACOSX", "empty"):
        (suite.runs / name).mkdir()
    (suite.runs / ".hidden" / "config.json").write_text("{}")
    (suite.runs / "@eaDir" / "config.json@SynoEAStream").write_text("")
    (suite.runs / "notes.txt").write_text("no folder")
    assert suite.run_ids() == sorted(config.run_id for config in configs[:2])


def fill(config: RunConfig, suite_dir: Path, content: str) -> None:
    folder = SuiteFolder(suite_dir).run(config).path
    (folder / "checkpoint").mkdir(parents=True)
    (folder / "result.json").write_text(content)
    (folder / "checkpoint" / "weights.pt").write_text(content)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but locks."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.parent.name != "locks")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_archiving_moves_the_given_runs_and_deletes_nothing(configs: list[RunConfig], tmp_path: Path) -> None:
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


def test_archiving_again_at_once_keeps_every_earlier_archive(configs: list[RunConfig], tmp_path: Path) -> None:
    # Three times, so that at least two are in the same second.
    moved = []
    for number in range(3):
        fill(configs[0], tmp_path, f"number {number}")
        moved += SuiteFolder(tmp_path).archive_runs(configs)
    assert [(path / "result.json").read_text() for path in moved] == ["number 0", "number 1", "number 2"]


def test_there_may_be_nothing_to_archive(configs: list[RunConfig], tmp_path: Path) -> None:
    assert SuiteFolder(tmp_path).archive_runs(configs) == []
    assert list(tmp_path.iterdir()) == []


def test_while_one_run_is_being_trained_none_is_archived(configs: list[RunConfig], tmp_path: Path) -> None:
    for config in configs:
        fill(config, tmp_path, config.run_id)
    before = contents(tmp_path)
    with Locks(tmp_path).run(configs[1].run_id), pytest.raises(HeldElsewhere, match=configs[1].run_id) as raised:
        SuiteFolder(tmp_path).archive_runs(configs)
    assert contents(tmp_path) == before
    assert raised.value.exit_status == 5
