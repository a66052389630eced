"""What Ray's workers run: one planned run with its events."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from ablations.data.dataset import Dataset
from ablations.errors import DeviceLost, UserError
from ablations.execution.job import finished, train_to_record
from ablations.execution.ray_events import EventSender
from ablations.execution.ray_node import Token, check_this_node
from ablations.execution.signals import Stopper
from ablations.hardware.environment import commit
from ablations.records.record import RunRecord
from ablations.records.run_folder import RunFolder
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.run_config import RunConfig
from ablations.training.events import Event, RunStarted
from ablations.training.options import ExecutionOptions

LOCK_INTERVAL_SECONDS = 0.5  # between two tries to lock a run


class PlannedRun(NamedTuple):
    """A run and its position of `total` in the plan, from 1."""

    position: int
    total: int
    config: RunConfig


@dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """What all runs of a suite have in common; `mailbox` is the actor that takes events."""

    suite_dir: Path
    options: ExecutionOptions
    threads: int
    driver_node: str
    mailbox: Any
    token: Token


class RunOutcome(NamedTuple):
    """The record of a run; `skipped` if another process finished the run before."""

    record: RunRecord
    skipped: bool


class RunTaken(NamedTuple):
    """Another process trains this run."""

    run_id: str


def train_run(
    dataset: Dataset, settings: WorkerSettings, run: PlannedRun, patience: float
) -> RunOutcome | RunTaken | UserError:
    """Train a run to its record, unless it is done; a run that another process has is waited for `patience` seconds.

    Returns an error that the user must repair, since Ray would add a traceback to its message.
    """
    torch.set_num_threads(settings.threads)
    commit()  # cached now: later the working tree may hold other code than this process runs
    suite = SuiteFolder(settings.suite_dir)
    deadline = time.monotonic() + patience
    try:
        check_this_node(settings.token)
        while True:
            with suite.locks.run(run.config.run_id) as mine:
                if mine:
                    return _train(suite.run(run.config), dataset=dataset, settings=settings, run=run)
            if time.monotonic() >= deadline:
                return RunTaken(run.config.run_id)
            time.sleep(LOCK_INTERVAL_SECONDS)
    except UserError as error:
        return error


def _train(folder: RunFolder, *, dataset: Dataset, settings: WorkerSettings, run: PlannedRun) -> RunOutcome:
    record = finished(folder)
    if record is not None:
        return RunOutcome(record, skipped=True)
    sender = EventSender(settings.mailbox)

    def on_event(event: Event) -> None:
        sender(event)
        stopper.on_event(event)

    place = _place(settings.driver_node)
    try:
        # Ray cancels a task by an interrupt, which in the middle of a write could fail the run.
        with Stopper() as stopper:
            on_event(RunStarted(config=run.config, position=run.position, total=run.total, place=place))
            record = train_to_record(
                run.config, dataset=dataset, folder=folder, options=settings.options, on_event=on_event
            )
    except DeviceLost:
        # Ray gives the next run on a GPU a new process, so the suite goes on.
        record = folder.read_result()
        if record is None:
            raise
    sender.deliver()
    return RunOutcome(record, skipped=False)


def _place(driver_node: str) -> str:
    """The node and the GPU of this worker; "" on the driver's machine."""
    import ray
    from ray.util import get_node_ip_address

    context = ray.get_runtime_context()
    if context.get_node_id() == driver_node:
        return ""
    gpus = [str(gpu) for gpu in context.get_accelerator_ids().get("GPU", ())]
    return " GPU ".join([get_node_ip_address(), *gpus])
