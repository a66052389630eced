"""Runs one after the other: skipped, failed, interrupted, and trained by another process."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ablations.data.dataset import Dataset
from ablations.errors import ConfigError, DataError, DeviceLost
from ablations.execution import job
from ablations.execution.serial import run_serially
from ablations.records.locks import Locks
from ablations.records.record import RunRecord
from ablations.records.run_folder import RunFolder
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.run_config import RunConfig
from ablations.training.events import EpochDone, Event, RunEnded, RunStarted, StepDone, TrainingStarted, to_all
from ablations.training.options import ExecutionOptions
from ablations.training.step import StepResult, TrainStep

NAMES = ("short4", "short3", "short2")

StopAt = Callable[[type[Event], int], Callable[[Event], None]]


@pytest.fixture
def configs(make_config: Callable[..., RunConfig]) -> list[RunConfig]:
    """Three variants, two epochs each."""
    return [make_config(variant=name, epochs=2, limit_train=100) for name in NAMES]


@pytest.fixture
def run_suite(tiny_digits: Dataset, tmp_path: Path) -> Callable[..., list[RunRecord]]:
    """Runs these configurations in ``tmp_path``."""

    def run(configs: list[RunConfig], **named: Any) -> list[RunRecord]:
        return run_serially(
            configs, dataset=tiny_digits, suite=SuiteFolder(tmp_path), **named, options=ExecutionOptions()
        )

    return run


@contextmanager
def raising(error: BaseException, *, variant: str, at_step: int) -> Iterator[None]:
    """Raise an error in the given training step of one variant."""
    step, steps = TrainStep.step, list[str]()

    def failing(trainer: TrainStep, images: Tensor, labels: Tensor) -> StepResult:
        steps.append(trainer.model.arch.name)
        if steps[-1] == variant and steps.count(variant) == at_step:
            raise error
        return step(trainer, images, labels)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(TrainStep, "step", failing)
        yield


def folder_of(config: RunConfig, suite_dir: Path) -> RunFolder:
    return SuiteFolder(suite_dir).run(config)


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below a folder, with its time of change."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and path.parent.name != "locks"
    }


def test_every_run_has_its_record_and_its_events_in_order(
    configs: list[RunConfig], run_suite: Callable[..., list[RunRecord]], tmp_path: Path
) -> None:
    events: list[Event] = []
    records = run_suite(configs, on_event=events.append)
    assert [(record.config, record.status) for record in records] == [(config, "done") for config in configs]
    assert [folder_of(config, tmp_path).read_result() for config in configs] == records
    assert SuiteFolder(tmp_path).run_ids() == sorted(config.run_id for config in configs)
    kinds = [type(event) for event in events if not isinstance(event, StepDone)]
    assert kinds == [RunStarted, TrainingStarted, EpochDone, EpochDone, RunEnded] * 3
    started = [event for event in events if isinstance(event, RunStarted)]
    assert started == [RunStarted(config=config, position=i, total=3) for i, config in enumerate(configs, start=1)]
    ended = [event for event in events if isinstance(event, RunEnded)]
    assert ended == [RunEnded(record=record, position=i, total=3, skipped=False) for i, record in enumerate(records, 1)]


def test_after_a_run_that_fails_the_others_are_trained_and_the_next_start_resumes_it(
    configs: list[RunConfig], run_suite: Callable[..., list[RunRecord]], tmp_path: Path
) -> None:
    with raising(RuntimeError("died"), variant="short3", at_step=6):  # the second of the second epoch
        records = run_suite(configs)
    assert [record.status for record in records] == ["done", "failed", "done"]
    assert [epoch.epoch for epoch in records[1].epochs] == [1]
    assert folder_of(configs[1], tmp_path).read_result() == records[1]
    events: list[Event] = []
    assert [record.status for record in run_suite(configs, on_event=events.append)] == ["done"] * 3
    assert [event.skipped for event in events if isinstance(event, RunEnded)] == [True, False, True]
    assert TrainingStarted(run_id=configs[1].run_id, finished_epochs=1, train_images=100) in events


def test_an_interrupt_stops_the_suite_and_the_next_start_resumes_it(
    configs: list[RunConfig], run_suite: Callable[..., list[RunRecord]], tmp_path: Path, stop_at: StopAt
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_suite(configs, on_event=stop_at(StepDone, 8 + 5))  # in the second variant's second epoch
    found = [folder_of(config, tmp_path).read_result() for config in configs]
    outcomes = [record and (record.status, len(record.epochs)) for record in found]
    assert outcomes == [("done", 2), ("interrupted", 1), None]
    assert not folder_of(configs[2], tmp_path).path.exists()
    events: list[Event] = []
    records = run_suite(configs, on_event=events.append)
    assert [record.status for record in records] == ["done"] * 3
    assert [event.position for event in events if isinstance(event, RunStarted)] == [2, 3]
    assert [event.finished_epochs for event in events if isinstance(event, TrainingStarted)] == [1, 0]
    assert [record.times and record.times.timing_valid for record in records] == [True, False, True]


def test_done_runs_are_skipped_and_not_touched(
    configs: list[RunConfig], run_suite: Callable[..., list[RunRecord]], tmp_path: Path
) -> None:
    first = run_suite(configs[:2])
    before = contents(tmp_path)
    events: list[Event] = []
    assert run_suite(configs[:2], on_event=events.append) == first
    assert contents(tmp_path) == before
    assert events == [
        RunEnded(record=record, position=position, total=2, skipped=True)
        for position, record in enumerate(first, start=1)
    ]


def test_a_suite_stops_where_the_device_is_lost_and_goes_on_at_the_next_start(
    configs: list[RunConfig],
    run_suite: Callable[..., list[RunRecord]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def lost(device: torch.device) -> float:
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nand more")

    clock, illegal = job.clock, RuntimeError("CUDA error: an illegal memory access was encountered")

    def lose(event: Event) -> None:
        if isinstance(event, StepDone):
            monkeypatch.setattr(job, "clock", lost)
            raise illegal

    with pytest.raises(DeviceLost, match=f"{configs[0].run_id}: RuntimeError: CUDA error.*start again") as raised:
        run_suite(configs, on_event=lose)
    assert raised.value.exit_status == 3
    found = [folder_of(config, tmp_path).read_result() for config in configs]
    assert [record and record.status for record in found] == ["failed", None, None]
    monkeypatch.setattr(job, "clock", clock)
    assert [record.status for record in run_suite(configs)] == ["done"] * 3


def test_data_of_another_fingerprint_stop_the_suite(
    configs: list[RunConfig], tiny_digits: Dataset, tmp_path: Path
) -> None:
    other = replace(tiny_digits, fingerprint="another")
    with pytest.raises(DataError, match="fingerprint"):
        run_serially(configs, dataset=other, suite=SuiteFolder(tmp_path), options=ExecutionOptions())
    assert [path.name for path in tmp_path.iterdir()] == ["locks"]


def test_a_damaged_record_stops_the_suite_with_its_name(
    configs: list[RunConfig], run_suite: Callable[..., list[RunRecord]], tmp_path: Path
) -> None:
    run_suite(configs[:1])
    path = folder_of(configs[0], tmp_path).path / "result.json"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ConfigError) as raised:
        run_suite(configs)
    assert str(path) in str(raised.value)


def test_a_run_of_another_process_is_skipped_and_the_others_are_trained(
    configs: list[RunConfig], run_suite: Callable[..., list[RunRecord]], tmp_path: Path
) -> None:
    with Locks(tmp_path).run(configs[0].run_id):
        records = run_suite(configs)
    assert [record.run_id for record in records] == [config.run_id for config in configs[1:]]
    assert [record.run_id for record in run_suite(configs)] == [config.run_id for config in configs]


def test_a_run_that_another_process_releases_is_trained_at_the_end(
    configs: list[RunConfig], run_suite: Callable[..., list[RunRecord]], tmp_path: Path
) -> None:
    held = Locks(tmp_path).run(configs[0].run_id)
    held.__enter__()

    def let_go(event: Event) -> None:
        if isinstance(event, RunEnded) and event.position == len(configs):
            held.__exit__(None, None, None)

    events: list[Event] = []
    records = run_suite(configs, on_event=to_all(events.append, let_go))
    assert [record.run_id for record in records] == [config.run_id for config in configs]
    assert [event.position for event in events if isinstance(event, RunEnded)] == [2, 3, 1]
