"""The way through a suite: what is skipped, what a failing run leaves, who has which run."""

import subprocess
import sys
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
from ablations.execution.job import finished, train_to_record, unfinished_record
from ablations.execution.serial import run_serially
from ablations.hardware.device import describe_environment
from ablations.records.locks import Locks
from ablations.records.record import RunRecord
from ablations.records.run_folder import RunFolder
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.run_config import RunConfig
from ablations.training import checkpoint
from ablations.training.events import EpochDone, Event, RunEnded, RunStarted, StepDone, TrainingStarted, to_all
from ablations.training.options import ExecutionOptions
from ablations.training.step import StepResult, TrainStep

CPU = torch.device("cpu")
NAMES = ("short4", "short3", "short2")
OUT_OF_MEMORY = "CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has a total capacity of 1 GiB."

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
def raising(error: BaseException, *, variant: str, at_step: int = 1) -> Iterator[list[tuple[str, int]]]:
    """Let one variant's training die at that step; gives the variant and batch size of every step that was begun."""
    step, steps = TrainStep.step, list[tuple[str, int]]()

    def failing(trainer: TrainStep, images: Tensor, labels: Tensor) -> StepResult:
        name = trainer.model.arch.name
        steps.append((name, len(images)))
        if [begun for begun, _ in steps].count(variant) == at_step and name == variant:
            raise error
        return step(trainer, images, labels)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(TrainStep, "step", failing)
        yield steps


def folder_of(config: RunConfig, suite_dir: Path) -> RunFolder:
    return SuiteFolder(suite_dir).run(config)


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below a folder, with its time of change."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and path.parent.name != "locks"
    }


def checkpoints(config: RunConfig, suite_dir: Path) -> list[str]:
    return sorted(path.name.split("-")[0] for path in folder_of(config, suite_dir).checkpoints.iterdir())


def test_every_run_gets_its_record(
    configs: list[RunConfig], run_suite: Callable[..., list[RunRecord]], tmp_path: Path
) -> None:
    records = run_suite(configs)
    assert [record.config for record in records] == configs
    assert [record.status for record in records] == ["done"] * 3
    for config, record in zip(configs, records, strict=True):
        assert folder_of(config, tmp_path).read_result() == record
        assert record.train_images == 100
        # The weights are for use; the optimiser's state is of none after the last epoch.
        assert checkpoints(config, tmp_path) == ["weights"]
        assert checkpoint.load_weights(folder_of(config, tmp_path).checkpoints)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == sorted(config.run_id for config in configs)


def test_only_a_done_run_is_finished(
    configs: list[RunConfig], run_suite: Callable[..., list[RunRecord]], tmp_path: Path
) -> None:
    with raising(RuntimeError("died"), variant="short3"):
        done, died = run_suite(configs[:2])
    assert (done.status, died.status) == ("done", "failed")
    assert [finished(folder_of(config, tmp_path)) for config in configs] == [done, None, None]


def test_an_unfinished_record_holds_the_epochs_and_how_the_run_was_to_be_trained(
    configs: list[RunConfig], run_suite: Callable[..., list[RunRecord]], tmp_path: Path, stop_at: StopAt
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_suite(configs[:1], on_event=stop_at(StepDone, 4 + 1))  # the first of the second epoch
    folder = folder_of(configs[0], tmp_path)
    record = unfinished_record(
        configs[0],
        folder=folder,
        environment=describe_environment(CPU, engine="compile"),
        test_accesses=0,
        status="failed",
        message="gone",
    )
    assert (record.run_id, record.config, record.status, record.message) == (
        configs[0].run_id,
        configs[0],
        "failed",
        "gone",
    )
    assert record.epochs == folder.epochs.read() and len(record.epochs) == 1
    assert (record.train_images, record.test, record.costs, record.times) == (None, None, None, None)
    assert record.environment == describe_environment(CPU, engine="compile")


@pytest.mark.parametrize("shares_device", [False, True])
def test_a_run_alone_is_trained_to_its_record(
    configs: list[RunConfig], tiny_digits: Dataset, tmp_path: Path, shares_device: bool
) -> None:
    folder, events = folder_of(configs[0], tmp_path), list[Event]()
    record = train_to_record(
        configs[0],
        dataset=tiny_digits,
        folder=folder,
        on_event=events.append,
        options=ExecutionOptions(engine="eager", runs_per_device=2),
    )
    assert record == folder.read_result() and record.status == "done"
    assert record.times is not None and record.times.timing_valid != shares_device
    assert record.environment.engine == "eager"
    assert checkpoints(configs[0], tmp_path) == ["weights"]
    assert [type(event) for event in events if not isinstance(event, StepDone)] == [
        TrainingStarted,
        EpochDone,
        EpochDone,
    ]


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


def test_a_done_run_keeps_no_epoch_states_even_if_killed_before_they_were_discarded(
    configs: list[RunConfig], run_suite: Callable[..., list[RunRecord]], tmp_path: Path
) -> None:
    def killed(folder: Path) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(checkpoint, "discard_states", killed)
        run_suite(configs[:1])
    assert run_suite(configs[:1])[0].status == "done"
    assert checkpoints(configs[0], tmp_path) == ["weights"]


def test_events_come_in_order(configs: list[RunConfig], run_suite: Callable[..., list[RunRecord]]) -> None:
    events: list[Event] = []
    records = run_suite(configs[:2], on_event=events.append)
    kinds = [type(event) for event in events if not isinstance(event, StepDone)]
    assert kinds == [RunStarted, TrainingStarted, EpochDone, EpochDone, RunEnded] * 2
    started = [event for event in events if isinstance(event, RunStarted)]
    assert started == [RunStarted(config=configs[i], position=i + 1, total=2) for i in range(2)]
    ended = [event for event in events if isinstance(event, RunEnded)]
    assert ended == [RunEnded(record=records[i], position=i + 1, total=2, skipped=False) for i in range(2)]


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (torch.OutOfMemoryError(OUT_OF_MEMORY), "oom", OUT_OF_MEMORY.splitlines()[0]),
        (RuntimeError("CUDA error: out of memory\nSearch for it"), "oom", "CUDA error: out of memory"),
        (RuntimeError("the first line\nthe second"), "failed", "RuntimeError: the first line"),
        (ZeroDivisionError(), "failed", "ZeroDivisionError"),
        (AssertionError("\n"), "failed", "AssertionError"),
    ],
    ids=["oom", "oom-of-cuda", "failed", "without-message", "blank-message"],
)
def test_a_run_that_dies_leaves_a_record_and_the_others_finish(
    configs: list[RunConfig],
    run_suite: Callable[..., list[RunRecord]],
    tmp_path: Path,
    error: Exception,
    status: str,
    message: str,
) -> None:
    with raising(error, variant="short3", at_step=6) as steps:  # the second of the second epoch
        records = run_suite(configs)
    assert [record.status for record in records] == ["done", status, "done"]
    # 100 images in batches of 32, for the one that ran out of memory and for those after it.
    assert [size for name, size in steps if name == "short3"] == [32, 32, 32, 4, 32, 32]
    assert [size for name, size in steps if name == "short2"] == [32, 32, 32, 4] * 2
    dead = records[1]
    assert dead.message.startswith(message) and "\n" not in dead.message
    assert dead.config == configs[1]
    assert [epoch.epoch for epoch in dead.epochs] == [1]
    assert (dead.train_images, dead.test, dead.costs, dead.times) == (None, None, None, None)
    assert folder_of(configs[1], tmp_path).read_result() == dead
    assert not (folder_of(configs[1], tmp_path).path / "predictions.npz").exists()


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


def test_a_run_that_failed_goes_on_at_the_next_start_to_the_undisturbed_result(
    configs: list[RunConfig],
    run_suite: Callable[..., list[RunRecord]],
    tiny_digits: Dataset,
    tmp_path: Path,
    outcome_of: Callable[[RunFolder], dict[str, Any]],
) -> None:
    with raising(RuntimeError("died"), variant="short3", at_step=6):
        run_suite(configs[:2])
    events: list[Event] = []
    records = run_suite(configs[:2], on_event=events.append)
    assert [record.status for record in records] == ["done", "done"]
    assert [event.skipped for event in events if isinstance(event, RunEnded)] == [True, False]
    assert TrainingStarted(run_id=configs[1].run_id, finished_epochs=1, train_images=100) in events
    undisturbed = tmp_path / "undisturbed"
    expected = run_serially(
        configs[1:2], dataset=tiny_digits, suite=SuiteFolder(undisturbed), options=ExecutionOptions()
    )
    assert records[1].test == expected[0].test
    ours, theirs = (outcome_of(folder_of(configs[1], folder)) for folder in (tmp_path, undisturbed))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_a_run_that_diverges_leaves_a_record_and_the_others_finish(
    make_config: Callable[..., RunConfig], run_suite: Callable[..., list[RunRecord]]
) -> None:
    diverging = make_config(optimizer="sgd", learning_rate=1e20, schedule="constant", epochs=1, limit_train=100)
    records = run_suite([diverging, make_config(epochs=1, limit_train=100)])
    assert [record.status for record in records] == ["diverged", "done"]
    assert "epoch 1 of 1" in records[0].message
    assert (records[0].epochs, records[0].test) == ((), None)


def test_an_interrupt_is_recorded_and_passed_on_and_the_next_start_goes_on_to_the_same_result(
    configs: list[RunConfig],
    run_suite: Callable[..., list[RunRecord]],
    tiny_digits: Dataset,
    tmp_path: Path,
    stop_at: StopAt,
    outcome_of: Callable[[RunFolder], dict[str, Any]],
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_suite(configs, on_event=stop_at(StepDone, 8 + 5))  # in the second variant's second epoch
    first, second, third = (folder_of(config, tmp_path).read_result() for config in configs)
    assert first is not None and first.status == "done"
    assert second is not None and second.status == "interrupted" and second.test is None
    assert [epoch.epoch for epoch in second.epochs] == [1]
    assert third is None
    assert not folder_of(configs[2], tmp_path).path.exists()

    events: list[Event] = []
    records = run_suite(configs, on_event=events.append)
    assert [record.status for record in records] == ["done"] * 3
    assert [event.position for event in events if isinstance(event, RunStarted)] == [2, 3]
    assert [event.finished_epochs for event in events if isinstance(event, TrainingStarted)] == [1, 0]
    assert [record.times and record.times.timing_valid for record in records] == [True, False, True]
    undisturbed = tmp_path / "undisturbed"
    run_serially(configs[1:2], dataset=tiny_digits, suite=SuiteFolder(undisturbed), options=ExecutionOptions())
    ours, theirs = (outcome_of(folder_of(configs[1], folder)) for folder in (tmp_path, undisturbed))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_an_interrupt_of_a_kind_of_its_own_stays_that_kind(
    configs: list[RunConfig], run_suite: Callable[..., list[RunRecord]], tmp_path: Path
) -> None:
    class Terminated(KeyboardInterrupt):
        pass

    with raising(Terminated(), variant="short4"), pytest.raises(Terminated):
        run_suite(configs)
    record = folder_of(configs[0], tmp_path).read_result()
    assert record is not None and record.status == "interrupted"


def test_what_the_user_must_mend_stops_the_suite(
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


def test_damaged_metrics_do_not_end_in_a_traceback(
    configs: list[RunConfig], run_suite: Callable[..., list[RunRecord]], tmp_path: Path, stop_at: StopAt
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_suite(configs[:1], on_event=stop_at(EpochDone, 1))
    metrics = folder_of(configs[0], tmp_path).path / "metrics.jsonl"
    metrics.write_bytes(b'{"epoch": 1, "tra\n' + metrics.read_bytes())
    # Either is clear: an error that names the file, or a record that says so, with the other run done.
    try:
        records = run_suite(configs[:2])
    except ConfigError as error:
        assert str(metrics) in str(error)
    else:
        assert [record.status for record in records] in (["failed", "done"], ["done", "done"])


def test_a_run_of_another_process_is_passed_over_and_the_others_are_trained(
    configs: list[RunConfig], run_suite: Callable[..., list[RunRecord]], tmp_path: Path
) -> None:
    with Locks(tmp_path).run(configs[0].run_id):
        records = run_suite(configs)
    assert [record.run_id for record in records] == [config.run_id for config in configs[1:]]
    assert [record.run_id for record in run_suite(configs)] == [config.run_id for config in configs]


def test_a_run_that_another_process_gives_up_is_taken_at_the_end(
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


def test_times_beside_another_process_are_not_valid(
    configs: list[RunConfig], run_suite: Callable[..., list[RunRecord]], tmp_path: Path
) -> None:
    alone, beside = configs[:2]
    (record,) = run_suite([alone])
    assert record.times is not None and record.times.timing_valid
    other = subprocess.Popen(
        [sys.executable, "-c", TRAINS, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with other:
        try:
            assert other.stdout is not None and other.stdout.readline() == "training\n"
            (record,) = run_suite([beside])
        finally:
            other.kill()
    assert record.times is not None and not record.times.timing_valid


# A process that says it trains, for as long as its input is open.
TRAINS = """
import pathlib, sys
from ablations.locks import Locks
with Locks(pathlib.Path(sys.argv[1])).training():
    print("training", flush=True)
    sys.stdin.read()
"""
