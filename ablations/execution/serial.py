"""Executor that runs a suite one run after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ablations.data.dataset import Dataset
from ablations.execution.job import finished, train_to_record
from ablations.records.record import RunRecord
from ablations.records.run_folder import RunFolder
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.run_config import RunConfig
from ablations.training.events import Event, RunEnded, RunStarted, ignore
from ablations.training.options import ExecutionOptions

MAX_PASSES = 2  # over runs that another process trains: in plan order, and once all others are done


def run_serially(
    runs: Sequence[RunConfig],
    *,
    dataset: Dataset,
    suite: SuiteFolder,
    options: ExecutionOptions,
    on_event: Callable[[Event], None] = ignore,
) -> list[RunRecord]:
    """Execute every planned run, one after the other on one device, and return their records in plan order.

    A run whose record says "done" is skipped; any other is trained from its last checkpoint. A run that fails has
    a record with its status and message, and the next one begins. A run that another process trains is skipped, and
    tried once more at the end; one that is still being trained then has no record here.

    Raises:
        KeyboardInterrupt: passed on after the record of the current run was saved as "interrupted".
        UserError: if nothing of this suite can be run.
    """

    def train_now(folder: RunFolder, *, position: int) -> RunRecord:
        on_event(RunStarted(config=folder.config, position=position, total=len(runs)))
        return train_to_record(folder.config, dataset=dataset, folder=folder, options=options, on_event=on_event)

    records: dict[int, RunRecord] = {}
    waiting = list(enumerate(runs, start=1))
    for _ in range(MAX_PASSES):
        for position, config in waiting:
            found = _record_or_train(suite.run(config), suite=suite, train=partial(train_now, position=position))
            if found is not None:
                records[position], skipped = found
                on_event(RunEnded(record=found[0], position=position, total=len(runs), skipped=skipped))
        waiting = [(position, config) for position, config in waiting if position not in records]
    return [records[position] for position in sorted(records)]


def _record_or_train(
    folder: RunFolder, *, suite: SuiteFolder, train: Callable[[RunFolder], RunRecord]
) -> tuple[RunRecord, bool] | None:
    """A run's record and whether it was there before; None if another process trains the run."""
    record = finished(folder)
    if record is not None:
        return record, True
    with suite.locks.run(folder.path.name) as mine:
        if not mine:
            return None
        record = finished(folder)  # another process may have finished it since
        return (record, True) if record is not None else (train(folder), False)
