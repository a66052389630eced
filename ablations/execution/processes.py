"""Executor that trains several runs at once on one device, each in a worker process; their times are not valid."""

from __future__ import annotations

import multiprocessing
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import torch

from ablations.data.dataset import Dataset
from ablations.errors import DeviceLost, UserError
from ablations.execution.job import finished, train_to_record, unfinished_record
from ablations.execution.serial import MAX_PASSES
from ablations.hardware.environment import commit
from ablations.records.record import RunRecord
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.run_config import RunConfig
from ablations.training.events import Event, RunEnded, RunStarted, StepDone, ignore
from ablations.training.options import ExecutionOptions

STEP_INTERVAL_SECONDS = 0.2  # between two messages on a run's steps
STOP_SECONDS = 20.0  # that a worker has, once told to stop, to write its record
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)  # that stop a suite


class _Job(NamedTuple):
    """A run and its position in the plan, from 1."""

    position: int
    config: RunConfig


class _RunTaken(NamedTuple):
    """What a worker sends for a run that another process trains."""

    run_id: str


class _WorkerDied(NamedTuple):
    """What comes of a worker that has died or is of no use any more; with the record that it left, if it did."""

    record: RunRecord | None = None


class _Work(NamedTuple):
    """What every worker needs to know beside its runs."""

    dataset: Dataset
    suite_dir: Path
    options: ExecutionOptions
    threads: int


def run_in_processes(
    runs: Sequence[RunConfig],
    *,
    dataset: Dataset,
    suite: SuiteFolder,
    options: ExecutionOptions,
    on_event: Callable[[Event], None] = ignore,
) -> list[RunRecord]:
    """Execute every planned run like `run_serially`, `options.runs_per_device` of them at a time on one device.

    A worker that dies leaves a record that says so, and another takes its place. A run that another process trains is
    passed over as by `runner.run`.

    Raises:
        KeyboardInterrupt: passed on after the runs at hand were stopped and saved as "interrupted".
        UserError: if nothing of this suite can be run.
    """
    workers = options.runs_per_device
    work = _Work(dataset, suite.path, options, max(1, torch.get_num_threads() // workers))
    records: dict[int, RunRecord] = {}

    def end(position: int, record: RunRecord, *, skipped: bool) -> None:
        records[position] = record
        on_event(RunEnded(record=record, position=position, total=len(runs), skipped=skipped))

    waiting: deque[_Job] = deque()
    for position, config in enumerate(runs, start=1):
        record = finished(suite.run(config))
        if record is None:
            waiting.append(_Job(position, config))
        else:
            end(position, record, skipped=True)

    passes, passed_over = MAX_PASSES, list[_Job]()
    with _worker_pool(work) as start_worker:
        idle = [start_worker() for _ in range(min(workers, len(waiting)))]
        busy: dict[object, tuple[_Worker, _Job]] = {}
        while waiting or busy:
            while waiting and idle:
                job = waiting.popleft()
                if suite.locks.is_taken(job.config.run_id):
                    passed_over.append(job)
                    continue
                worker = idle.pop()
                on_event(RunStarted(config=job.config, position=job.position, total=len(runs)))
                worker.give(job.config)
                busy[worker.connection] = (worker, job)
            for connection in wait([worker.connection for worker, _ in busy.values()]) if busy else ():
                worker, job = busy[connection]
                message = worker.receive()
                if isinstance(message, UserError):
                    raise message
                if isinstance(message, Event):
                    on_event(message)
                    continue
                del busy[connection]
                if isinstance(message, _RunTaken):
                    passed_over.append(job)
                    idle.append(worker)
                elif isinstance(message, _WorkerDied):
                    end(job.position, message.record or _save_death(job.config, worker, work), skipped=False)
                    idle += [start_worker()] if waiting else []
                else:
                    end(job.position, message, skipped=False)
                    idle.append(worker)
            if passed_over and not (waiting or busy) and (passes := passes - 1):
                waiting.extend(passed_over)
                passed_over.clear()
    return [records[position] for position in sorted(records)]


class _Worker:
    """A process that trains the runs it is given, one after the other."""

    def __init__(self, work: _Work) -> None:
        context = multiprocessing.get_context("spawn")  # a forked process cannot use CUDA
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_train_all, args=(theirs, work), daemon=True)
        self.process.start()
        theirs.close()

    def give(self, config: RunConfig) -> None:
        """Start on a run."""
        with suppress(OSError):  # a worker that has died is noticed on receiving
            self.connection.send(config)

    def receive(self) -> Event | RunRecord | UserError | _RunTaken | _WorkerDied:
        """What the worker sent."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self.process.join()
            return _WorkerDied()


@contextmanager
def _signals_held() -> Iterator[None]:
    """What stops a suite waits until the end of the block; a process started inside begins with it blocked.

    So none is lost, no process is left half started, and none dies of one before it can answer.
    """
    resource_tracker.ensure_running()  # whose own start would unblock them
    came: list[int] = []
    handlers = {}
    if threading.current_thread() is threading.main_thread():  # the only one where handlers can be set
        # What this thread blocks still reaches the others, and Python then calls the handler in this one.
        handlers = {number: signal.signal(number, lambda number, frame: came.append(number)) for number in SIGNALS}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)  # pending, like those that came to this thread
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


@contextmanager
def _worker_pool(work: _Work) -> Iterator[Callable[[], _Worker]]:
    """Yield a function that starts workers; on leaving, all of them are told to stop and waited for."""
    workers: list[_Worker] = []

    def start_worker() -> _Worker:
        with _signals_held():  # between a worker's start and its entry too
            workers.append(_Worker(work))
        return workers[-1]

    try:
        yield start_worker
    finally:
        for worker in workers:
            worker.process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for worker in workers:
            worker.process.join(timeout=max(0.0, deadline - time.monotonic()))
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.connection.close()


def _save_death(config: RunConfig, worker: _Worker, work: _Work) -> RunRecord:
    folder = SuiteFolder(work.suite_dir).run(config)
    record = unfinished_record(
        folder,
        options=work.options,
        test_accesses=int(folder.has_predictions),
        status="failed",
        message=f"its worker process died with exit code {worker.process.exitcode}",
    )
    folder.write_result(record)
    return record


def _train_all(connection: Connection, work: _Work) -> None:
    """A worker's life: receive a run, train it, send its events and its record; until told to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # reaches every process of a terminal; the parent answers it
    signal.signal(signal.SIGTERM, _stop)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        torch.set_num_threads(work.threads)
        commit()  # is that of the code as it was when the process began
        while True:
            config: RunConfig = connection.recv()
            with SuiteFolder(work.suite_dir).locks.run(config.run_id) as mine:
                outcome = _train(config, work, connection) if mine else _RunTaken(config.run_id)
                connection.send(outcome)
            if isinstance(outcome, _WorkerDied):
                return
    except UserError as error:
        with suppress(KeyboardInterrupt, OSError):  # told to stop just now, or the parent is gone
            connection.send(error)
    except (KeyboardInterrupt, EOFError):  # told to stop, or the parent is gone
        return


def _stop(number: int, frame: FrameType | None) -> None:
    """Stop the worker; what it then saves is not disturbed by a second signal, for which the parent waits a while."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _train(config: RunConfig, work: _Work, connection: Connection) -> RunRecord | _WorkerDied:
    """The run's record; a device that is lost, is so to this process alone."""
    folder = SuiteFolder(work.suite_dir).run(config)
    try:
        return finished(folder) or train_to_record(
            config, dataset=work.dataset, folder=folder, options=work.options, on_event=_EventSender(connection)
        )
    except DeviceLost:
        return _WorkerDied(folder.read_result())


class _EventSender:
    """An observer that sends events through a pipe; steps are summed up and sent a few times a second."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._steps: StepDone | None = None
        self._sent_at = time.monotonic()

    def __call__(self, event: Event) -> None:
        if isinstance(event, StepDone):
            before = self._steps.images if self._steps else 0
            self._steps = replace(event, images=before + event.images)
            if time.monotonic() - self._sent_at >= STEP_INTERVAL_SECONDS:
                self._send_steps()
        else:
            self._send_steps()
            self._send(event)

    def _send_steps(self) -> None:
        if self._steps is not None:
            self._send(self._steps)
            self._steps, self._sent_at = None, time.monotonic()

    def _send(self, event: Event) -> None:
        try:
            self._connection.send(event)
        except OSError as error:
            # The parent was killed. No record says so: the run is taken up where it stopped.
            raise SystemExit from error
