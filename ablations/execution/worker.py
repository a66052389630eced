"""Worker process: receives runs through a pipe, trains each, and sends back its events and its record."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import NamedTuple

import torch

from ablations.data.dataset import Dataset
from ablations.errors import DeviceLost, UserError
from ablations.execution.job import finished, train_to_record
from ablations.hardware.environment import commit
from ablations.records.record import RunRecord
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.run_config import RunConfig
from ablations.training.events import Event, StepDone
from ablations.training.options import ExecutionOptions

STEP_INTERVAL_SECONDS = 0.2  # between two messages on a run's steps
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)  # that stop a suite


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """What all workers of a suite have in common."""

    dataset: Dataset
    suite_dir: Path
    options: ExecutionOptions
    threads: int


class RunTaken(NamedTuple):
    """Message: another process trains this run."""

    run_id: str


class WorkerDied(NamedTuple):
    """Message: the worker ended, by itself or because it lost the device; with its run's record if it wrote one."""

    record: RunRecord | None = None


Message = Event | RunRecord | UserError | RunTaken | WorkerDied


def train_runs(connection: Connection, settings: WorkerSettings) -> None:
    """Train the runs that arrive through `connection`, one after the other, until told to stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # reaches every process of a terminal; the parent handles it
    signal.signal(signal.SIGTERM, _stop)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        torch.set_num_threads(settings.threads)
        commit()  # cached now: later the working tree may hold other code than this process runs
        while True:
            config: RunConfig = connection.recv()
            with SuiteFolder(settings.suite_dir).locks.run(config.run_id) as mine:
                outcome = train_run(config, settings, connection) if mine else RunTaken(config.run_id)
                connection.send(outcome)
            if isinstance(outcome, WorkerDied):
                return
    except UserError as error:
        with suppress(KeyboardInterrupt, OSError):  # told to stop at this moment, or the parent has ended
            connection.send(error)
    except (KeyboardInterrupt, EOFError):  # told to stop, or the parent has ended
        return


def _stop(number: int, frame: FrameType | None) -> None:
    """Stop on the first SIGTERM only: a second one must not cut off the record that is then written."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def train_run(config: RunConfig, settings: WorkerSettings, connection: Connection) -> RunRecord | WorkerDied:
    """Train a run, unless it is done, and return its record; WorkerDied if this process lost the device."""
    folder = SuiteFolder(settings.suite_dir).run(config)
    try:
        return finished(folder) or train_to_record(
            config,
            dataset=settings.dataset,
            folder=folder,
            options=settings.options,
            on_event=_EventSender(connection),
        )
    except DeviceLost:
        return WorkerDied(folder.read_result())


class _EventSender:
    """Observer that sends events through a pipe; steps are summed up and sent a few times a second."""

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
            # The parent was killed. No record is written, so that the next start resumes the run.
            raise SystemExit from error
