"""The protocol of executors, which carry out planned runs, and the choice between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ablations.data.dataset import Dataset
from ablations.execution.ray import run_on_ray
from ablations.execution.serial import run_serially
from ablations.records.record import RunRecord
from ablations.records.suite_folder import SuiteFolder
from ablations.suites.run_config import RunConfig
from ablations.training.events import Event
from ablations.training.options import ExecutionOptions


class Executor(Protocol):
    """Executes planned runs: skips those that are done, trains the others, and returns the records in plan order."""

    def __call__(
        self,
        runs: Sequence[RunConfig],
        *,
        dataset: Dataset,
        suite: SuiteFolder,
        options: ExecutionOptions,
        on_event: Callable[[Event], None],
    ) -> list[RunRecord]: ...


def choose_executor(options: ExecutionOptions) -> Executor:
    """The executor that these options name."""
    return run_on_ray if options.executor == "ray" else run_serially
