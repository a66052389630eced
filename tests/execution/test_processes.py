"""Runs in worker processes: the same records as one after the other, and records of workers that die or are stopped."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import resource_tracker, util
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from ablations.data.dataset import Dataset
from ablations.errors import DataError
from ablations.execution import job, worker_pool
from ablations.execution.processes import run_in_processes
from ablations.execution.serial import run_serially
from ablations.execution.worker import WorkerDied, WorkerSettings, _stop, train_run, train_runs
from ablations.execution.worker_pool import Worker
from ablations.records.record import RunRecord, Times
from ablations.records.run_folder import RunFolder
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.run_config import RunConfig
from ablations.training.events import EpochDone, Event, RunEnded, RunStarted, StepDone, SuiteStarted, TrainingStarted
from ablations.training.options import ExecutionOptions

pytestmark = pytest.mark.process
IMAGES, EPOCHS = 100, 2
NO_TIMES = Times(startup_seconds=0.0, compile_seconds=0.0, train_seconds=0.0, eval_seconds=0.0, timing_valid=False)
ENDLESS = 10_000  # epochs, of runs that are stopped: more than any machine trains before it is told to stop

StopAt = Callable[[type[Event], int], Callable[[Event], None]]
OutcomeOf = Callable[[RunFolder], dict[str, Any]]


class Suite(NamedTuple):
    """A suite that two workers executed, with the events that its observer got."""

    configs: list[RunConfig]
    folder: Path
    records: list[RunRecord]
    events: list[Event]


@pytest.fixture(scope="module")
def suite(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Suite:
    """Four runs: one that had been done before, one that diverges between two that do not."""
    folder = tmp_path_factory.mktemp("parallel")
    configs = [
        make_config(epochs=EPOCHS, limit_train=IMAGES, seed=1),
        make_config(epochs=EPOCHS, limit_train=IMAGES, seed=2, flip=0.5, validation_fraction=0.2),
        make_config(epochs=EPOCHS, limit_train=IMAGES, optimizer="sgd", learning_rate=1e20, schedule="constant"),
        make_config(epochs=EPOCHS, limit_train=IMAGES, variant="short3"),
    ]
    run_serially(configs[:1], dataset=tiny_digits, suite=SuiteFolder(folder), options=ExecutionOptions())
    events: list[Event] = []
    records = run_in_processes(
        configs,
        dataset=tiny_digits,
        suite=SuiteFolder(folder),
        on_event=events.append,
        options=ExecutionOptions(runs_per_device=2),
    )
    assert multiprocessing.active_children() == []
    return Suite(configs, folder, records, events)


@pytest.fixture(scope="module")
def one_by_one(suite: Suite, tiny_digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Suite:
    """The same runs, one after the other in this process."""
    folder, events = tmp_path_factory.mktemp("one-by-one"), list[Event]()
    records = run_serially(
        suite.configs,
        dataset=tiny_digits,
        suite=SuiteFolder(folder),
        on_event=events.append,
        options=ExecutionOptions(),
    )
    return Suite(suite.configs, folder, records, events)


def settings_of(dataset: Dataset, suite_dir: Path) -> WorkerSettings:
    return WorkerSettings(
        dataset=dataset, suite_dir=suite_dir, options=ExecutionOptions(), threads=torch.get_num_threads()
    )


def folder_of(config: RunConfig, suite_dir: Path) -> RunFolder:
    return SuiteFolder(suite_dir).run(config)


def run_of(event: Event) -> str:
    """The id of the run that an event is about."""
    if isinstance(event, RunStarted):
        return event.config.run_id
    assert not isinstance(event, SuiteStarted)
    return event.record.run_id if isinstance(event, RunEnded) else event.run_id


def without_times(record: RunRecord) -> RunRecord:
    """What must not depend on how many runs there are at a time; the process is another, so is its memory."""
    costs = record.costs and replace(record.costs, peak_memory_bytes=None)
    epochs = tuple(replace(epoch, train_seconds=0.0, eval_seconds=0.0) for epoch in record.epochs)
    return replace(record, costs=costs, epochs=epochs, times=record.times and NO_TIMES)


def test_records_are_those_of_one_run_after_the_other(suite: Suite, one_by_one: Suite) -> None:
    assert [record.config for record in suite.records] == suite.configs
    assert [record.status for record in suite.records] == ["done", "done", "diverged", "done"]
    for ours, theirs in zip(suite.records, one_by_one.records, strict=True):
        assert without_times(ours) == without_times(theirs)
        assert folder_of(ours.config, suite.folder).read_result() == ours


def test_weights_and_predictions_are_those_of_one_run_after_the_other(
    suite: Suite, one_by_one: Suite, outcome_of: OutcomeOf
) -> None:
    for config, record in zip(suite.configs, suite.records, strict=True):
        if record.status == "done":
            ours, theirs = (outcome_of(folder_of(config, each.folder)) for each in (suite, one_by_one))
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_times_are_not_valid_of_runs_that_shared_the_device(suite: Suite, one_by_one: Suite) -> None:
    valid = [record.times and record.times.timing_valid for record in suite.records]
    assert valid == [True, False, None, False]  # the first was done before, alone; the third has no times
    assert [record.times and record.times.timing_valid for record in one_by_one.records] == [True, True, None, True]


def test_a_run_done_before_is_skipped(suite: Suite) -> None:
    done = suite.configs[0].run_id
    (ended,) = [event for event in suite.events if run_of(event) == done]
    assert ended == RunEnded(record=suite.records[0], position=1, total=4, skipped=True)


def test_a_run_that_diverges_is_recorded(suite: Suite) -> None:
    diverged = suite.records[2]
    assert f"epoch 1 of {EPOCHS}" in diverged.message
    assert (diverged.epochs, diverged.test, diverged.times) == ((), None, None)


def test_each_runs_events_come_in_order(suite: Suite) -> None:
    for position, (config, record) in enumerate(zip(suite.configs, suite.records, strict=True), start=1):
        events = [event for event in suite.events if run_of(event) == config.run_id]
        if position == 1:
            continue
        assert events[0] == RunStarted(config=config, position=position, total=4)
        assert events[-1] == RunEnded(record=record, position=position, total=4, skipped=False)
        kinds = [type(event) for event in events[1:-1] if not isinstance(event, StepDone)]
        assert kinds == [TrainingStarted, *[EpochDone] * len(record.epochs)]
        assert [event.epoch for event in events if isinstance(event, EpochDone)] == list(record.epochs)


def test_steps_tell_of_every_image_before_their_epochs_end(suite: Suite) -> None:
    for config, record in zip(suite.configs[1:], suite.records[1:], strict=True):
        seen = 0
        for event in suite.events:
            if isinstance(event, StepDone) and event.run_id == config.run_id:
                seen += event.images
            elif isinstance(event, EpochDone) and event.run_id == config.run_id:
                assert record.train_images is not None
                assert seen == event.epoch.epoch * record.train_images
        assert record.status == "diverged" or seen == EPOCHS * (80 if config.recipe.validation_fraction else IMAGES)


def test_a_run_whose_worker_is_killed_has_a_record_and_another_worker_takes_over(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path
) -> None:
    configs = [make_config(epochs=ENDLESS), make_config(epochs=1)]

    def kill(event: Event) -> None:
        if isinstance(event, EpochDone) and event.run_id == configs[0].run_id and event.epoch.epoch == 1:
            (worker,) = multiprocessing.active_children()
            assert worker.pid is not None
            os.kill(worker.pid, signal.SIGKILL)

    killed, other = run_in_processes(
        configs,
        dataset=tiny_digits,
        suite=SuiteFolder(tmp_path),
        on_event=kill,
        options=ExecutionOptions(runs_per_device=1),
    )
    assert (killed.status, other.status) == ("failed", "done")
    assert f"exit code {-signal.SIGKILL}" in killed.message
    assert killed.epochs and killed.epochs == folder_of(configs[0], tmp_path).epochs.read()
    assert killed.test is None
    assert folder_of(configs[0], tmp_path).read_result() == killed
    assert multiprocessing.active_children() == []


def test_an_interrupt_stops_all_workers_and_keeps_what_they_did(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path, stop_at: StopAt
) -> None:
    configs = [make_config(epochs=ENDLESS, seed=seed) for seed in (1, 2, 3)]
    events: list[Event] = []
    stop = stop_at(EpochDone, 1)
    workers: list[BaseProcess] = []

    def on_event(event: Event) -> None:
        events.append(event)
        workers[:] = multiprocessing.active_children()
        stop(event)

    with pytest.raises(KeyboardInterrupt):
        run_in_processes(
            configs,
            dataset=tiny_digits,
            suite=SuiteFolder(tmp_path),
            on_event=on_event,
            options=ExecutionOptions(runs_per_device=2),
        )
    assert len(workers) == 2
    assert multiprocessing.active_children() == []
    for worker in workers:
        assert worker.pid is not None
        with pytest.raises(ProcessLookupError):
            os.kill(worker.pid, 0)

    assert isinstance(events[-1], EpochDone)
    for config in configs[:2]:
        record = folder_of(config, tmp_path).read_result()
        if config.run_id != events[-1].run_id and record is None:
            continue  # its worker had not yet come so far as to be able to say so
        assert record is not None and record.status == "interrupted" and record.test is None
        assert record.epochs == folder_of(config, tmp_path).epochs.read()
    interrupted = SuiteFolder(tmp_path).run(next(c for c in configs if c.run_id == events[-1].run_id))
    assert interrupted.epochs.read()[0] == events[-1].epoch
    assert not folder_of(configs[2], tmp_path).path.exists()


@pytest.fixture
def at_spawn(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int], None]], list[BaseProcess]]:
    """Calls a function with the pid of each worker right after it was spawned, before it runs; gives the workers."""
    workers: list[BaseProcess] = []
    spawn, start = util.spawnv_passfds, BaseProcess.start

    def arrange(react: Callable[[int], None]) -> list[BaseProcess]:
        def spawn_and(path: bytes, command: Any, descriptors: Any) -> int:
            pid = spawn(path, command, descriptors)
            if "--multiprocessing-fork" in command:  # else it is the tracker of resources
                react(pid)
            return pid

        def start_and_note(process: BaseProcess) -> None:
            workers.append(process)
            start(process)

        monkeypatch.setattr(util, "spawnv_passfds", spawn_and)
        monkeypatch.setattr(BaseProcess, "start", start_and_note)
        return workers

    return arrange


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_workers_start_stops_the_suite_and_leaves_no_traceback(
    make_config: Callable[..., RunConfig],
    tiny_digits: Dataset,
    tmp_path: Path,
    at_spawn: Callable[[Callable[[int], None]], list[BaseProcess]],
    capfd: pytest.CaptureFixture[str],
    number: signal.Signals,
) -> None:
    tracker: Any = resource_tracker
    tracker._resource_tracker._stop()  # as in a new process, of which this is the first worker

    def signal_to_the_group(pid: int) -> None:
        os.kill(pid, number)
        os.kill(os.getpid(), number)

    workers = at_spawn(signal_to_the_group)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    configs = [make_config(epochs=ENDLESS, seed=seed) for seed in (1, 2)]
    try:
        with pytest.raises(KeyboardInterrupt):
            run_in_processes(
                configs, dataset=tiny_digits, suite=SuiteFolder(tmp_path), options=ExecutionOptions(runs_per_device=2)
            )
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGTERM, before)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
    (worker,) = workers
    assert worker.exitcode == 0, "it ended by itself, once it could"
    assert multiprocessing.active_children() == []
    assert capfd.readouterr().err == ""
    assert not (tmp_path / "runs").exists()


def test_ctrl_c_that_reaches_only_a_worker_that_starts_is_ignored(
    make_config: Callable[..., RunConfig],
    tiny_digits: Dataset,
    tmp_path: Path,
    at_spawn: Callable[[Callable[[int], None]], list[BaseProcess]],
) -> None:
    at_spawn(lambda pid: os.kill(pid, signal.SIGINT))
    (record,) = run_in_processes(
        [make_config(epochs=1)],
        dataset=tiny_digits,
        suite=SuiteFolder(tmp_path),
        options=ExecutionOptions(runs_per_device=1),
    )
    assert record.status == "done"


def test_a_worker_is_told_to_stop_once() -> None:
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, _stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)  # while it saves its record
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_run_that_another_process_finished_meanwhile_is_not_trained_by_a_worker(
    suite: Suite, tiny_digits: Dataset
) -> None:
    pipe: tuple[Any, Any] = multiprocessing.Pipe()
    assert train_run(suite.configs[0], settings_of(tiny_digits, suite.folder), pipe[1]) == suite.records[0]
    assert not pipe[0].poll(), "no event of a training"


def test_what_the_user_must_mend_stops_the_suite(
    make_config: Callable[..., RunConfig], tiny_digits: Dataset, tmp_path: Path
) -> None:
    other = replace(tiny_digits, fingerprint="another")
    with pytest.raises(DataError, match="fingerprint is another") as raised:
        run_in_processes(
            [make_config()], dataset=other, suite=SuiteFolder(tmp_path), options=ExecutionOptions(runs_per_device=2)
        )
    assert raised.value.exit_status == 4
    assert multiprocessing.active_children() == []
    assert [path.name for path in tmp_path.iterdir()] == ["locks"]


def test_a_finished_suite_starts_no_worker(suite: Suite, tiny_digits: Dataset) -> None:
    def no_children(event: Event) -> None:
        assert multiprocessing.active_children() == []

    done = [config for config, record in zip(suite.configs, suite.records, strict=True) if record.status == "done"]
    records = run_in_processes(
        done,
        dataset=tiny_digits,
        suite=SuiteFolder(suite.folder),
        on_event=no_children,
        options=ExecutionOptions(runs_per_device=2),
    )
    assert records == [record for record in suite.records if record.status == "done"]


# A device that is lost


@pytest.fixture
def losing(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes the run of that id lose the device; called again, the device works until that run."""
    clock, train = job.clock, job.train

    illegal = RuntimeError("CUDA error: an illegal memory access was encountered")

    def lost(device: torch.device) -> float:
        raise illegal

    def lose(run_id: str) -> None:
        def train_or_lose(config: RunConfig, **named: Any) -> RunRecord:
            if config.run_id == run_id:
                monkeypatch.setattr(job, "clock", lost)
                raise illegal
            return train(config, **named)

        monkeypatch.setattr(job, "clock", clock)
        monkeypatch.setattr(job, "train", train_or_lose)

    return lose


def test_a_worker_that_lost_the_device_ends_after_its_record(
    make_config: Callable[..., RunConfig],
    tiny_digits: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    losing: Callable[[str], None],
) -> None:
    configs = [make_config(epochs=1, seed=seed) for seed in (1, 2)]
    losing(configs[0].run_id)
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)  # of this process, which goes on
    pipe: tuple[Any, Any] = multiprocessing.Pipe()
    ours, theirs = pipe
    for config in configs:
        ours.send(config)
    train_runs(theirs, settings_of(tiny_digits, tmp_path))
    (outcome,) = [ours.recv() for _ in iter(ours.poll, False)]
    record = folder_of(configs[0], tmp_path).read_result()
    assert outcome == WorkerDied(record) and record is not None and record.status == "failed"
    assert "illegal memory access" in record.message
    assert folder_of(configs[1], tmp_path).read_result() is None


def test_a_worker_that_lost_the_device_is_replaced_and_the_suite_goes_on(
    make_config: Callable[..., RunConfig],
    tiny_digits: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    losing: Callable[[str], None],
) -> None:
    configs = [make_config(epochs=1, seed=seed) for seed in (1, 2, 3)]
    started: list[Worker] = []

    class InThisProcess(Worker):
        """A worker that trains at once; each begins with a device that works."""

        def __init__(self, settings: WorkerSettings) -> None:
            self.settings = settings
            pipe: tuple[Any, Any] = multiprocessing.Pipe()
            self.connection, self.theirs = pipe
            self.process = multiprocessing.get_context("spawn").Process()  # never started
            monkeypatch.setattr(self.process, "terminate", lambda: None)
            monkeypatch.setattr(self.process, "join", lambda timeout=None: None)
            monkeypatch.setattr(self.process, "is_alive", lambda: False)
            losing(configs[0].run_id)
            started.append(self)

        def train(self, config: RunConfig) -> None:
            self.theirs.send(train_run(config, self.settings, self.theirs))

    monkeypatch.setattr(worker_pool, "Worker", InThisProcess)
    records = run_in_processes(
        configs, dataset=tiny_digits, suite=SuiteFolder(tmp_path), options=ExecutionOptions(runs_per_device=1)
    )
    assert [record.status for record in records] == ["failed", "done", "done"]
    assert len(started) == 2
