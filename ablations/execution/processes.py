"""Executor that trains several runs at once on one device, each in a worker process; their times are not valid."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import wait
from typing import NamedTuple

import torch

from ablations.data.dataset import Dataset
from ablations.errors import UserError
from ablations.execution.job import finished, unfinished_record
from ablations.execution.serial import MAX_PASSES
from ablations.execution.worker import RunTaken, WorkerDied, WorkerSettings
from ablations.execution.worker_pool import Worker, WorkerPool
from ablations.records.record import RunRecord
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.run_config import RunConfig
from ablations.training.events import Event, RunEnded, RunStarted, ignore
from ablations.training.options import ExecutionOptions


class _Job(NamedTuple):
    """A run and its position of `total` in the plan, from 1."""

    position: int
    total: int
    config: RunConfig


def run_in_processes(
    runs: Sequence[RunConfig],
    *,
    dataset: Dataset,
    suite: SuiteFolder,
    options: ExecutionOptions,
    on_event: Callable[[Event], None] = ignore,
) -> list[RunRecord]:
    """Execute every planned run like `run_serially`, `options.runs_per_device` of them at a time on one device.

    If a worker dies, its run's record says so, and another worker takes its place. A run that another process trains
    is skipped as by `run_serially`.

    Raises:
        KeyboardInterrupt: passed on after the current runs were stopped and saved as "interrupted".
        UserError: if nothing of this suite can be run.
    """
    jobs = [_Job(position, len(runs), config) for position, config in enumerate(runs, start=1)]
    records: dict[int, RunRecord] = {}

    def end(job: _Job, record: RunRecord, *, skipped: bool) -> None:
        records[job.position] = record
        on_event(RunEnded(record=record, position=job.position, total=job.total, skipped=skipped))

    for job in jobs:
        record = finished(suite.run(job.config))
        if record is not None:
            end(job, record, skipped=True)
    threads = max(1, torch.get_num_threads() // options.runs_per_device)
    settings = WorkerSettings(dataset=dataset, suite_dir=suite.path, options=options, threads=threads)
    with WorkerPool(settings) as pool:
        for _ in range(MAX_PASSES):
            waiting = [job for job in jobs if job.position not in records]
            for job, record in _train(waiting, pool=pool, suite=suite, options=options, on_event=on_event):
                end(job, record, skipped=False)
    return [records[position] for position in sorted(records)]


def _train(
    jobs: Sequence[_Job],
    *,
    pool: WorkerPool,
    suite: SuiteFolder,
    options: ExecutionOptions,
    on_event: Callable[[Event], None],
) -> Iterator[tuple[_Job, RunRecord]]:
    """Train runs side by side and yield each one's record; runs that another process trains are left out."""
    waiting = deque(jobs)
    busy: dict[object, tuple[Worker, _Job]] = {}
    while waiting or busy:
        while waiting and len(busy) < options.runs_per_device:
            job = waiting.popleft()
            if suite.locks.is_taken(job.config.run_id):
                continue
            worker = pool.take()
            on_event(RunStarted(config=job.config, position=job.position, total=job.total))
            worker.train(job.config)
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
            if isinstance(message, WorkerDied):
                yield job, message.record or _save_death(job.config, worker, suite=suite, options=options)
                continue
            pool.give_back(worker)
            if not isinstance(message, RunTaken):
                yield job, message


def _save_death(config: RunConfig, worker: Worker, *, suite: SuiteFolder, options: ExecutionOptions) -> RunRecord:
    folder = suite.run(config)
    record = unfinished_record(
        folder,
        options=options,
        test_accesses=int(folder.has_predictions),
        status="failed",
        message=f"its worker process died with exit code {worker.process.exitcode}",
    )
    folder.write_result(record)
    return record
